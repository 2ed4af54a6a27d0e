#include "settings/ini.hpp"

#include <iniparser/iniparser.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/bytes.hpp"
#include "base/text.hpp"

namespace pgweir::settings {

namespace {

constexpr size_t kMostNested = 10;
constexpr size_t kMostBytes = 64u << 20;  // of all files together: beyond it somebody includes a device or himself
constexpr size_t kShieldPiece = 200;      // hex digits a line; iniparser refuses lines over 1024 bytes
constexpr size_t kBatchBytes =
    size_t{16} * 1024;  // iniparser's dictionary searches all it holds: many small ones are quick

bool bare_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != '\0' && std::strchr("_.-*", c) != nullptr);
}

void append_hex(std::string& out, std::string_view raw) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (char byte : raw) {
    const auto c = static_cast<unsigned char>(byte);
    out.push_back(kDigits[c >> 4]);
    out.push_back(kDigits[c & 15]);
  }
}

std::string from_hex(std::string_view hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t at = 0; at + 1 < hex.size(); at += 2)
    out.push_back(static_cast<char>(digit(hex[at]) * 16 + digit(hex[at + 1])));
  return out;
}

struct FreeDictionary {
  void operator()(dictionary* d) const { iniparser_freedict(d); }
};

// The part that iniparser plays. It lowercases names, ends a value at `;` or `#`, joins lines at a backslash, takes
// quotes and long lines for errors, and drops the whole file at the first one: so names and values go through it as
// "n<item>.<piece> = x<hex digits>", in short lines, and are put together again behind it.
class Shield {
 public:
  explicit Shield(Ini& ini) : ini_(ini) {}
  ~Shield() { wipe(text_); }

  // The item's section, file and line stay here; name and value travel.
  void send(IniItem item) {
    std::string hex;
    append_hex(hex, item.name);
    hex.push_back('g');
    append_hex(hex, item.value);
    wipe(item.value);
    const size_t number = ini_.items.size();
    ini_.items.push_back(std::move(item));
    for (size_t at = 0, piece = 0; at < hex.size(); at += kShieldPiece, ++piece)
      text_ += cat("n", number, ".", piece, "=x", hex.substr(at, kShieldPiece), "\n");
    wipe(hex);
    if (text_.size() >= kBatchBytes) flush();
  }

  void flush() {
    if (sent_ == ini_.items.size()) return;
    if (!through_iniparser()) {
      ini_.errors.push_back({"", 0, "could not hand the configuration to iniparser through /proc/self/fd"});
      ini_.items.resize(sent_);
    }
    sent_ = ini_.items.size();
    wipe(text_);
    text_ = kHead;
  }

 private:
  static constexpr const char* kHead = "[items]\n";

  bool through_iniparser() {
    int fd = ::memfd_create("pgweir-ini", MFD_CLOEXEC);
    if (fd < 0) return false;
    bool written = ::write(fd, text_.data(), text_.size()) == static_cast<ssize_t>(text_.size());
    std::unique_ptr<dictionary, FreeDictionary> parsed;
    if (written) parsed.reset(iniparser_load(cat("/proc/self/fd/", fd).c_str()));
    ::close(fd);
    if (parsed) receive(*parsed);
    return parsed != nullptr;
  }

  // A dictionary keeps the order in which it was filled, so the pieces of an item come in order.
  void receive(const dictionary& parsed) {
    std::vector<std::string> hex(ini_.items.size() - sent_);
    for (ssize_t at = 0; at < parsed.size; ++at) {
      const char* key = parsed.key[at];
      const char* value = parsed.val[at];
      if (!key || !value || value[0] != 'x' || std::strncmp(key, "items:n", 7) != 0) continue;
      const size_t item = std::strtoul(key + 7, nullptr, 10);
      if (item >= sent_ && item - sent_ < hex.size()) hex[item - sent_] += value + 1;
    }
    for (size_t at = 0; at < hex.size(); ++at) {
      const size_t split = std::min(hex[at].find('g'), hex[at].size() - 1);
      IniItem& item = ini_.items[sent_ + at];
      item.name = from_hex(std::string_view(hex[at]).substr(0, split));
      item.value = from_hex(std::string_view(hex[at]).substr(split + 1));
      wipe(hex[at]);
    }
  }

  Ini& ini_;
  std::string text_ = kHead;
  size_t sent_ = 0;  // items that have been through
};

// Up to `most` bytes and a bit, so that the caller sees when there are more.
std::string read_all(std::istream& in, size_t most) {
  std::string content;
  char chunk[16 * 1024];
  while (content.size() <= most && in.good()) {
    in.read(chunk, sizeof chunk);
    content.append(chunk, static_cast<size_t>(in.gcount()));
  }
  wipe(chunk, sizeof chunk);
  return content;
}

