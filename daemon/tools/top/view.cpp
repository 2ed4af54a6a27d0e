#include "tools/top/view.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/blocks.hpp"

namespace pgweir::tools::top {

namespace {

void append(Lines& out, const Lines& more) {
  out.insert(out.end(), more.begin(), more.end());
}

const char* keys_of(const Ui& ui, size_t columns) {
  const bool wide = columns >= kWide;
  switch (ui.page) {
    case Page::kPools:
      return wide ? " Enter look into  / filter  s sort  r reverse  P pause  R resume  C reconnect  K kill  d "
                    "databases  "
                    "w workers  l log  ? help  q quit"
                  : " Enter look into  / filter  s sort  P R C K commands  d w l  ? help  q quit";
    case Page::kPool:
      return wide ? " Esc back  / filter  s sort  r reverse  P pause  R resume  C reconnect  K kill the client  ? help "
                    " q quit"
                  : " Esc back  / filter  s sort  P R C commands  K kill client  ? help  q quit";
    case Page::kHelp: return " Esc back  q quit";
    default: return " p pools  d databases  w workers  l log  / filter  s sort  ? help  q quit";
  }
}

Line footer(const Ui& ui, size_t columns) {
  Line out;
  if (ui.question) {
    out.add(cat(" ", ui.question->text), Style::kYellow).add("  y: do it, any other key: do not", Style::kBold);
    if (width(out) > columns) {  // the question of whether must be seen whole
      const std::string rest = "  y/n?";
      out = Line(cut(cat(" ", ui.question->text), columns - width(rest), ui.ascii), Style::kYellow);
      out.add(rest, Style::kBold);
    }
  } else if (ui.typing) {
    out.add(" Filter: ", Style::kBold).add(cat(shown_text(ui.filter), "_"));
    out.add("   Enter keeps it, Esc drops it", Style::kDim);
  } else if (!ui.message.empty()) {
    out.add(cat(" ", ui.message), ui.message_level == Level::kGreen ? Style::kBold : style_of(ui.message_level));
  } else if (!ui.running.empty()) {
    out.add(cat(" ", shown_text(ui.running), " is running ..."), Style::kYellow);
  } else {
    if (!ui.filter.empty()) out.add(cat(" [", shown_text(ui.filter), "]"), Style::kYellow);
    out.add(keys_of(ui, columns), Style::kDim);
  }
  return out;
}

// What stands on top of every page.
Lines head(const Ui& ui, const Picture& picture, size_t columns, size_t height) {
  Lines out = {title_line(ui, picture, columns)};
  append(out, health_lines(ui, picture, height >= 20 ? 3 : 1));
  return out;
}

Lines pools_page(const Ui& ui, const Picture& picture, size_t columns, size_t room) {
  Lines out = total_lines(ui, picture, columns);
  if (room >= 14) append(out, worker_bars(ui, picture, columns));
  const bool tall = room >= 14;
  const size_t used = out.size();
  const size_t spaces = tall ? 3 : 0;
  const size_t heads = tall ? 3 : 1;
  const size_t left = room > used + heads + spaces ? room - used - heads - spaces : 1;
  const size_t problems = tall ? std::clamp<size_t>(left / 4, 2, 8) : 0;
  const size_t databases = tall ? std::clamp<size_t>(left / 3, 2, std::max<size_t>(2, picture.databases.size())) : 0;
  const size_t shown_db = std::min({databases, std::max<size_t>(picture.databases.size(), 1), left / 2});
  const size_t pools = left - std::min(left, problems + shown_db);
  if (tall) out.emplace_back("");
  append(out, pool_table(ui, picture, columns, std::max<size_t>(pools, 1)));
  if (picture.pools.empty()) out.emplace_back("  no client has connected yet", Style::kDim);
  if (!tall) return out;
  // What is short of pools goes to the problems.
  out.emplace_back("");
  append(out, database_table(ui, picture, columns, shown_db));
  out.emplace_back("");
  const size_t rest = room > out.size() + 1 ? room - out.size() - 1 : 0;
  if (rest > 0) append(out, problem_list(ui, picture, columns, rest));
  return out;
}

Lines pool_page(const Ui& ui, const Picture& picture, size_t columns, size_t room) {
  Lines out = pool_facts(ui, picture, columns);
  const Lines times = latency_table(ui, picture, columns);
  if (!times.empty() && room >= 18) {
    out.emplace_back("");
    append(out, times);
  }
  out.emplace_back("");
  const size_t left = room > out.size() + 3 ? room - out.size() - 3 : 2;
  const size_t servers = std::min(shown_servers(ui, picture).size(), std::max<size_t>(left * 2 / 5, 1));
  append(out, server_table(ui, picture, columns, servers));
  out.emplace_back("");
  append(out, client_table(ui, picture, columns, std::max<size_t>(left - std::min(left, servers), 1)));
  return out;
}

Lines problems_page(const Ui& ui, const Picture& picture, size_t columns, size_t room) {
  Lines out;
  if (picture.health.size() > 3) append(out, health_lines(ui, picture, std::max<size_t>(room / 2, 1)));
  out.emplace_back("");
  append(out, problem_list(ui, picture, columns, room - std::min(room, out.size() + 1)));
  return out;
}

Lines body(const Ui& ui, const Picture& picture, size_t columns, size_t room) {
  Lines blank = {Line("")};
  switch (ui.page) {
    case Page::kPools: return pools_page(ui, picture, columns, room);
    case Page::kPool: return pool_page(ui, picture, columns, room);
    case Page::kProblems: return problems_page(ui, picture, columns, room);
    case Page::kDatabases: append(blank, database_table(ui, picture, columns, room - std::min<size_t>(room, 2))); break;
    case Page::kWorkers: append(blank, worker_table(ui, picture, columns, room - std::min<size_t>(room, 2))); break;
    case Page::kHelp: append(blank, help_lines()); break;
  }
  return blank;
}

}  // namespace

Lines screen(const Ui& ui, const Picture& picture, size_t columns, size_t height) {
  Lines out = head(ui, picture, columns, height);
  const size_t room = height > out.size() + 1 ? height - out.size() - 1 : 0;
  append(out, body(ui, picture, columns, room));
  out.resize(height > 0 ? height - 1 : 0);
  out.push_back(footer(ui, columns));
  for (Line& line : out)
    line = cut(line, columns, ui.ascii);
  return out;
}

Lines report(const Ui& ui, const Picture& picture, size_t columns) {
  Lines out = {title_line(ui, picture, columns)};
  append(out, health_lines(ui, picture, kAll));
  append(out, total_lines(ui, picture, columns));
  for (const Lines& table : {pool_table(ui, picture, columns, kAll), database_table(ui, picture, columns, kAll),
                             worker_table(ui, picture, columns, kAll), problem_list(ui, picture, columns, 10)}) {
    out.emplace_back("");
    append(out, table);
  }
  return out;
}

}  // namespace pgweir::tools::top
