#include "tools/top/thresholds.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.hpp"
#include "settings/ini.hpp"

namespace pgweir::tools::top {

namespace {

using T = Thresholds;
constexpr ThresholdRow kRows[] = {
    {"wait_seconds", &T::wait_seconds},
    {"waiting_clients", &T::waiting_clients},
    {"idle_transaction_seconds", &T::idle_transaction_seconds},
    {"pool_percent", &T::pool_percent},
    {"database_percent", &T::database_percent},
    {"client_percent", &T::client_percent},
    {"worker_percent", &T::worker_percent},
    {"query_ms", &T::query_ms},
    {"transaction_ms", &T::transaction_ms},
};

std::optional<double> number(const std::string& word) {
  if (word == "off") return Threshold::kNever;
  double value = 0;
  const auto done = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool whole = done.ec == std::errc() && done.ptr == word.data() + word.size();
  return whole && value >= 0 && value < 1e12 ? std::optional(value) : std::nullopt;
}

Result<Threshold> read(const std::string& value) {
  const std::vector<std::string> words = split_names(value);
  if (words.size() == 1 && words[0] == "off") return Threshold{Threshold::kNever, Threshold::kNever};
  const auto yellow = words.size() == 2 ? number(words[0]) : std::nullopt;
  const auto red = words.size() == 2 ? number(words[1]) : std::nullopt;
  if (!yellow || !red) return Error{cat("\"", value, "\" is neither two numbers, YELLOW RED, nor off")};
  // A red limit alone is said by "off RED"; red below yellow is a slip.
  if (*yellow != Threshold::kNever && *red < *yellow) return Error{"red is less than yellow"};
  return Threshold{*yellow, *red};
}

Result<Thresholds> from(const settings::Ini& ini) {
  Thresholds out;
  std::string complaints;
  auto complain = [&](const std::string& file, int line, const std::string& text) {
    complaints += cat(complaints.empty() ? "" : "; ", file, line > 0 ? cat(":", line) : "", ": ", text);
  };
  for (const settings::Problem& problem : ini.errors)
    complain(problem.file, problem.line, problem.text);
  for (const settings::IniItem& item : ini.items) {
    if (item.section != "thresholds") {
      complain(item.file, item.line, cat("unknown section [", item.section, "], only [thresholds] is known"));
      continue;
    }
    if (item.name.empty()) continue;
    const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                   [&](const ThresholdRow& one) { return item.name == one.name; });
    if (row == std::end(kRows)) {
      complain(item.file, item.line, cat("unknown threshold ", item.name));
      continue;
    }
    auto value = read(item.value);
    if (value) {
      out.*row->member = *value;
    } else {
      complain(item.file, item.line, cat(item.name, ": ", value.error().message));
    }
  }
  if (!complaints.empty()) return Error{complaints};
  return out;
}

}  // namespace

std::span<const ThresholdRow> threshold_rows() {
  return kRows;
}

Result<Thresholds> read_thresholds(const std::string& path) {
  return from(settings::read_ini(path));
}

Result<Thresholds> parse_thresholds(const std::string& text, const std::string& name) {
  return from(settings::parse_ini(text, name));
}

}  // namespace pgweir::tools::top
