// The grammar of the HBA file: TYPE DATABASE USER [ADDRESS [MASK]] METHOD [map=NAME | LDAP options].
#include <algorithm>
#include <charconv>
#include <optional>

#include "auth/hba.hpp"
#include "auth/tokens.hpp"
#include "base/build.hpp"
#include "base/text.hpp"

namespace pgweir::auth {

namespace {

using detail::LineTokens;
using detail::TokenKind;

constexpr int kMaxFileDepth = 8;         // of @file in @file
constexpr int kMaxFiles = 256;           // of one line
constexpr size_t kMaxNames = 1'000'000;  // of one list with all its files
constexpr ByteView kUnsupported[] = {"samerole", "samegroup"};

struct TypeWord {
  ByteView word;
  HbaType type;
};
constexpr TypeWord kTypes[] = {{"local", HbaType::kLocal},
                               {"host", HbaType::kHost},
                               {"hostssl", HbaType::kHostSsl},
                               {"hostnossl", HbaType::kHostNoSsl}};

struct MethodWord {
  ByteView word;
  HbaMethod method;
  bool takes_map;
};
constexpr MethodWord kMethods[] = {{"trust", HbaMethod::kTrust, false},
                                   {"reject", HbaMethod::kReject, false},
                                   {"md5", HbaMethod::kMd5, false},
                                   {"password", HbaMethod::kPassword, false},
                                   {"peer", HbaMethod::kPeer, true},
                                   {"cert", HbaMethod::kCert, true},
                                   {"scram-sha-256", HbaMethod::kScramSha256, false},
                                   {"ldap", HbaMethod::kLdap, false}};

// Reads one line; failures come back as the text of a complaint, warnings are collected.
class LineReader {
 public:
  LineReader(ByteView line, const std::string& file, const IdentMaps& maps) : tokens_(line), file_(file), maps_(maps) {}

