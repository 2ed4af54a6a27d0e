// The grammar of LDAP options and URLs, and what is made of them for one user.
#include "auth/ldap_options.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "base/text.hpp"

namespace pgweir::auth {

namespace {

constexpr ByteView kSeparators = " \t\r\n,";
constexpr ByteView kUserPlace = "$username";

struct Pair {
  std::string key;
  std::string value;
};

// Takes the pairs off the front, one by one.
class Pairs {
 public:
  explicit Pairs(ByteView text) : rest_(text) {}

  // Nothing at the end.
  Result<std::optional<Pair>> next() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kSeparators), rest_.size()));
    if (rest_.empty()) return std::optional<Pair>();
    const size_t equals = rest_.find('=');
    const size_t blank = rest_.find_first_of(kSeparators);
    if (equals == ByteView::npos || blank < equals)
      return Error{"something in the LDAP options is no key=value; a value with blanks or commas needs quotes"};
    Pair pair;
    pair.key = rest_.substr(0, equals);
    rest_.remove_prefix(equals + 1);
    if (rest_.starts_with('"')) {
      if (!quoted(pair.value)) return Error{cat("the quote of ", pair.key, " is not closed")};
    } else {
      const size_t end = std::min(rest_.find_first_of(kSeparators), rest_.size());
      pair.value = rest_.substr(0, end);
      rest_.remove_prefix(end);
    }
    return std::optional<Pair>(std::move(pair));
  }

 private:
  bool quoted(std::string& value) {
    rest_.remove_prefix(1);
    while (true) {
      const size_t close = rest_.find('"');
      if (close == ByteView::npos) return false;
      value.append(rest_.substr(0, close));
      rest_.remove_prefix(close + 1);
      if (!rest_.starts_with('"')) return rest_.empty() || kSeparators.find(rest_[0]) != ByteView::npos;
      value.push_back('"');
      rest_.remove_prefix(1);
    }
  }

  ByteView rest_;
};

Result<void> take_port(LdapOptions& options, const std::string& text) {
  int port = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (failed != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535)
    return Error{cat("invalid LDAP port number: \"", text, '"')};
  options.port = port;
  return {};
}

Result<void> take_scheme(LdapOptions& options, const std::string& text) {
  if (text != "ldap" && text != "ldaps") return Error{cat("invalid ldapscheme value: \"", text, '"')};
  options.ldaps = text == "ldaps";
  return {};
}

Result<void> take_tls(LdapOptions& options, const std::string& text) {
  if (text != "0" && text != "1") return Error{cat("ldaptls is 1 or 0, not \"", text, '"')};
  options.start_tls = text == "1";
  return {};
}

template <std::string LdapOptions::*member>
Result<void> take_text(LdapOptions& options, const std::string& text) {
  if (text.find('\0') != std::string::npos) return Error{"a NUL in an LDAP option"};
  options.*member = text;
  return {};
}

Result<void> take_password(LdapOptions& options, const std::string& text) {
  options.bind_password = SecretBytes(text);
  return {};
}

Result<void> take_url(LdapOptions& options, const std::string& text) {
  return read_ldap_url(text, options);
}

enum class Mode : unsigned char { kBoth, kSimple, kSearch };
struct KeyRow {
  Mode mode;
  Result<void> (*take)(LdapOptions&, const std::string&);
};
const std::map<std::string, KeyRow, std::less<>>& keys() {
  static const std::map<std::string, KeyRow, std::less<>> kKeys = {
      {"ldapserver", {Mode::kBoth, take_text<&LdapOptions::servers>}},
      {"ldapport", {Mode::kBoth, take_port}},
      {"ldapscheme", {Mode::kBoth, take_scheme}},
      {"ldaptls", {Mode::kBoth, take_tls}},
      {"ldapprefix", {Mode::kSimple, take_text<&LdapOptions::prefix>}},
      {"ldapsuffix", {Mode::kSimple, take_text<&LdapOptions::suffix>}},
      {"ldapbasedn", {Mode::kSearch, take_text<&LdapOptions::base_dn>}},
      {"ldapbinddn", {Mode::kSearch, take_text<&LdapOptions::bind_dn>}},
      {"ldapbindpasswd", {Mode::kSearch, take_password}},
      {"ldapsearchattribute", {Mode::kSearch, take_text<&LdapOptions::search_attribute>}},
      {"ldapsearchfilter", {Mode::kSearch, take_text<&LdapOptions::search_filter>}},
      {"ldapurl", {Mode::kSearch, take_url}},
  };
  return kKeys;
}

// What is not even like a key may be a piece of a password that should have been quoted.
Error unknown_key(const std::string& key) {
  if (lower(key).starts_with("ldap")) return Error{cat("invalid LDAP option: \"", key, '"')};
  return Error{"invalid LDAP option: none of the known ones; a value with blanks or commas needs quotes"};
}

// What cannot be told of one option alone.
Result<void> check(LdapOptions& options, bool simple, bool search) {
  if (!simple && !search) return Error{"LDAP needs ldapbasedn, ldapprefix, ldapsuffix or ldapurl"};
  if (simple && search)
    return Error{"ldapprefix and ldapsuffix (simple bind) cannot stand beside the options of search and bind"};
  if (search && options.base_dn.empty()) return Error{"LDAP search needs ldapbasedn"};
  if (!options.search_attribute.empty() && !options.search_filter.empty())
    return Error{"ldapsearchattribute cannot stand beside ldapsearchfilter"};
  if (options.ldaps && options.start_tls) return Error{"ldaptls=1 cannot stand beside ldaps"};
  if (simple && options.servers.empty()) return Error{"simple bind needs ldapserver"};
  options.searches = search;
  if (search && options.search_attribute.empty() && options.search_filter.empty()) options.search_attribute = "uid";
  return {};
}

