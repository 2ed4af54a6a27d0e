// What one look at the console brought home: the tables of some SHOW topics, as text, and when.
// Columns are found by name. A topic or a column that this pgweir (or PgBouncer) does not have is simply not there: its
// numbers are 0 and its texts empty.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::tools::top {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  bool has(std::string_view column) const;
};

class Row {
 public:
  Row(const Table& table, size_t at) : table_(table), at_(at) {}

  std::string_view text(std::string_view column) const;
  int64_t number(std::string_view column) const;  // also of a numeric with a fraction, which is cut off

 private:
  const Table& table_;
  size_t at_;
};

struct Sample {
  int64_t at_us = 0;    // of a clock that only goes forward
  std::string clock;    // the time of day, for people
  std::string failure;  // why the console could not be asked; then there are no tables
  std::map<std::string, Table> tables;

  const Table& table(const std::string& topic) const;  // an empty one when it is not there
  bool has(const std::string& topic) const { return tables.count(topic) != 0; }
};

// for (Row row : rows(table))
std::vector<Row> rows(const Table& table);

}  // namespace pgweir::tools::top