  bool blank() const { return tokens_.now().kind == TokenKind::kEnd; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  Result<HbaRule> read() {
    HbaRule rule;
    auto step = read_type(rule);
    if (step) step = read_names(tokens_, rule.databases, true, file_, 0);
    if (step) step = read_names(tokens_, rule.users, false, file_, 0);
    if (step && rule.type != HbaType::kLocal) step = read_address(rule);
    if (step) step = read_method(rule);
    if (!step) return step.error();
    finish(rule.databases);
    finish(rule.users);
    warn_if_hopeless(rule);
    return rule;
  }

 private:
  static void finish(HbaNames& list) {
    std::sort(list.names.begin(), list.names.end());
    list.names.erase(std::unique(list.names.begin(), list.names.end()), list.names.end());
  }

  Result<void> read_type(HbaRule& rule) {
    for (const TypeWord& row : kTypes) {
      if (!tokens_.now().is_word(row.word)) continue;
      rule.type = row.type;
      tokens_.next();
      return {};
    }
    return Error{cat("unknown type \"", tokens_.now().text, "\", expected local, host, hostssl or hostnossl")};
  }

  // A list "name, name, @file", up to the first token without a comma before it.
  Result<void> read_names(LineTokens& tokens, HbaNames& list, bool databases, const std::string& file, int depth) {
    while (true) {
      if (!tokens.now().is_name()) return Error{cat("expected a ", databases ? "database" : "user", " name")};
      auto read = read_name(tokens, list, databases, file, depth);
      if (!read) return read;
      tokens.next();
      if (tokens.now().kind != TokenKind::kComma) return {};
      tokens.next();
    }
  }

  Result<void> read_name(const LineTokens& tokens, HbaNames& list, bool databases, const std::string& file, int depth) {
    const detail::Token& token = tokens.now();
    if (list.names.size() >= kMaxNames) return Error{"too many names"};
    if (token.kind == TokenKind::kWord) {
      if (token.text[0] == '@') return read_file(token.text.substr(1), list, databases, file, depth);
      if (token.text[0] == '+') return Error{cat("groups are not supported: ", token.text)};
      if (token.text[0] == '/') return Error{cat("regular expressions are not supported: ", token.text)};
      if (bool* keyword = keyword_flag(token.text, list, databases)) {
        *keyword = true;
        return {};
      }
      for (ByteView word : kUnsupported)
        if (databases && token.text == word) return Error{cat(word, " is not supported")};
    }
    if (token.text.empty()) return Error{"empty name"};
    list.names.push_back(token.text);
    return {};
  }

  static bool* keyword_flag(ByteView word, HbaNames& list, bool databases) {
    if (word == "all") return &list.all;
    if (databases && word == "sameuser") return &list.same_user;
    if (databases && word == "replication") return &list.replication;
    return nullptr;
  }

  // The names in a file: comma lists, one or more lines. Relative to the directory of the file that names it.
  Result<void> read_file(const std::string& name, HbaNames& list, bool databases, const std::string& parent,
                         int depth) {
    if (name.empty()) return Error{"@ without a file name"};
    if (depth >= kMaxFileDepth || ++files_ > kMaxFiles) return Error{cat("too many files in files: @", name)};
    const size_t slash = parent.rfind('/');
    const std::string path = name[0] == '/' || slash == std::string::npos ? name : parent.substr(0, slash + 1) + name;
    auto file = read_text_file(path);
    if (!file) return Error{cat("could not read ", path, ": ", file.error().message)};
    Result<void> out;
    for_each_line(file->text, [&](ByteView line, int number) {
      LineTokens tokens(line);
      if (!out || tokens.now().kind == TokenKind::kEnd) return;
      out = read_names(tokens, list, databases, path, depth + 1);
      if (out && tokens.now().kind != TokenKind::kEnd) out = Error{"names must be separated by commas"};
      if (!out && out.error().message.find(": line ") == std::string::npos)
        out = Error{cat(path, ": line ", number, ": ", out.error().message)};
    });
    return out;
  }

  Result<void> read_address(HbaRule& rule) {
    if (tokens_.now().is_word("all")) {
      rule.any_address = true;
      tokens_.next();
      return {};
    }
    if (!tokens_.now().is_name()) return Error{"expected an address"};
    const std::string text = tokens_.now().text;
    tokens_.next();
    const size_t slash = text.find('/');
    rule.address = HbaAddress::parse(text.substr(0, slash));
    if (rule.address.size == 0)
      return Error{cat("\"", text, "\" is not an address (host names, samehost and samenet are not supported)")};
    auto mask = slash != std::string::npos ? mask_of_bits(rule, text.substr(slash + 1)) : read_mask(rule);
    if (!mask) return mask;
    for (size_t i = 0; i < rule.address.size; ++i) {
      const uint8_t masked = rule.address.bytes[i] & rule.mask[i];
      if (masked != rule.address.bytes[i] && warnings_.empty())
        warnings_.push_back(cat("address ", text, " has bits set beyond its mask; they are ignored"));
      rule.address.bytes[i] = masked;
    }
    unmap(rule);
    return {};
  }

  static Result<void> mask_of_bits(HbaRule& rule, const std::string& text) {
    unsigned bits = 0;
    auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), bits);
    if (failed != std::errc() || end != text.data() + text.size() || bits > rule.address.size * 8u)
      return Error{cat("\"/", text, "\" is not a prefix length from 0 to ", rule.address.size * 8)};
    for (unsigned i = 0; i < rule.address.size; ++i) {
      const unsigned here = std::min(8u, bits - std::min(bits, i * 8));
      rule.mask[i] = static_cast<uint8_t>(0xff00u >> here);
    }
    return {};
  }

  Result<void> read_mask(HbaRule& rule) {
    const HbaAddress mask = tokens_.now().is_name() ? HbaAddress::parse(tokens_.now().text) : HbaAddress{};
    if (mask.size != rule.address.size) return Error{"an address needs a /prefix length, or a mask of its family"};
    rule.mask = mask.bytes;
    tokens_.next();
    return {};
  }

  // ::ffff:a.b.c.d/96+n means a.b.c.d/n: clients are compared in their IPv4 form.
  static void unmap(HbaRule& rule) {
    if (rule.address.size != 16) return;
    const bool whole = std::all_of(rule.mask.begin(), rule.mask.begin() + 12, [](uint8_t b) { return b == 0xff; });
    const HbaAddress v4 = HbaAddress::of(ByteView(reinterpret_cast<const char*>(rule.address.bytes.data()), 16));
    if (!whole || v4.size != 4) return;
    std::copy(rule.mask.begin() + 12, rule.mask.end(), rule.mask.begin());
    std::fill(rule.mask.begin() + 4, rule.mask.end(), uint8_t{0});
    rule.address = v4;
  }

