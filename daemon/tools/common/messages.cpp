#include "tools/common/messages.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/text.hpp"

namespace pgweir::tools {

namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value ? value : "";
}

// systemd.exec(5): "device:inode" of the stream that is the journal.
bool is_journal(int fd) {
  struct stat facts {};
  return ::fstat(fd, &facts) == 0 && environment("JOURNAL_STREAM") == cat(facts.st_dev, ':', facts.st_ino);
}

void append_escape(std::string& out, char c) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '\n') {
    out += "\\n";
  } else if (c == '\t') {
    out += "\\t";
  } else if (c == '\r') {
    out += "\\r";
  } else {
    out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

// C1 controls and what turns the direction of writing are characters of UTF-8 that steer a terminal all the same.
bool steers(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]) < 0x20 || character[0] == 0x7F;
  if (character.size() == 2) return character[0] == '\xC2' && static_cast<unsigned char>(character[1]) < 0xA0;
  return character.starts_with("\xE2\x80")
             ? (character[2] >= '\x8B' && character[2] <= '\x8F') || (character[2] >= '\xA8' && character[2] <= '\xAE')
             : character.starts_with("\xE2\x81") && character[2] >= '\xA6' && character[2] <= '\xA9';
}

std::string escaped(std::string_view text, std::string_view also) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_character(text, at);
    const std::string_view piece = text.substr(at, std::max<size_t>(end - at, 1));
    if (end == at || steers(piece)) {
      for (char c : piece)
        append_escape(out, c);
    } else {
      if (piece.size() == 1 && also.find(piece[0]) != std::string_view::npos) out.push_back('\\');
      out += piece;
    }
    at += piece.size();
  }
  return out;
}

}  // namespace

size_t next_character(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  if (at < text.size() && first < 0x80) return at + 1;
  const size_t length = first >= 0xC2 && first < 0xE0   ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  if (length == 0) return at;
  for (size_t i = 1; i < length; ++i)
    if ((byte(at + i) & 0xC0) != 0x80) return at;
  const unsigned second = byte(at + 1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second >= 0xA0) || (first == 0xF4 && second >= 0x90);
  return overlong || outside ? at : at + length;
}

bool wants_colours(int fd) {
  return ::isatty(fd) == 1 && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

std::string painted(std::string_view text, Colour colour, bool on) {
  static constexpr const char* kCodes[] = {"", "31", "32", "33", "1"};
  if (!on || colour == Colour::kNone) return std::string(text);
  return cat("\x1b[", kCodes[static_cast<int>(colour)], 'm', text, "\x1b[0m");
}

std::string shown_text(std::string_view text) {
  return escaped(text, "");
}

std::string shown_name(std::string_view name) {
  auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.@$/").find(c) != std::string_view::npos || static_cast<unsigned char>(c) >= 0x80;
  };
  std::string text = escaped(name, "\"\\");
  if (!name.empty() && text == name && std::all_of(name.begin(), name.end(), harmless)) return text;
  return cat('"', text, '"');
}

Messages::Messages(std::string program)
    : program_(std::move(program)), journal_(is_journal(STDERR_FILENO)), colours_(wants_colours(STDERR_FILENO)) {}

void Messages::error(std::string_view text) const {
  put("error", Colour::kRed, '3', text);
}

void Messages::warning(std::string_view text) const {
  put("warning", Colour::kYellow, '4', text);
}

void Messages::put(const char* word, Colour colour, char priority, std::string_view text) const {
  const std::string line = cat(journal_ ? cat('<', priority, '>') : std::string(), program_, ": ",
                               painted(cat(word, ':'), colour, colours_), ' ', shown_text(text), '\n');
  std::fflush(stdout);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool Messages::print(std::string_view text) const {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return true;
  error(cat("cannot write to standard output: ", std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe): one thread
  return false;
}

}  // namespace pgweir::tools
