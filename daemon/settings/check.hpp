// Checks of texts that only certain settings need, and of settings that must fit together. Pure: no file is opened.
#pragma once

#include <functional>
#include <string>

#include "base/result.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::settings {

// Whether `text` may stand in the setting `name`; most take any text. Error: what is allowed.
Result<void> check_text(const std::string& name, const std::string& text);

// Whether a host of a database or peer is a path, @abstract, an address or a possible name. Error: why not.
Result<void> check_host(const std::string& host);

bool reserved_database(const std::string& name);  // the console's names

// Tells `report` about settings that contradict each other: (the setting to name, what is wrong).
void check_together(const Global& global, const std::function<void(const char*, std::string)>& report);

}  // namespace pgweir::settings
