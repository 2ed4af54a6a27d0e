// From where on a figure is yellow, and from where on red. One table makes the names of the file and their defaults.
// The file is an ini with a section [thresholds]; a value is YELLOW RED, or "off".
#pragma once

#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace pgweir::tools::top {

inline constexpr const char* kDefaultThresholds = "/etc/pgweir/top.conf";

enum class Level { kGreen, kYellow, kRed };

struct Threshold {
  double yellow = 0;
  double red = 0;

  static constexpr double kNever = std::numeric_limits<double>::infinity();
  Level of(double value) const { return value >= red ? Level::kRed : value >= yellow ? Level::kYellow : Level::kGreen; }
};

struct Thresholds {
  Threshold wait_seconds = {1, 5};                // the longest wait of a pool
  Threshold waiting_clients = {1, 20};            // of a pool
  Threshold idle_transaction_seconds = {10, 60};  // the longest time that a transaction of a pool rests
  Threshold pool_percent = {90, 100};             // servers at work, of pool_size; red only while somebody waits
  Threshold database_percent = {80, 95};          // server connections, of max_db_connections
  Threshold client_percent = {80, 95};            // client connections, of max_client_conn and the limits of a database
  Threshold worker_percent = {80, 95};            // of a core
  Threshold query_ms = {Threshold::kNever, Threshold::kNever};        // mean, of a database
  Threshold transaction_ms = {Threshold::kNever, Threshold::kNever};  // mean, of a database
};

struct ThresholdRow {
  const char* name;
  Threshold Thresholds::*member;
};
std::span<const ThresholdRow> threshold_rows();

// Error: every complaint, with file and line, joined by "; ".
Result<Thresholds> read_thresholds(const std::string& path);
Result<Thresholds> parse_thresholds(const std::string& text, const std::string& name);

}  // namespace pgweir::tools::top
