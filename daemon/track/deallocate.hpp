// SQL "DEALLOCATE name": which name it means. Pure text; does not know whose name it is.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace pgweir::track {

inline constexpr size_t kMostDeallocate = 1024;  // longer texts are not looked at

// What a server is asked instead, where the name is a client's; the name is Statement::kStandIn.
inline constexpr ByteView kDeallocateStandIn = "DEALLOCATE \"PGWEIR_GONE\"";

// The name in `sql` (without a NUL) when it is one DEALLOCATE [PREPARE] name and nothing else, folded as PostgreSQL
// does it; comments and a last semicolon may stand around it. Nothing for ALL, several statements, U&"...", whatever
// else, and longer texts. Source: gram.y, DeallocateStmt; scan.l.
std::optional<std::string> deallocated_name(ByteView sql);

}  // namespace pgweir::track