std::optional<std::string> percent_decoded(ByteView text) {
  std::string out;
  while (!text.empty()) {
    if (text[0] != '%') {
      out.push_back(text[0]);
      text.remove_prefix(1);
      continue;
    }
    unsigned code = 0;
    if (text.size() < 3) return std::nullopt;
    auto [end, failed] = std::from_chars(text.data() + 1, text.data() + 3, code, 16);
    if (failed != std::errc() || end != text.data() + 3 || code == 0) return std::nullopt;
    out.push_back(static_cast<char>(code));
    text.remove_prefix(3);
  }
  return out;
}

// HOST, HOST:PORT, [ADDRESS] or [ADDRESS]:PORT.
Result<void> read_url_host(ByteView place, LdapOptions& options) {
  const size_t bracket = place.find(']');
  const size_t colon = place.find(':', bracket == ByteView::npos ? 0 : bracket);
  options.servers = place.substr(0, colon);
  return colon == ByteView::npos ? Result<void>() : take_port(options, std::string(place.substr(colon + 1)));
}

Result<void> read_url_scope(ByteView text, LdapOptions& options) {
  if (text.empty() || text == "base") {
    options.scope = LdapScope::kBase;  // what a URL means that names none
  } else if (text == "one" || text == "onelevel") {
    options.scope = LdapScope::kOne;
  } else if (text == "sub" || text == "subtree") {
    options.scope = LdapScope::kSubtree;
  } else {
    return Error{cat("unknown scope \"", text, "\" in ldapurl")};
  }
  return {};
}

bool has_port(ByteView host) {
  const size_t colon = host.rfind(':');
  if (colon == ByteView::npos) return false;
  return host.starts_with('[') ? host[colon - 1] == ']' : host.find(':') == colon;
}

bool is_bare_ipv6(ByteView host) {
  return !host.starts_with('[') && std::count(host.begin(), host.end(), ':') > 1;
}

}  // namespace

Result<LdapOptions> parse_ldap_options(ByteView text) {
  LdapOptions options;
  Pairs pairs(text);
  bool simple = false;
  bool search = false;
  while (true) {
    auto pair = pairs.next();
    if (!pair) return pair.error();
    if (!*pair) break;
    auto row = keys().find((*pair)->key);
    if (row == keys().end()) return unknown_key((*pair)->key);
    auto taken = row->second.take(options, (*pair)->value);
    wipe((*pair)->value);
    if (!taken) return taken.error();
    simple = simple || row->second.mode == Mode::kSimple;
    search = search || row->second.mode == Mode::kSearch;
  }
  auto checked = check(options, simple, search);
  if (!checked) return checked.error();
  return options;
}

Result<void> read_ldap_url(ByteView url, LdapOptions& options) {
  const std::string scheme = lower(url.substr(0, url.find(':')));
  if ((scheme != "ldap" && scheme != "ldaps") || !url.substr(scheme.size()).starts_with("://"))
    return Error{"ldapurl must begin with ldap:// or ldaps://"};
  options.ldaps = scheme == "ldaps";
  url.remove_prefix(scheme.size() + 3);
  const size_t slash = std::min(url.find('/'), url.size());
  auto step = read_url_host(url.substr(0, slash), options);
  if (!step) return step;
  url.remove_prefix(std::min(slash + 1, url.size()));
  std::vector<std::string> parts;
  while (parts.size() < 5) {
    const size_t mark = url.find('?');
    auto part = percent_decoded(url.substr(0, mark));
    if (!part) return Error{"ldapurl has a broken %XX"};
    parts.push_back(std::move(*part));
    if (mark == ByteView::npos) break;
    url.remove_prefix(mark + 1);
  }
  parts.resize(5);
  if (!parts[4].empty()) return Error{"ldapurl has extensions, which are not known here"};
  options.base_dn = parts[0];
  const std::string attribute = parts[1].substr(0, parts[1].find(','));
  if (!attribute.empty()) options.search_attribute = attribute;
  if (!parts[3].empty()) options.search_filter = parts[3];
  return read_url_scope(lower(parts[2]), options);
}

std::string ldap_uris(const LdapOptions& options, ByteView hosts) {
  std::string out;
  for (const std::string& host : split_names(hosts)) {
    if (!out.empty()) out.push_back(' ');
    const bool wrapped = is_bare_ipv6(host);
    out += cat(options.scheme(), "://", wrapped ? "[" : "", host, wrapped ? "]" : "");
    if (!has_port(host)) out += cat(':', options.effective_port());
  }
  return out;
}

bool fits_ldap_search(ByteView user) {
  return user.find_first_of(ByteView("*()\\/\0", 6)) == ByteView::npos;
}

std::string ldap_search_filter(const LdapOptions& options, ByteView user) {
  if (options.search_filter.empty()) return cat('(', options.search_attribute, '=', user, ')');
  std::string out;
  ByteView rest = options.search_filter;
  for (size_t place = rest.find(kUserPlace); place != ByteView::npos; place = rest.find(kUserPlace)) {
    out += cat(rest.substr(0, place), user);
    rest.remove_prefix(place + kUserPlace.size());
  }
  return cat(out, rest);
}

std::string ldap_bind_name(const LdapOptions& options, ByteView user) {
  return cat(options.prefix, user, options.suffix);
}

}  // namespace pgweir::auth
