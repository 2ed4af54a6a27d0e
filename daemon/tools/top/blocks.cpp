#include "tools/top/blocks.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/format.hpp"

namespace pgweir::tools::top {

namespace {

Style calm(Level level) {  // green is not worth a colour in a table
  return level == Level::kGreen ? Style::kPlain : style_of(level);
}

Style when(bool so, Style style) {
  return so ? style : Style::kDim;
}

std::string pool_name(const Pool& pool) {
  return cat(shown_name(pool.database), "/", shown_name(pool.user));
}

std::string place(const Database& database) {
  if (database.host.empty()) return cat("socket:", database.port);
  return cat(shown_text(database.host), ":", database.port);
}

const std::vector<Column> kPoolColumns = {
    {"", 1, 1},           {"POOL", 16, 24},        {"MODE", 0, 11},         {"AT WORK", 10, 15},
    {"", 7, 8, true},     {"IDLE", 4, 5, true},    {"LOG", 3, 5, true},     {"CLIENTS", 7, 7, true},
    {"WAIT", 5, 5, true}, {"LONGEST", 7, 7, true}, {"QU. P99", 0, 7, true}, {"WHY", 1, 1},
};

std::vector<Cell> pool_cells(const Ui& ui, const Pool& pool, size_t columns) {
  const size_t bar_room = column_width(kPoolColumns[3], columns);
  const Latency* query = pool.latency("query");
  const Style waits = pool.waiting > 0 ? calm(pool.level) : Style::kDim;
  std::vector<Cell> cells;
  cells.emplace_back(mark_of(pool.level, ui.ascii), style_of(pool.level));
  cells.emplace_back(pool_name(pool), Style::kBold);
  cells.emplace_back(pool.mode, Style::kDim);
  cells.emplace_back(bar(pool.percent(), bar_room, style_of(pool.level), ui.ascii));
  cells.emplace_back(pool.size > 0 ? cat(pool.active, "/", pool.size) : cat(pool.active), calm(pool.level));
  cells.emplace_back(cat(pool.idle + pool.used + pool.tested), when(pool.live() > pool.active, Style::kPlain));
  cells.emplace_back(cat(pool.login), pool.login > 0 ? Style::kPlain : Style::kDim);
  cells.emplace_back(cat(pool.clients), when(pool.clients > 0, Style::kPlain));
  cells.emplace_back(cat(pool.waiting), waits);
  cells.emplace_back(pool.waiting > 0 ? duration(pool.longest_us) : "-", waits);
  cells.emplace_back(query && query->count > 0 ? duration(query->p99_us) : "-", Style::kDim);
  cells.emplace_back(shown_text(pool.why), waits);
  return cells;
}

const std::vector<Column> kDatabaseColumns = {
    {"", 1, 1},
    {"DATABASE", 12, 20},
    {"POSTGRESQL", 14, 25},
    {"", 4, 8},
    {"TRANS/S", 7, 8, true},
    {"QUERY/S", 7, 8, true},
    {"TRANS.", 7, 8, true},
    {"QUERY", 7, 8, true},
    {"WAIT", 0, 8, true},
    {"IN/S", 6, 8, true},
    {"OUT/S", 6, 8, true},
};

std::vector<Cell> database_cells(const Ui& ui, const Database& one) {
  auto mean = [](double us) { return us > 0 ? duration(static_cast<int64_t>(us + 0.5)) : std::string("-"); };
  const char* reach = one.paused ? "paus" : one.reach == Reach::kYes ? "up" : one.reach == Reach::kNo ? "DOWN" : "?";
  const Style reached = one.paused                 ? Style::kYellow
                        : one.reach == Reach::kYes ? Style::kGreen
                        : one.reach == Reach::kNo  ? Style::kRed
                                                   : Style::kDim;
  const Style busy = when(one.queries > 0, Style::kPlain);
  return {Cell(mark_of(one.level, ui.ascii), style_of(one.level)),
          Cell(shown_name(one.name), Style::kBold),
          Cell(place(one), Style::kDim),
          Cell(reach, reached),
          Cell(rate(one.xacts), busy),
          Cell(rate(one.queries), busy),
          Cell(mean(one.xact_us), busy),
          Cell(mean(one.query_us), busy),
          Cell(mean(one.wait_us), busy),
          Cell(one.in > 0 ? amount(one.in) : "-", busy),
          Cell(one.out > 0 ? amount(one.out) : "-", busy)};
}

const std::vector<Column> kWorkerColumns = {
    {"", 1, 1},
    {"WORKER", 6, 6},
    {"LOAD", 20, 30},
    {"", 5, 5, true},
    {"CLIENTS", 8, 9, true},
    {"WAITING", 8, 9, true},
    {"SERVERS", 8, 9, true},
    {"QUERY/S", 8, 9, true},
    {"TURNS/S", 8, 9, true},
};

const std::vector<Column>& problem_columns() {
  static const std::vector<Column> kColumns = {{"", 1, 1}, {"TIME", 8, 8}, {"WHAT HAPPENED", 1, 1}};
  return kColumns;
}

// The rows around the selected one, with the selection.
template <class Items, class Cells>
Lines table(const std::vector<Column>& columns, const Items& items, size_t width, size_t most, const Ui& ui,
            std::optional<size_t> selected, Cells cells) {
  Lines out = {table_head(columns, width, ui.ascii)};
  const size_t room = std::min(most, items.size());
  const size_t first = first_row(selected.value_or(0), items.size(), room);
  for (size_t at = first; at < first + room; ++at) {
    out.push_back(table_row(columns, cells(items[at]), width, ui.ascii));
    out.back().selected = selected && *selected == at;
  }
  return out;
}

std::optional<size_t> selection(const Ui& ui, const Picture& picture, Page page) {
  if (ui.page != page) return std::nullopt;
  return selected_row(ui, row_keys(ui, picture));
}

}  // namespace

size_t first_row(size_t selected, size_t count, size_t room) {
  if (count <= room || selected < room / 2) return 0;
  return std::min(selected - room / 2, count - room);
}

Line title_line(const Ui& ui, const Picture& picture, size_t columns) {
  const std::string left = cat(" pgweir-top  ", shown_text(ui.where));
  const std::string version = picture.version.empty() ? "" : cat("  ", shown_text(picture.version));
  const std::string right =
      cat(ui.frozen ? "STOPPED, space goes on  " : "", picture.clock, "  every ", rate(ui.interval), " s ");
  const size_t room = columns > width(right) ? columns - width(right) : 0;
  const bool both = width(left) + width(version) + 1 < room;
  Line out(fit(both ? left + version : left, room, false, ui.ascii), Style::kTitle);
  out.add(right, Style::kTitle);
  return cut(out, columns, ui.ascii);
}

Lines health_lines(const Ui& ui, const Picture& picture, size_t most) {
  if (picture.health.empty()) {
    Line well(cat(mark_of(Level::kGreen, ui.ascii), " "), Style::kGreen);
    well.add("all is well", Style::kGreen);
    return {well};
  }
  Lines out;
  const size_t count = picture.health.size();
  const size_t shown = count <= most ? count : std::max<size_t>(most, 1) - (most > 1 ? 1 : 0);
  for (size_t at = 0; at < shown; ++at) {
    const Verdict& verdict = picture.health[at];
    Line line(cat(mark_of(verdict.level, ui.ascii), " "), style_of(verdict.level));
    out.push_back(line.add(verdict.text, style_of(verdict.level)));
  }
  if (shown < count && most > 1) out.emplace_back(cat("  and ", count - shown, " more: l lists them"), Style::kDim);
  return out;
}

Lines total_lines(const Ui& /*ui*/, const Picture& picture, size_t columns) {
  int64_t waiting = 0;
  int64_t longest = 0;
  Pool sum;
  for (const Pool& pool : picture.pools) {
    waiting += pool.waiting;
    longest = std::max(longest, pool.longest_us);
    sum.active += pool.active;
    sum.idle += pool.idle + pool.used;
    sum.tested += pool.tested;
    sum.login += pool.login;
    sum.cancels += pool.cancels;
  }
  auto mean = [](double us) { return us > 0 ? duration(static_cast<int64_t>(us + 0.5)) : std::string("-"); };
  Line clients("Clients ", Style::kDim);
  clients.add(cat(picture.clients), Style::kBold);
  if (picture.max_clients > 0) clients.add(cat(" of ", picture.max_clients));
  clients.add("  waiting ", Style::kDim).add(cat(waiting), waiting > 0 ? Style::kBold : Style::kPlain);
  if (waiting > 0) clients.add(cat(", the longest ", duration(longest)));
  clients.add("   Servers ", Style::kDim).add(cat(sum.total()), Style::kBold);
  clients.add(cat(": ", sum.active, " at work, ", sum.idle, " idle"));
  if (sum.tested > 0) clients.add(cat(", ", sum.tested, " tested"));
  if (sum.login > 0) clients.add(cat(", ", sum.login, " logging in"));
  const Database& total = picture.total;
  Line work(columns >= kWide ? "Transactions " : "Trans. ", Style::kDim);
  work.add(cat(rate(total.xacts), "/s"), Style::kBold).add(cat(" of ", mean(total.xact_us)));
  work.add("  Queries ", Style::kDim).add(cat(rate(total.queries), "/s"), Style::kBold);
  work.add(cat(" of ", mean(total.query_us)));
  work.add("  wait ", Style::kDim).add(mean(total.wait_us));
  work.add("  In ", Style::kDim).add(cat(amount(total.in), "/s"));
  work.add("  Out ", Style::kDim).add(cat(amount(total.out), "/s"));
  if (!picture.measured && columns >= kWide) work.add("  (averages of pgweir)", Style::kDim);
  return {clients, work};
}

Lines worker_bars(const Ui& ui, const Picture& picture, size_t columns) {
  if (picture.workers.empty()) return {};
  const size_t room = columns > 8 ? columns - 8 : 0;
  const size_t each = std::max<size_t>(room / picture.workers.size(), 1);
  const size_t bar_room = std::clamp<size_t>(each > 10 ? each - 10 : 4, 4, 16);
  Line out("Workers ", Style::kDim);
  for (const Worker& worker : picture.workers) {
    out.add(cat(worker.id, " "), Style::kDim);
    const std::vector<Span> spans = bar(worker.percent, bar_room, style_of(worker.level), ui.ascii);
    out.spans.insert(out.spans.end(), spans.begin(), spans.end());
    out.add(fit(picture.has_workers ? percent(worker.percent) : "?", 5, true, ui.ascii)).add("  ");
  }
  return {out};
}

Lines pool_table(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  return table(kPoolColumns, shown_pools(ui, picture), columns, most, ui, selection(ui, picture, Page::kPools),
               [&](const Pool* pool) { return pool_cells(ui, *pool, columns); });
}

Lines database_table(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  return table(kDatabaseColumns, shown_databases(ui, picture), columns, most, ui,
               selection(ui, picture, Page::kDatabases),
               [&](const Database* database) { return database_cells(ui, *database); });
}

Lines worker_table(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  const size_t bar_room = column_width(kWorkerColumns[2], columns);
  return table(kWorkerColumns, picture.workers, columns, most, ui, std::nullopt, [&](const Worker& one) {
    return std::vector<Cell>{Cell(mark_of(one.level, ui.ascii), style_of(one.level)),
                             Cell(one.id, Style::kBold),
                             Cell(bar(one.percent, bar_room, style_of(one.level), ui.ascii)),
                             Cell(picture.has_workers ? percent(one.percent) : "?", calm(one.level)),
                             Cell(cat(one.clients)),
                             Cell(cat(one.waiting)),
                             Cell(cat(one.servers)),
                             Cell(rate(one.queries)),
                             Cell(rate(one.loops))};
  });
}

Lines problem_list(const Ui& ui, const Picture& picture, size_t columns, size_t most) {
  if (picture.problems.empty())
    return {table_head(problem_columns(), columns, ui.ascii), Line("  none seen", Style::kDim)};
  return table(problem_columns(), picture.problems, columns, most, ui, selection(ui, picture, Page::kProblems),
               [&](const Problem& one) {
                 return std::vector<Cell>{Cell(mark_of(one.level, ui.ascii), style_of(one.level)),
                                          Cell(one.clock, Style::kDim), Cell(one.text)};
               });
}

Lines help_lines() {
  const std::vector<std::pair<const char*, const char*>> keys = {
      {"Up Down PgUp PgDn Home End", "choose a row"},
      {"Enter", "look into a pool: its clients and servers, its times"},
      {"Esc", "back; drops the filter"},
      {"p d w l  or  1 2 3 4", "pools, databases, workers, log of problems"},
      {"/", "filter: a part of the name (in a pool: of address, application, user, state)"},
      {"s  r", "next order of the rows, and the other way round"},
      {"P R", "PAUSE and RESUME the database of the chosen row"},
      {"C K", "RECONNECT and KILL it; in a pool K kills the chosen client"},
      {"space", "stop and go on"},
      {"q", "leave"},
  };
  Lines out;
  out.emplace_back("Keys", Style::kBold);
  for (const auto& [key, meaning] : keys) {
    Line line(fit(cat("  ", key), 30, false, true), Style::kPlain);
    out.push_back(line.add(meaning, Style::kDim));
  }
  out.emplace_back("");
  out.emplace_back("Commands ask before they are done, and need a user of admin_users.", Style::kDim);
  out.emplace_back("The limits of green, yellow and red: /etc/pgweir/top.conf, see pgweir-top(1).", Style::kDim);
  return out;
}

}  // namespace pgweir::tools::top
