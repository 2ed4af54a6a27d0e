// What one worker says about itself: collectors of SHOW rows, run in the worker's thread. Layouts that differ from the
// columns of the SHOW are named here; present.hpp turns them into the final rows.
#pragma once

#include "admin/rows.hpp"
#include "session/hub.hpp"

namespace pgweir::admin {

// Cells in front of every row of connections, by which the merged rows are sorted: database, pool user, rank of the
// list, id.
inline constexpr size_t kSortCells = 4;

void collect_pools(session::Hub& hub, Rows& rows);  // maxwait: microseconds; maxwait_us: 0; wait_cause: a number
std::string_view longest_cause(const Cell& cell);   // of that number; "": nobody waits
void collect_clients(session::Hub& hub, Rows& rows);
void collect_servers(session::Hub& hub, Rows& rows);
void collect_sockets(session::Hub& hub, Rows& rows);
void collect_active_sockets(session::Hub& hub, Rows& rows);
void collect_fds(session::Hub& hub, Rows& rows);
void collect_stats(session::Hub& hub, Rows& rows);  // database, the counters in the order of columns
void collect_lists(session::Hub& hub, Rows& rows);  // label, count
void collect_memory(session::Hub& hub, Rows& rows);
void collect_workers(session::Hub& hub, Rows& rows);
void collect_waits(session::Hub& hub, Rows& rows);
void collect_transactions(session::Hub& hub, Rows& rows);
void collect_latencies(session::Hub& hub, Rows& rows);  // database, user, kind, Histogram's text

}  // namespace pgweir::admin
