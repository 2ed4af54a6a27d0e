// The ident map's grammar and look-up.
#include "auth/ident.hpp"

#include <algorithm>

#include "auth/tokens.hpp"
#include "base/text.hpp"

namespace pgweir::auth {

namespace {
using detail::LineTokens;
using detail::Token;
using detail::TokenKind;

// One line that is not empty: MAPNAME SYSTEM-USER DB-USER. Error: what is wrong with it.
Result<void> read_line(LineTokens& tokens, IdentMaps& maps) {
  if (tokens.now().kind != TokenKind::kWord) return Error{"the map name must be an unquoted word"};
  std::string map = tokens.now().text;
  IdentMaps::Entry entry;
  tokens.next();
  if (!tokens.now().is_name()) return Error{"no system user"};
  entry.system_user = tokens.now().text;
  tokens.next();
  if (!tokens.now().is_name()) return Error{"no database user"};
  entry.every_user = tokens.now().is_word("all");
  entry.database_user = tokens.now().text;
  tokens.next();
  if (tokens.now().kind != TokenKind::kEnd) return Error{"unexpected text after the database user"};
  if (entry.system_user.empty() || entry.database_user.empty()) return Error{"empty name"};
  maps.add(std::move(map), std::move(entry));
  return {};
}
}  // namespace

bool IdentMaps::matches(ByteView map, ByteView system_user, ByteView database_user) const {
  if (system_user.empty() || database_user.empty() || system_user.find('\0') != ByteView::npos) return false;
  if (map.empty()) return system_user == database_user;
  auto found = maps_.find(map);
  if (found == maps_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Entry& entry) {
    return entry.system_user == system_user && (entry.every_user || entry.database_user == database_user);
  });
}

bool IdentMaps::matches(ByteView map, const CertificateNames& names, ByteView database_user) const {
  return matches(map, names.common_name, database_user) ||
         std::any_of(names.dns.begin(), names.dns.end(),
                     [&](ByteView name) { return matches(map, name, database_user); });
}

IdentLoad parse_ident(ByteView text, const std::string& file) {
  IdentLoad out;
  for_each_line(text, [&](ByteView line, int number) {
    LineTokens tokens(line);
    if (tokens.now().kind == TokenKind::kEnd) return;
    auto read = read_line(tokens, out.maps);
    if (!read)
      out.complaints.push_back(
          {file, number, true, cat("could not parse ident config line ", number, ": ", read.error().message)});
  });
  return out;
}

Result<IdentLoad> load_ident(const std::string& path) {
  auto file = read_text_file(path);
  if (!file) return Error{cat("could not open ident config file ", path, ": ", file.error().message)};
  return parse_ident(file->text, path);
}

}  // namespace pgweir::auth
