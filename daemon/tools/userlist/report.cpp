#include "tools/userlist/report.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "tools/common/json.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::userlist {

namespace {

struct StatusWords {
  const char* json;
  const char* text;
};
const StatusWords& words_of(Status status) {
  static constexpr std::array<StatusWords, 8> kWords = {{{"up_to_date", "up to date"},
                                                         {"written", "written"},
                                                         {"would_write", "would be written"},
                                                         {"out_of_date", "not up to date"},
                                                         {"kept_old", "left as it was"},
                                                         {"wrote_empty", "written without an entry"},
                                                         {"not_configured", "not configured"},
                                                         {"failed", "failed"}}};
  return kWords[static_cast<size_t>(status)];
}

void append_lines(std::string& out, const std::vector<std::string>& names, char sign, Colour colour, bool colours) {
  for (const std::string& name : names)
    out += cat(painted(cat(sign, ' ', shown_name(name)), colour, colours), '\n');
}

size_t count(const Report& report, LeftOut why) {
  return static_cast<size_t>(std::count_if(report.left_out.begin(), report.left_out.end(),
                                           [&](const auto& one) { return one.second == why; }));
}

std::string summary(const Report& report) {
  const Plan& plan = report.plan;
  std::string out =
      cat(shown_text(report.file), ": ", words_of(report.status).text, ": ", plan.added.size(), " added, ",
          plan.changed.size(), " changed, ", plan.removed.size(), " removed, ", plan.unchanged, " unchanged");
  if (!plan.kept.empty()) out += cat(", ", plan.kept.size(), " kept by hand");
  for (const std::string& remark : report.remarks)
    out += cat("; ", remark);
  // Of roles that the filters want; the rest is the administrator's wish and no news.
  static constexpr std::array<std::pair<LeftOut, const char*>, 3> kNews = {
      {{LeftOut::kExpired, " expired"}, {LeftOut::kNoSecret, " without a password"}, {LeftOut::kTooLong, " too long"}}};
  const char* before = "; left out: ";
  for (const auto& [why, words] : kNews) {
    if (count(report, why) == 0) continue;
    out += cat(before, count(report, why), words);
    before = ", ";
  }
  out.push_back('\n');
  return out;
}

void put_names(Json& json, const char* key, const std::vector<std::string>& names) {
  json.key(key).begin_array();
  for (const std::string& name : names)
    json.put(name);
  json.end_array();
}

}  // namespace

std::string as_text(const Report& report, bool colours, bool verbose) {
  if (report.status == Status::kNotConfigured) return cat(words_of(report.status).text, "\n");
  if (!report.error.empty()) return {};  // messages have told it
  std::string out;
  append_lines(out, report.plan.added, '+', Colour::kGreen, colours);
  append_lines(out, report.plan.changed, '~', Colour::kYellow, colours);
  append_lines(out, report.plan.removed, '-', Colour::kRed, colours);
  if (verbose) {
    append_lines(out, report.plan.kept, '=', Colour::kBold, colours);
    for (const auto& [name, why] : report.left_out)
      out += cat("  ", shown_name(name), ": left out, ", left_out_word(why), '\n');
  }
  return out + summary(report);
}

std::string as_json(const Report& report) {
  Json json;
  json.begin_object().put("file", report.file).put("status", words_of(report.status).json);
  json.put("exit", static_cast<int>(report.exit));
  put_names(json, "added", report.plan.added);
  put_names(json, "changed", report.plan.changed);
  put_names(json, "removed", report.plan.removed);
  put_names(json, "kept", report.plan.kept);
  json.put("unchanged", report.plan.unchanged);
  json.key("left_out").begin_array();
  for (const auto& [name, why] : report.left_out)
    json.begin_object().put("role", name).put("reason", left_out_word(why)).end_object();
  json.end_array();
  put_names(json, "remarks", report.remarks);
  json.key("server");
  report.server.empty() ? json.put_null() : json.put(report.server);
  json.key("error");
  report.error.empty() ? json.put_null() : json.put(report.error);
  json.end_object();
  return json.text() + "\n";
}

}  // namespace pgweir::tools::userlist
