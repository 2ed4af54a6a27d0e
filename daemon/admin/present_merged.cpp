// The last touch on merged rows: pools, connections, descriptors, statistics.
#include <iterator>

#include "admin/collect.hpp"
#include "admin/present.hpp"
#include "base/histogram.hpp"

namespace pgweir::admin {

namespace {

using session::Counters;

constexpr size_t kMaxWait = 13;  // columns of SHOW POOLS
constexpr size_t kWaitCause = 17;

// In the order of the columns of SHOW STATS.
constexpr uint64_t Counters::*kCounters[] = {
    &Counters::server_assignments, &Counters::xacts,     &Counters::queries,
    &Counters::received,           &Counters::sent,      &Counters::xact_time,
    &Counters::query_time,         &Counters::wait_time, &Counters::client_parses,
    &Counters::server_parses,      &Counters::binds,     &Counters::client_logins,
};

// In the same order.
constexpr const char* kLabels[] = {"server_assignment_count",
                                   "xact_count",
                                   "query_count",
                                   "client_bytes",
                                   "server_bytes",
                                   "xact_time",
                                   "query_time",
                                   "wait_time",
                                   "ps_client_parse_count",
                                   "ps_server_parse_count",
                                   "ps_bind_count",
                                   "client_login_count"};
static_assert(std::size(kLabels) == std::size(kCounters));

// With the console's own. Its row is there only when it is in use, and so always when somebody asks.
Totals all_totals(const Rows& merged, const Context& context) {
  Totals totals = totals_from(merged);
  totals[kConsoleDatabase] += context.averages.console;
  return totals;
}

void append(RowCells& row, RowCells cells) {
  row.insert(row.end(), std::make_move_iterator(cells.begin()), std::make_move_iterator(cells.end()));
}

Rows rows_of_stats(const Rows& merged, const Context& context, bool with_totals, bool with_averages) {
  const Micros now = monotonic_now();
  Rows rows;
  for (const auto& [database, counters] : all_totals(merged, context)) {
    RowCells row = {database};
    if (with_totals) append(row, counter_cells(counters));
    if (with_averages) append(row, counter_cells(context.averages.average(database, counters, now)));
    rows.push_back(std::move(row));
  }
  return rows;
}

Rows without_sort_cells(Rows rows) {
  sort_rows(rows, kSortCells);
  for (RowCells& row : rows)
    row.erase(row.begin(), row.begin() + kSortCells);
  return rows;
}

}  // namespace

RowCells counter_cells(const Counters& counters) {
  RowCells cells;
  for (auto member : kCounters)
    cells.push_back(std::to_string(counters.*member));
  return cells;
}

Totals totals_from(const Rows& rows) {
  Totals totals;
  for (const RowCells& row : rows) {
    if (row.size() <= std::size(kCounters)) continue;
    Counters counters;
    for (size_t at = 0; at < std::size(kCounters); ++at)
      counters.*kCounters[at] = static_cast<uint64_t>(number_of(row[at + 1]));
    totals[row[0].value_or("")] += counters;
  }
  return totals;
}

Rows present_pools(Rows merged, const Context& context) {
  for (RowCells& row : merged) {
    const Micros wait = number_of(row[kMaxWait]);
    row[kMaxWait] = int4(wait / kSecond);
    row[kMaxWait + 1] = int4(wait % kSecond);
    if (context.snapshot->global.console_extra_columns) {
      row[kWaitCause] = std::string(longest_cause(row[kWaitCause]));
    } else {
      row.resize(kWaitCause);
    }
  }
  return merged;
}

// From rows of collect_latencies to times in microseconds.
Rows present_latencies(Rows merged, const Context&) {
  Rows rows;
  for (RowCells& row : merged) {
    Histogram histogram;
    if (row.size() < 4 || !histogram.add_text(row[3].value_or(""))) continue;
    row.resize(3);
    row.push_back(std::to_string(histogram.count()));
    row.push_back(std::to_string(histogram.mean()));
    for (double part : {0.5, 0.9, 0.99, 0.999})
      row.push_back(std::to_string(histogram.percentile(part)));
    row.push_back(std::to_string(histogram.most()));
    rows.push_back(std::move(row));
  }
  return rows;
}

Rows present_connections(Rows merged, const Context&) {
  return without_sort_cells(std::move(merged));
}

Rows present_fds(Rows merged, const Context& context) {
  Rows rows;
  for (const RowCells& listener : context.listeners ? context.listeners() : Rows()) {
    if (listener.size() < 3) continue;
    const bool is_unix = listener[1] == "unix";
    const Cell port = is_unix ? int4(context.snapshot->global.listen_port) : listener[2];
    rows.push_back({listener[0], "pooler", Cell(), Cell(), listener[1], port, "0", "0", Cell(), Cell(), Cell(), Cell(),
                    Cell(), Cell(), Cell()});
  }
  Rows connections = without_sort_cells(std::move(merged));
  rows.insert(rows.end(), connections.begin(), connections.end());
  return rows;
}

// NOLINTBEGIN(performance-unnecessary-value-param): one signature for all (Present); those that can, move from it
Rows present_stats(Rows merged, const Context& context) {
  return rows_of_stats(merged, context, true, true);
}

Rows present_stats_totals(Rows merged, const Context& context) {
  return rows_of_stats(merged, context, true, false);
}

Rows present_stats_averages(Rows merged, const Context& context) {
  return rows_of_stats(merged, context, false, true);
}

Rows present_totals(Rows merged, const Context& context) {
  const Totals totals = all_totals(merged, context);
  const RowCells sums = counter_cells(sum_of(totals));
  const RowCells means = counter_cells(context.averages.average(totals, monotonic_now()));
  Rows rows;
  for (size_t at = 0; at < std::size(kLabels); ++at)
    rows.push_back({std::string("total_") + kLabels[at], sums[at]});
  for (size_t at = 0; at < std::size(kLabels); ++at)
    rows.push_back({std::string("avg_") + kLabels[at], means[at]});
  return rows;
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace pgweir::admin
