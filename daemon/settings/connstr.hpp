// The lines of [databases], [users] and [peers]: key=value pairs (compat/config_file.md sections 2 to 4).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::settings {

using ConnectPairs = std::vector<std::pair<std::string, std::string>>;

// Pairs separated by blanks; blanks around '=' are free; a value is 'quoted with '' inside' or goes up to a blank.
Result<ConnectPairs> parse_pairs(const std::string& line);

// Errors name the key. The entry's dbname is empty when the line has none ("*") or its own name.
Result<Database> parse_database(const std::string& name, const std::string& line);
Result<User> parse_user(const std::string& name, const std::string& line);
Result<Peer> parse_peer(const std::string& id, const std::string& line);

}  // namespace pgweir::settings
