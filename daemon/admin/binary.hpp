// Text cells in PostgreSQL's binary format, for drivers that ask for it (asyncpg does): int4, int8, numeric (whole
// numbers), bytea, text.
#pragma once

#include "admin/columns.hpp"
#include "admin/rows.hpp"

namespace pgweir::admin {

// NULL stays NULL. A cell that is not of its column's type becomes 0 (an empty bytea): columns and rows are ours.
Cell to_binary(Type type, const Cell& cell);

}  // namespace pgweir::admin