class Reader {
 public:
  explicit Reader(Ini& ini) : ini_(ini), shield_(ini) {}

  void file(const std::string& path, const std::string& from, int from_line) {
    const std::string& told = from.empty() ? path : from;
    if (nested_.size() > kMostNested)
      return problem(told, from_line, cat("include nesting limit of ", kMostNested, " reached at \"", path, "\""));
    struct stat facts = {};
    errno = 0;
    std::ifstream in(path, std::ios::binary);
    if (!in || ::stat(path.c_str(), &facts) != 0) return unreadable(told, from_line, path, errno_text(errno));
    if (S_ISDIR(facts.st_mode)) return unreadable(told, from_line, path, errno_text(EISDIR));
    const std::pair<dev_t, ino_t> identity{facts.st_dev, facts.st_ino};
    if (std::find(nested_.begin(), nested_.end(), identity) != nested_.end())
      return problem(told, from_line, cat("\"", path, "\" includes itself"));
    std::string content = read_all(in, kMostBytes - bytes_);
    bytes_ += content.size();
    if (bytes_ > kMostBytes) {
      bytes_ = kMostBytes;
      return problem(told, from_line, cat("the configuration is larger than ", kMostBytes, " bytes at \"", path, "\""));
    }
    nested_.push_back(identity);
    text(content, path);
    nested_.pop_back();
    wipe(content);
  }

  // A NUL ends the text.
  void text(std::string_view whole, const std::string& path) {
    whole = whole.substr(0, whole.find('\0'));
    for (int number = 1; !whole.empty(); ++number) {
      const size_t end = std::min(whole.find('\n'), whole.size());
      one_line(trim(whole.substr(0, end)), path, number);
      whole.remove_prefix(std::min(end + 1, whole.size()));
    }
  }

  void finish() { shield_.flush(); }

 private:
  void problem(const std::string& path, int line, std::string text) {
    ini_.errors.push_back({path, line, std::move(text)});
  }
  void unreadable(const std::string& told, int line, const std::string& path, const std::string& reason) {
    if (nested_.empty()) ini_.unreadable = true;
    problem(told, line, cat("could not load file \"", path, "\": ", reason));
  }
  // The line itself is not repeated: it may hold a password.
  void syntax(const std::string& path, int line, const char* hint) {
    problem(path, line, cat("syntax error in configuration (", path, ":", line, "), stopping loading: ", hint));
  }

  void one_line(std::string_view line, const std::string& path, int number) {
    while (!line.empty() && line[0] == '[') {
      const size_t end = line.find(']');
      if (end == std::string_view::npos) return syntax(path, number, "a section's name lacks its ']'");
      section_ = line.substr(1, end - 1);
      in_section_ = true;
      shield_.send({section_, "", "", path, number});
      line = trim(line.substr(end + 1));  // what follows on the line is the next item
    }
    if (line.empty() || line[0] == ';' || line[0] == '#') return;
    if (line.substr(0, 8) == "%include" && line.size() > 8 && (line[8] == ' ' || line[8] == '\t')) {
      return file(std::string(trim(line.substr(8))), path, number);
    }
    if (line[0] == '%') return syntax(path, number, "%include FILE is the only directive");
    assignment(line, path, number);
  }

  void assignment(std::string_view line, const std::string& path, int number) {
    std::string name;
    size_t at = 0;
    if (line[0] == '\'') {
      const size_t end = line.find('\'', 1);
      if (end == std::string_view::npos || end == 1) return syntax(path, number, "a quoted name lacks its quote");
      name = line.substr(1, end - 1);
      at = end + 1;
    } else {
      while (at < line.size() && bare_name_char(line[at]))
        ++at;
      name = line.substr(0, at);
    }
    const std::string_view rest = trim(line.substr(at));
    if (name.empty() || rest.empty() || rest[0] != '=') {
      return syntax(path, number, "expected NAME = VALUE (other names than letters, digits, _ . - * in 'quotes')");
    }
    if (!in_section_) return syntax(path, number, "a setting stands before the first section");
    shield_.send({section_, std::move(name), std::string(trim(rest.substr(1))), path, number});
  }

  Ini& ini_;
  Shield shield_;
  std::vector<std::pair<dev_t, ino_t>> nested_;  // the files being read, outermost first
  std::string section_;
  bool in_section_ = false;
  size_t bytes_ = 0;
};

}  // namespace

Ini read_ini(const std::string& path) {
  Ini ini;
  Reader reader(ini);
  reader.file(path, "", 0);
  reader.finish();
  return ini;
}

Ini parse_ini(const std::string& text, const std::string& name) {
  Ini ini;
  Reader reader(ini);
  reader.text(text, name);
  reader.finish();
  return ini;
}

}  // namespace pgweir::settings