  Result<void> read_method(HbaRule& rule) {
    const auto* row = std::find_if(std::begin(kMethods), std::end(kMethods),
                                   [&](const MethodWord& method) { return tokens_.now().is_word(method.word); });
    if (row == std::end(kMethods)) return Error{cat("unknown method \"", tokens_.now().text, '"')};
    rule.method = row->method;
    if (row->method == HbaMethod::kLdap) {
      read_ldap(rule, tokens_.rest());
      return {};
    }
    tokens_.next();
    if (tokens_.now().kind == TokenKind::kEnd) return {};
    if (!row->takes_map) return Error{cat("unexpected \"", tokens_.now().text, "\" after ", row->word)};
    return read_map(rule);
  }

  // Options that cannot be used leave a rule by which nobody can log in: without the rule a laxer one might decide.
  void read_ldap(HbaRule& rule, ByteView rest) {
    auto options = parse_ldap_options(without_comment(rest));
    if (options) {
      rule.ldap = std::make_shared<const LdapOptions>(options.take());
    } else {
      warnings_.push_back(cat(options.error().message, ": nobody can log in by this rule"));
    }
    if (!kHasLdap) warnings_.emplace_back("this pgweir was built without LDAP: nobody can log in by this rule");
  }

  // A # outside quotes, at the start of a word: in a bare value it may be part of a password.
  static ByteView without_comment(ByteView rest) {
    bool quoted = false;
    for (size_t i = 0; i < rest.size(); ++i) {
      if (rest[i] == '"') quoted = !quoted;
      if (rest[i] == '#' && !quoted && (i == 0 || rest[i - 1] == ' ' || rest[i - 1] == '\t')) return rest.substr(0, i);
    }
    return rest;
  }

  // map=NAME or map="NAME", and nothing else.
  Result<void> read_map(HbaRule& rule) {
    if (tokens_.now().kind != TokenKind::kWord || !tokens_.now().text.starts_with("map="))
      return Error{cat("unknown option \"", tokens_.now().text, "\", expected map=NAME")};
    rule.map = tokens_.now().text.substr(4);
    tokens_.next();
    if (rule.map.empty() && tokens_.now().kind == TokenKind::kQuoted && tokens_.now().glued) {
      rule.map = tokens_.now().text;
      tokens_.next();
    }
    if (tokens_.now().kind != TokenKind::kEnd) return Error{cat("unexpected \"", tokens_.now().text, "\" after map=")};
    if (rule.map.empty() || !maps_.has(rule.map)) return Error{cat("ident map \"", rule.map, "\" is not defined")};
    return {};
  }

  // Such rules stay, because to skip them would let a later, laxer rule decide; but nobody can log in by them.
  void warn_if_hopeless(const HbaRule& rule) {
    if (rule.method == HbaMethod::kPeer && rule.type != HbaType::kLocal)
      warnings_.emplace_back("peer works on Unix sockets only: nobody can log in by this rule");
    if (rule.method == HbaMethod::kCert && (rule.type == HbaType::kLocal || rule.type == HbaType::kHostNoSsl))
      warnings_.emplace_back("cert needs TLS: nobody can log in by this rule");
  }

  LineTokens tokens_;
  const std::string& file_;
  const IdentMaps& maps_;
  std::vector<std::string> warnings_;
  int files_ = 0;  // read for this line
};

}  // namespace

HbaLoad parse_hba(ByteView text, const std::string& file, const IdentMaps& maps) {
  std::vector<HbaRule> rules;
  HbaLoad out;
  for_each_line(text, [&](ByteView line, int number) {
    LineReader reader(line, file, maps);
    if (reader.blank()) return;
    auto rule = reader.read();
    for (const std::string& warning : reader.warnings())
      out.complaints.push_back({file, number, false, cat("hba line ", number, ": ", warning)});
    if (!rule) {
      out.complaints.push_back({file, number, true, cat("hba line ", number, ": ", rule.error().message)});
      return;
    }
    rule->line = number;
    rules.push_back(rule.take());
  });
  out.rules = std::make_shared<const HbaRules>(std::move(rules));
  return out;
}

Result<HbaLoad> load_hba(const std::string& path, const IdentMaps& maps) {
  auto file = read_text_file(path);
  if (!file) return Error{cat("could not open hba config file ", path, ": ", file.error().message)};
  return parse_hba(file->text, path, maps);
}

}  // namespace pgweir::auth
