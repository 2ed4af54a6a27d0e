#include "tools/top/sample.hpp"

#include <algorithm>
#include <charconv>

namespace pgweir::tools::top {

bool Table::has(std::string_view column) const {
  return std::find(columns.begin(), columns.end(), column) != columns.end();
}

std::string_view Row::text(std::string_view column) const {
  const auto found = std::find(table_.columns.begin(), table_.columns.end(), column);
  const auto place = static_cast<size_t>(found - table_.columns.begin());
  const std::vector<std::string>& cells = table_.rows[at_];
  return place < cells.size() ? std::string_view(cells[place]) : std::string_view();
}

int64_t Row::number(std::string_view column) const {
  const std::string_view cell = text(column);
  const size_t first = cell.find_first_not_of(' ');
  if (first == std::string_view::npos) return 0;
  int64_t value = 0;
  const auto done = std::from_chars(cell.data() + first, cell.data() + cell.size(), value);
  return done.ec == std::errc() ? value : 0;
}

const Table& Sample::table(const std::string& topic) const {
  static const Table kNone;
  const auto found = tables.find(topic);
  return found == tables.end() ? kNone : found->second;
}

std::vector<Row> rows(const Table& table) {
  std::vector<Row> out;
  out.reserve(table.rows.size());
  for (size_t at = 0; at < table.rows.size(); ++at)
    out.emplace_back(table, at);
  return out;
}

}  // namespace pgweir::tools::top
