// The columns of every SHOW, as rows (compat/show_columns.tsv, those of the next release included, in that order).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace pgweir::admin {

enum class Type : uint32_t { kText = 25, kInt4 = 23, kInt8 = 20, kNumeric = 1700, kBytea = 17 };

struct Column {
  std::string_view name;
  Type type;
};

// Of fixed width as pg_type has it: 4, 8, or -1.
int16_t typlen_of(Type type);

using Columns = std::vector<Column>;

// `topic` in upper case ("POOLS"); a faked parameter in lower case ("timezone"). Null: there is no such SHOW.
// HELP has no columns (an empty list).
const Columns* columns_of(std::string_view topic);

// Where the column of that name is; columns.size() if nowhere.
size_t place_of(const Columns& columns, std::string_view name);

// A column's former name: with console_old_columns the topic has it, too, behind all others.
struct OldColumn {
  std::string_view topic, name, now;
};
const std::vector<OldColumn>& old_columns();

// The columns of a topic with its old ones. Null: it has none.
const Columns* columns_with_old(std::string_view topic);

// The columns of a topic with those that console_extra_columns adds. Null: it adds none.
const Columns* columns_with_extra(std::string_view topic);

// All topics that have columns, for tests.
std::vector<std::string_view> topics_with_columns();

}  // namespace pgweir::admin
