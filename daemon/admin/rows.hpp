// Rows of a SHOW while they are gathered: text cells, merged over the workers by key columns.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace pgweir::admin {

using Cell = std::optional<std::string>;  // nullopt: NULL
using RowCells = std::vector<Cell>;
using Rows = std::vector<RowCells>;

// How the parts of the workers become one.
enum class Merge : uint8_t {
  kNone,    // the Director makes the rows
  kConcat,  // one after the other
  kSum,     // rows with equal key columns become one: numbers are added
};

struct MergeRule {
  Merge how = Merge::kNone;
  size_t keys = 0;           // kSum: so many leading columns are the key
  std::vector<size_t> most;  // kSum: columns of which the largest counts
  bool histograms = false;   // kSum: the column behind the key is a Histogram's text
};

// Result of kSum is in byte order of the keys. Columns that are not numbers: the first counts.
Rows merge(const std::vector<Rows>& parts, const MergeRule& rule);

// Byte order of the first `columns` cells; NULL first.
void sort_rows(Rows& rows, size_t columns);

Cell text_or_null(const std::string& text);  // empty: NULL
std::string int4(int64_t value);             // held within the range of an int4
int64_t number_of(const Cell& cell);         // 0 when it is none

}  // namespace pgweir::admin
