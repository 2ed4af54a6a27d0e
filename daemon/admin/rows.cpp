#include "admin/rows.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/histogram.hpp"

namespace pgweir::admin {

namespace {

bool parse_number(const Cell& cell, int64_t& number) {
  if (!cell || cell->empty()) return false;
  auto [end, error] = std::from_chars(cell->data(), cell->data() + cell->size(), number);
  return error == std::errc() && end == cell->data() + cell->size();
}

void add_histogram(Cell& to, const Cell& from) {
  Histogram sum;
  if (to && from && sum.add_text(*to) && sum.add_text(*from)) to = sum.text();
}

void add(RowCells& to, const RowCells& from, const MergeRule& rule) {
  if (rule.histograms && to.size() > rule.keys && from.size() > rule.keys)
    add_histogram(to[rule.keys], from[rule.keys]);
  for (size_t at = rule.keys; at < to.size() && at < from.size(); ++at) {
    int64_t mine = 0;
    int64_t other = 0;
    if (!parse_number(to[at], mine) || !parse_number(from[at], other)) continue;
    bool largest = std::find(rule.most.begin(), rule.most.end(), at) != rule.most.end();
    to[at] = std::to_string(largest ? std::max(mine, other) : mine + other);
  }
}

Rows merge_sums(const std::vector<Rows>& parts, const MergeRule& rule) {
  std::map<RowCells, RowCells> merged;
  for (const Rows& part : parts) {
    for (const RowCells& row : part) {
      RowCells key(row.begin(), row.begin() + static_cast<ptrdiff_t>(std::min(rule.keys, row.size())));
      auto [place, fresh] = merged.emplace(std::move(key), row);
      if (!fresh) add(place->second, row, rule);
    }
  }
  Rows out;
  out.reserve(merged.size());
  for (auto& [key, row] : merged)
    out.push_back(std::move(row));
  return out;
}

}  // namespace

Rows merge(const std::vector<Rows>& parts, const MergeRule& rule) {
  if (rule.how == Merge::kSum) return merge_sums(parts, rule);
  Rows out;
  for (const Rows& part : parts)
    out.insert(out.end(), part.begin(), part.end());
  return out;
}

void sort_rows(Rows& rows, size_t columns) {
  std::stable_sort(rows.begin(), rows.end(), [columns](const RowCells& a, const RowCells& b) {
    for (size_t at = 0; at < columns && at < a.size() && at < b.size(); ++at) {
      if (a[at] != b[at]) return a[at] < b[at];
    }
    return false;
  });
}

Cell text_or_null(const std::string& text) {
  return text.empty() ? Cell() : Cell(text);
}

std::string int4(int64_t value) {
  return std::to_string(std::clamp<int64_t>(value, INT32_MIN, INT32_MAX));
}

int64_t number_of(const Cell& cell) {
  int64_t number = 0;
  return parse_number(cell, number) ? number : 0;
}

}  // namespace pgweir::admin
