#include "tools/check/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/text.hpp"
#include "base/version.hpp"
#include "tools/common/json.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

namespace {

constexpr size_t kWidth = 80;
constexpr size_t kTextColumn = 28;  // 2 + "blocked" + 2 + the longest name + 1

// Characters, not bytes; what is no UTF-8 has become escapes before.
size_t length(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Words put into lines that end before kWidth; the first begins where the caller stands.
std::string wrapped(std::string_view text, size_t column) {
  std::string out;
  size_t at = column;
  bool first = true;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!first && at + 1 + length(word) > kWidth) {
      out += cat('\n', std::string(column, ' '));
      at = column;
      first = true;
    }
    if (!first) {
      out.push_back(' ');
      ++at;
    }
    out += word;
    at += length(word);
    first = false;
  }
  return out;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size() + 1, width), ' ');
  return text;
}

std::string decimal(double number) {
  char text[32] = {};
  // Downwards: only what is perfect is 10.0.
  std::snprintf(text, sizeof text, "%.1f", std::floor(number * 10 + 1e-9) / 10);
  return text;
}

struct Look {
  const char* word;
  Colour colour;
};
Look look_of(Status status) {
  static constexpr std::array<Look, kStatuses> kLooks = {{{"ok", Colour::kGreen},
                                                          {"warn", Colour::kYellow},
                                                          {"FAIL", Colour::kRed},
                                                          {"BLOCKED", Colour::kRed},
                                                          {"skip", Colour::kNone},
                                                          {"-", Colour::kNone}}};
  return kLooks[static_cast<size_t>(status)];
}

void put_test(Json& json, const Test& test) {
  json.put("id", test.id).put("phase", word_of(test.phase)).put("dimension", word_of(test.dimension));
  json.put("weight", test.weight).put("disturbs", test.disturbs).put("what", test.what);
}

}  // namespace

std::string line_of(const Done& done, bool first, bool colours) {
  const Look look = look_of(done.outcome.status);
  std::string out = first ? cat(painted(word_of(done.test->phase), Colour::kBold, colours), '\n') : "";
  out += cat("  ", painted(look.word, look.colour, colours), std::string(9 - std::string_view(look.word).size(), ' '));
  out += padded(done.test->id, kTextColumn - 11);
  out += cat(wrapped(shown_text(done.outcome.reason), kTextColumn), '\n');
  if (!done.outcome.remedy.empty())
    out += cat(std::string(kTextColumn, ' '), "> ", wrapped(shown_text(done.outcome.remedy), kTextColumn + 2), '\n');
  return out;
}

std::string summary(const Score& score, bool passed, bool colours) {
  std::string out = cat("\n", painted("quality", Colour::kBold, colours), '\n');
  for (int at = 0; at < kDimensions; ++at) {
    const auto& one = score.dimensions[static_cast<size_t>(at)];
    const std::string name = padded(word_of(static_cast<Dimension>(at)), 16);
    const std::string number = one ? decimal(*one) : "-";
    out += cat("  ", name, std::string(4 - std::min<size_t>(4, number.size()), ' '), number);
    if (one) out += cat("  ", std::string(static_cast<size_t>(*one * 2 + 1e-9), '#'));
    out.push_back('\n');
  }
  std::string counts;
  static constexpr std::array<const char*, kStatuses> kWords = {" passed",  " warned",       " failed",
                                                                " blocked", " do not apply", " not asked for"};
  for (size_t at = 0; at < kStatuses; ++at)
    if (score.counts[at] > 0) counts += cat(counts.empty() ? "" : ", ", score.counts[at], kWords[at]);
  out += painted(cat("  quality ", decimal(score.quality), " of 10"), passed ? Colour::kGreen : Colour::kRed, colours);
  return out + cat(": ", wrapped(counts, 26), '\n');
}

std::string list_text() {
  std::string out;
  const Test* before = nullptr;
  for (const Test& test : tests()) {
    if (!before || before->phase != test.phase) out += cat(word_of(test.phase), '\n');
    out += cat("  ", padded(test.id, 18), test.what, test.disturbs ? " (--disturb)" : "", '\n');
    before = &test;
  }
  return out;
}

std::string list_json() {
  Json json;
  json.begin_array();
  for (const Test& test : tests()) {
    json.begin_object();
    put_test(json, test);
    json.end_object();
  }
  json.end_array();
  return json.text() + "\n";
}

std::string as_json(const std::vector<Done>& done, const Score& score, int exit) {
  Json json;
  json.begin_object().put("version", kVersion).put("exit", exit).put("quality", score.quality);
  json.key("dimensions").begin_object();
  for (int at = 0; at < kDimensions; ++at) {
    const auto& one = score.dimensions[static_cast<size_t>(at)];
    json.key(word_of(static_cast<Dimension>(at)));
    one ? json.put(*one) : json.put_null();
  }
  json.end_object().key("counts").begin_object();
  for (int at = 0; at < kStatuses; ++at)
    json.put(word_of(static_cast<Status>(at)), score.counts[static_cast<size_t>(at)]);
  json.end_object().key("tests").begin_array();
  for (const Done& one : done) {
    json.begin_object();
    put_test(json, *one.test);
    json.put("status", word_of(one.outcome.status)).put("reason", one.outcome.reason).key("remedy");
    one.outcome.remedy.empty() ? json.put_null() : json.put(one.outcome.remedy);
    json.put("milliseconds", one.milliseconds).end_object();
  }
  json.end_array().end_object();
  return json.text() + "\n";
}

}  // namespace pgweir::tools::check
