#include "settings/ini.hpp"

#include <iniparser/iniparser.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/text.hpp"

namespace pgweir::settings {

namespace {

constexpr int kMostNested = 10;
constexpr size_t kShieldPiece = 200;  // hex digits a line; iniparser cuts lines at 1024

struct Shielded {
  std::string text;             // what iniparser reads
  std::vector<IniItem> places;  // by item number: section, file and line
  std::vector<Problem> errors;
};

bool bare_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::strchr("_.-*", c) != nullptr;
}

std::string to_hex(const std::string& raw) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : raw) {
    out.push_back(kDigits[c >> 4]);
    out.push_back(kDigits[c & 15]);
  }
  return out;
}

std::string from_hex(const std::string& hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t at = 0; at + 1 < hex.size(); at += 2)
    out.push_back(static_cast<char>(digit(hex[at]) * 16 + digit(hex[at + 1])));
  return out;
}

class Shielder {
 public:
  explicit Shielder(Shielded& out) : out_(out) { out_.text = "[items]\n"; }

  void file(const std::string& path, int depth, const std::string& from, int from_line) {
    if (depth > kMostNested)
      return problem(from, from_line, cat("include nesting limit of ", kMostNested, " reached at \"", path, "\""));
    std::ifstream in(path, std::ios::binary);
    if (!in)
      return problem(from.empty() ? path : from, from_line,
                     cat("could not load file \"", path, "\": ", std::strerror(errno)));
    std::stringstream all;
    all << in.rdbuf();
    text(all.str(), path, depth);
  }

  void text(const std::string& whole, const std::string& path, int depth) {
    std::string content = whole.substr(0, whole.find('\0'));
    std::istringstream in(content);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number)
      one_line(trim(line), path, number, depth);
  }

 private:
  void problem(const std::string& path, int line, std::string text) {
    out_.errors.push_back({path, line, std::move(text)});
  }
  void syntax(const std::string& path, int line, const char* hint) {
    problem(path, line, cat("syntax error in configuration (", path, ":", line, "), stopping loading: ", hint));
  }

  void one_line(std::string_view line, const std::string& path, int number, int depth) {
    if (line.empty() || line[0] == ';' || line[0] == '#') return;
    if (line[0] == '[') return header(line, path, number, depth);
    if (line.substr(0, 8) == "%include" && line.size() > 8 && (line[8] == ' ' || line[8] == '\t')) {
      return file(std::string(trim(line.substr(8))), depth + 1, path, number);
    }
    if (line[0] == '%') return syntax(path, number, "unknown directive");
    assignment(line, path, number);
  }

  void header(std::string_view line, const std::string& path, int number, int depth) {
    size_t end = line.find(']');
    if (end == std::string_view::npos) return syntax(path, number, "a section's name lacks its ']'");
    section_ = line.substr(1, end - 1);
    add("", "", path, number);
    std::string_view rest = trim(line.substr(end + 1));
    if (!rest.empty()) one_line(rest, path, number, depth);
  }

  void assignment(std::string_view line, const std::string& path, int number) {
    std::string name;
    size_t at = 0;
    if (line[0] == '\'') {
      size_t end = line.find('\'', 1);
      if (end == std::string_view::npos || end == 1) return syntax(path, number, "a quoted name lacks its quote");
      name = line.substr(1, end - 1);
      at = end + 1;
    } else {
      while (at < line.size() && bare_name_char(line[at]))
        ++at;
      name = line.substr(0, at);
    }
    std::string_view rest = trim(line.substr(at));
    if (name.empty() || rest.empty() || rest[0] != '=') return syntax(path, number, "expected NAME = VALUE");
    if (section_.empty()) return syntax(path, number, "a setting stands before the first section");
    add(name, std::string(trim(rest.substr(1))), path, number);
  }

  // Shielded as "n<number>.<piece> = <hex>": letters and digits only, of a length that iniparser keeps.
  void add(const std::string& name, const std::string& value, const std::string& path, int number) {
    size_t item = out_.places.size();
    out_.places.push_back({section_, "", "", path, number});
    std::string hex = to_hex(name) + "g" + to_hex(value);
    for (size_t at = 0, piece = 0; at < hex.size(); at += kShieldPiece, ++piece) {
      out_.text += cat("n", item, ".", piece, "=x", hex.substr(at, kShieldPiece), "\n");
    }
  }

  Shielded& out_;
  std::string section_;
};

struct FreeDictionary {
  void operator()(dictionary* d) const { iniparser_freedict(d); }
};

// Gives the shielded text to iniparser and takes names and values out of its dictionary.
Ini through_iniparser(Shielded shielded) {
  Ini ini;
  ini.errors = std::move(shielded.errors);
  int fd = memfd_create("pgweir-ini", MFD_CLOEXEC);
  bool written =
      fd >= 0 && ::write(fd, shielded.text.data(), shielded.text.size()) == static_cast<ssize_t>(shielded.text.size());
  std::unique_ptr<dictionary, FreeDictionary> parsed;
  if (written) parsed.reset(iniparser_load(cat("/proc/self/fd/", fd).c_str()));
  if (fd >= 0) ::close(fd);
  if (!parsed) {
    ini.errors.push_back({"", 0, "could not hand the configuration to iniparser"});
    return ini;
  }
  std::vector<std::string> hex(shielded.places.size());
  // The dictionary keeps the order of the file; reading it in order costs no look-ups.
  for (ssize_t at = 0; at < parsed->size; ++at) {
    const char* key = parsed->key[at];
    const char* value = parsed->val[at];
    if (!key || !value || std::strncmp(key, "items:n", 7) != 0) continue;
    size_t item = std::strtoul(key + 7, nullptr, 10);
    if (item < hex.size()) hex[item] += value + 1;
  }
  for (size_t item = 0; item < hex.size(); ++item) {
    IniItem& place = shielded.places[item];
    size_t split = hex[item].find('g');
    if (split == std::string::npos) continue;
    place.name = from_hex(hex[item].substr(0, split));
    place.value = from_hex(hex[item].substr(split + 1));
    ini.items.push_back(std::move(place));
  }
  return ini;
}

}  // namespace

Ini read_ini(const std::string& path) {
  Shielded shielded;
  Shielder(shielded).file(path, 0, "", 0);
  return through_iniparser(std::move(shielded));
}

Ini parse_ini(const std::string& text, const std::string& name) {
  Shielded shielded;
  Shielder(shielded).text(text, name, 0);
  return through_iniparser(std::move(shielded));
}

}  // namespace pgweir::settings
