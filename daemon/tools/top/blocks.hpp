// The pieces that screens are made of. Pure.
#pragma once

#include "tools/top/control.hpp"
#include "tools/top/text.hpp"

namespace pgweir::tools::top {

inline constexpr size_t kAll = static_cast<size_t>(-1);

Line title_line(const Ui& ui, const Picture& picture, size_t columns);
Lines health_lines(const Ui& ui, const Picture& picture, size_t most);  // at least one
Lines total_lines(const Ui& ui, const Picture& picture, size_t columns);
Lines worker_bars(const Ui& ui, const Picture& picture, size_t columns);  // one line, or none

// Tables with their head; of the rows those around `selected`, at most `most`.
Lines pool_table(const Ui& ui, const Picture& picture, size_t columns, size_t most);
Lines database_table(const Ui& ui, const Picture& picture, size_t columns, size_t most);
Lines worker_table(const Ui& ui, const Picture& picture, size_t columns, size_t most);
Lines problem_list(const Ui& ui, const Picture& picture, size_t columns, size_t most);

// A pool in detail.
Lines pool_facts(const Ui& ui, const Picture& picture, size_t columns);
Lines latency_table(const Ui& ui, const Picture& picture, size_t columns);
Lines server_table(const Ui& ui, const Picture& picture, size_t columns, size_t most);
Lines client_table(const Ui& ui, const Picture& picture, size_t columns, size_t most);

Lines help_lines();

// The first row to be shown so that `selected` is among `room` of `count`.
size_t first_row(size_t selected, size_t count, size_t room);

}  // namespace pgweir::tools::top
