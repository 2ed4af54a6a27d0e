// The Director's part of SHOW: rows from the books, the snapshot and the resolver, and the final form of merged rows.
#pragma once

#include "admin/commands.hpp"

namespace pgweir::admin {

Rows present_pools(Rows merged, const Context& context);
Rows present_connections(Rows merged, const Context& context);  // CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS
Rows present_fds(Rows merged, const Context& context);
Rows present_stats(Rows merged, const Context& context);
Rows present_stats_totals(Rows merged, const Context& context);
Rows present_stats_averages(Rows merged, const Context& context);
Rows present_totals(Rows merged, const Context& context);
Rows present_lists(Rows merged, const Context& context);
Rows present_latencies(Rows merged, const Context& context);
Rows present_memory(Rows merged, const Context& context);
Rows show_databases(Rows merged, const Context& context);
Rows show_users(Rows merged, const Context& context);
Rows show_config(Rows merged, const Context& context);
Rows show_state(Rows merged, const Context& context);
Rows show_version(Rows merged, const Context& context);
Rows show_peers(Rows merged, const Context& context);
Rows show_peer_pools(Rows merged, const Context& context);
Rows show_dns_hosts(Rows merged, const Context& context);
Rows show_dns_zones(Rows merged, const Context& context);

// Rows of collect_stats (merged or not), by database.
Totals totals_from(const Rows& rows);
RowCells counter_cells(const session::Counters& counters);

}  // namespace pgweir::admin
