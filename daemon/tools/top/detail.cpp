// Blocks of the screen that looks into one pool.
#include <algorithm>

#include "base/text.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/blocks.hpp"
#include "tools/top/format.hpp"

namespace pgweir::tools::top {

namespace {

const std::vector<Column> kLatencyColumns = {
    {"SINCE THE START", 15, 16}, {"COUNT", 9, 12, true}, {"MEAN", 8, 10, true},  {"P50", 8, 10, true},
    {"P90", 8, 10, true},        {"P99", 8, 10, true},   {"P99.9", 8, 10, true}, {"MAX", 8, 10, true},
};

const std::vector<Column> kServerColumns = {
    {"", 1, 1},      {"SERVER", 9, 12}, {"PID", 8, 9, true}, {"ADDRESS", 22, 28},
    {"SINCE", 8, 8}, {"LAST", 8, 8},    {"CLIENT", 8, 9},    {"", 1, 1},
};

const std::vector<Column> kClientColumns = {
    {"", 1, 1},      {"CLIENT", 8, 9, true}, {"STATE", 8, 10}, {"FOR", 7, 8, true},   {"ADDRESS", 21, 28},
    {"SINCE", 8, 8}, {"LAST", 8, 8},         {"USER", 0, 16},  {"APPLICATION", 1, 1},
};

// "2026-11-28 17:00:00 UTC" -> "17:00:00".
std::string time_of_day(std::string_view stamp) {
  const size_t blank = stamp.find(' ');
  return std::string(blank == std::string_view::npos ? stamp : stamp.substr(blank + 1, 8));
}

std::string address(const Row& row) {
  return cat(shown_text(row.text("addr")), ":", shown_text(row.text("port")));
}

Style state_style(std::string_view state) {
  return state == "active" ? Style::kGreen : state == "waiting" ? Style::kYellow : Style::kDim;
}

std::string id_of(const Table& clients, std::string_view ptr) {
  if (ptr.empty()) return "-";
  for (const Row& row : rows(clients))
    if (row.text("ptr") == ptr) return std::string(row.text("id"));
  return "-";
}

}  // namespace

Lines pool_facts(const Ui& ui, const Picture& picture, size_t columns) {
  const Pool* pool = picture.pool(ui.pool_database, ui.pool_user);
  Line name(cat("Pool ", shown_name(ui.pool_database), "/", shown_name(ui.pool_user)), Style::kBold);
  if (!pool) return {name.add("  is not there any more", Style::kYellow)};
  name.add("  ").add(pool->mode, Style::kDim).add(" mode", Style::kDim);
  const Database* database = picture.database(pool->database);
  if (database) {
    const bool down = database->reach == Reach::kNo;
    name.add("  PostgreSQL at ", Style::kDim)
        .add(database->host.empty() ? cat("a socket, port ", database->port)
                                    : cat(shown_text(database->host), ":", database->port));
    name.add(down ? " DOWN" : database->reach == Reach::kYes ? " up" : "", down ? Style::kRed : Style::kGreen);
    if (database->paused) name.add(" paused", Style::kYellow);
  }
  Line servers("Servers ", Style::kDim);
  const std::vector<Span> spans = bar(pool->percent(), columns >= kWide ? 30 : 16, style_of(pool->level), ui.ascii);
  servers.spans.insert(servers.spans.end(), spans.begin(), spans.end());
  servers.add(cat(" ", pool->active, pool->size > 0 ? cat(" of ", pool->size) : "", " at work"));
  if (pool->reserve > 0) servers.add(cat(" (reserve ", pool->reserve, ")"), Style::kDim);
  servers.add(
      cat("  ", pool->idle, " idle  ", pool->used, " used  ", pool->tested, " tested  ", pool->login, " login"));
  Line clients("Clients ", Style::kDim);
  clients.add(cat(pool->clients_active, " at work or idle, "));
  clients.add(cat(pool->waiting, " waiting"), pool->waiting > 0 ? style_of(pool->level) : Style::kPlain);
  if (pool->waiting > 0)
    clients.add(cat(", the longest ", duration(pool->longest_us), pool->why.empty() ? "" : cat(": ", pool->why)),
                style_of(pool->level));
  Lines out = {name, servers, clients};
  if (pool->idle_transactions > 0) {
    Line resting("Idle in transaction ", Style::kDim);
    resting.add(cat(pool->idle_transactions, " of ", pool->open_transactions, " open, the longest ",
                    duration(pool->longest_idle_us)));
    out.push_back(resting);
  }
  if (database) {
    auto mean = [](double us) { return us > 0 ? duration(static_cast<int64_t>(us + 0.5)) : std::string("-"); };
    Line work("Database ", Style::kDim);
    work.add(cat(rate(database->xacts), " transactions/s of ", mean(database->xact_us), "  ", rate(database->queries),
                 " queries/s of ", mean(database->query_us)));
    out.push_back(work);
  }
  return out;
}

Lines latency_table(const Ui& ui, const Picture& picture, size_t columns) {
  const Pool* pool = picture.pool(ui.pool_database, ui.pool_user);
  if (!pool || pool->latencies.empty()) return {};
  Lines out = {table_head(kLatencyColumns, columns, ui.ascii)};
  for (const Latency& one : pool->latencies) {
    std::vector<Cell> cells = {Cell(shown_text(one.kind)), Cell(cat(one.count))};
    for (int64_t us : {one.mean_us, one.p50_us, one.p90_us, one.p99_us, one.p999_us, one.max_us})
      cells.emplace_back(one.count > 0 ? duration(us) : "-");
    out.push_back(table_row(kLatencyColumns, cells, columns, ui.ascii));
  }
  return out;
}

Lines server_table(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  const std::vector<Row> servers = shown_servers(ui, picture);
  Lines out = {table_head(kServerColumns, columns, ui.ascii)};
  const size_t shown = servers.size() <= most ? servers.size() : most - std::min<size_t>(most, 1);
  for (size_t at = 0; at < shown; ++at) {
    const Row& row = servers[at];
    const bool leaving = row.number("close_needed") != 0;
    out.push_back(table_row(
        kServerColumns,
        {Cell(""), Cell(shown_text(row.text("state")), state_style(row.text("state"))),
         Cell(shown_text(row.text("remote_pid"))), Cell(address(row), Style::kDim),
         Cell(time_of_day(row.text("connect_time")), Style::kDim),
         Cell(time_of_day(row.text("request_time")), Style::kDim), Cell(id_of(picture.client_rows, row.text("link"))),
         Cell(leaving ? "to be closed" : "", Style::kYellow)},
        columns, ui.ascii));
  }
  if (shown < servers.size()) out.emplace_back(cat("  and ", servers.size() - shown, " more"), Style::kDim);
  return out;
}

Lines client_table(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  const std::vector<Row> clients = shown_clients(ui, picture);
  const std::vector<std::string> keys = row_keys(ui, picture);
  Lines out = {table_head(kClientColumns, columns, ui.ascii)};
  const size_t room = std::min(most, clients.size());
  const size_t selected = selected_row(ui, keys);
  const size_t first = first_row(selected, clients.size(), room);
  for (size_t at = first; at < first + room; ++at) {
    const Row& row = clients[at];
    const int64_t waited = row.number("wait") * 1'000'000 + row.number("wait_us");
    const Style state = state_style(row.text("state"));
    out.push_back(
        table_row(kClientColumns,
                  {Cell(""), Cell(shown_text(row.text("id"))), Cell(shown_text(row.text("state")), state),
                   Cell(waited > 0 ? duration(waited) : "-", row.text("state") == "waiting" ? state : Style::kPlain),
                   Cell(address(row), Style::kDim), Cell(time_of_day(row.text("connect_time")), Style::kDim),
                   Cell(time_of_day(row.text("request_time")), Style::kDim), Cell(shown_text(row.text("user"))),
                   Cell(shown_text(row.text("application_name")))},
                  columns, ui.ascii));
    out.back().selected = at == selected;
  }
  if (clients.empty()) out.emplace_back(ui.filter.empty() ? "  none" : "  none fits the filter", Style::kDim);
  return out;
}

}  // namespace pgweir::tools::top
