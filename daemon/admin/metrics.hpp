// What the console shows, as text for a monitor: OpenMetrics 1.0, or Prometheus' older text format for those who do not
// ask for it. Pure: rows of SHOWs in, text out. Series are bounded: of pools, databases and users beyond the first
// kMostOfAKind the sums are told, under "(others)".
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "admin/commands.hpp"

namespace pgweir::admin {

inline constexpr size_t kMostOfAKind = 500;

// The topics of SHOW whose rows are needed.
const std::vector<std::string_view>& metric_topics();

// Rows by topic, as SHOW has them; those of LATENCIES as collect_latencies does, merged.
using Shown = std::map<std::string_view, Rows>;

enum class Exposition : uint8_t { kOpenMetrics, kPrometheus };

// From the header Accept of the request.
Exposition exposition_for(std::string_view accept);
std::string content_type(Exposition form);
std::string metrics_text(const Shown& shown, Exposition form);

// One topic's rows for metrics_text, on the Director, from a job that has been gathered.
Rows rows_for_metrics(const Job& job, const Context& context);
// A job that asks for that topic.
std::shared_ptr<Job> make_show_job(std::string_view topic);

}  // namespace pgweir::admin
