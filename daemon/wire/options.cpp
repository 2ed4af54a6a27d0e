#include "wire/options.hpp"

#include <algorithm>

namespace pgweir::wire {

namespace {

bool blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

// Words separated by white space; a backslash takes the next character as it is (PostgreSQL's pg_split_opts).
std::vector<std::string> split(ByteView text) {
  std::vector<std::string> words;
  size_t at = 0;
  for (;;) {
    while (at < text.size() && blank(text[at]))
      ++at;
    if (at == text.size()) return words;
    std::string word;
    for (; at < text.size() && !blank(text[at]); ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      word.push_back(text[at]);
    }
    words.push_back(std::move(word));
  }
}

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> parse_options(ByteView text) {
  const Error bad{"unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed",
                  "08P01"};
  std::vector<std::pair<std::string, std::string>> settings;
  std::vector<std::string> words = split(text);
  if (words.empty()) return bad;
  for (size_t at = 0; at < words.size(); ++at) {
    std::string item;
    if (words[at] == "-c") {
      if (++at == words.size()) return bad;
      item = words[at];
    } else if (words[at].rfind("-c", 0) == 0 || words[at].rfind("--", 0) == 0) {
      item = words[at].substr(2);
    } else {
      return bad;
    }
    size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0) return bad;
    std::string name = item.substr(0, equals);
    std::replace(name.begin(), name.end(), '-', '_');  // as PostgreSQL's ParseLongOption does
    settings.emplace_back(std::move(name), item.substr(equals + 1));
  }
  return settings;
}

}  // namespace pgweir::wire
