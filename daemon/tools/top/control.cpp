#include "tools/top/control.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::top {

namespace {

constexpr size_t kPageRows = 10;
constexpr size_t kLongestFilter = 60;

constexpr std::array<const char*, kSorts> kSortWords = {"worst", "name", "servers", "clients", "waiting", "longest"};
constexpr std::array<const char*, kClientSorts> kClientSortWords = {"state", "wait", "address", "application", "id"};

std::string pool_key(const Pool& pool) {
  return cat(pool.database, '\n', pool.user);
}

bool fits(const Ui& ui, std::string_view text) {
  return ui.filter.empty() || lower(text).find(lower(ui.filter)) != std::string::npos;
}

int64_t waited(const Row& row) {
  return row.number("wait") * 1'000'000 + row.number("wait_us");
}

int state_rank(std::string_view state) {
  return state == "waiting" ? 0 : state == "active" ? 1 : 2;
}

bool before(Sort sort, const Pool& a, const Pool& b) {
  switch (sort) {
    case Sort::kWorst:
      if (a.level != b.level) return a.level > b.level;
      if (a.longest_us != b.longest_us && (a.longest_us > 1'000'000 || b.longest_us > 1'000'000))
        return a.longest_us > b.longest_us;
      break;
    case Sort::kServers: return a.total() > b.total();
    case Sort::kClients: return a.clients > b.clients;
    case Sort::kWaiting: return a.waiting > b.waiting;
    case Sort::kLongest: return a.longest_us > b.longest_us;
    case Sort::kName: break;
  }
  return pool_key(a) < pool_key(b);
}

bool before(ClientSort sort, const Row& a, const Row& b) {
  const int64_t wait_a = waited(a);
  const int64_t wait_b = waited(b);
  switch (sort) {
    case ClientSort::kState: {
      const int rank_a = state_rank(a.text("state"));
      const int rank_b = state_rank(b.text("state"));
      if (rank_a != rank_b) return rank_a < rank_b;
      if (wait_a != wait_b && rank_a == 0) return wait_a > wait_b;
      break;
    }
    case ClientSort::kWait:
      if (wait_a != wait_b) return wait_a > wait_b;
      break;
    case ClientSort::kAddress:
      if (a.text("addr") != b.text("addr")) return a.text("addr") < b.text("addr");
      break;
    case ClientSort::kApplication:
      if (a.text("application_name") != b.text("application_name"))
        return a.text("application_name") < b.text("application_name");
      break;
    case ClientSort::kId: break;
  }
  return a.number("id") < b.number("id");
}

// SHOW CLIENTS has the user who logged in; where a database forces another, that one has the pool.
bool of_pool(const Ui& ui, const Picture& picture, const Row& row) {
  if (row.text("database") != ui.pool_database) return false;
  const Database* database = picture.database(ui.pool_database);
  return (database && !database->force_user.empty()) || row.text("user") == ui.pool_user;
}

std::vector<Row> of_table(const Ui& ui, const Picture& picture, const Table& table) {
  std::vector<Row> out;
  for (const Row& row : rows(table))
    if (of_pool(ui, picture, row)) out.push_back(row);
  return out;
}

std::string selected_key(const Ui& ui, const Picture& picture) {
  const std::vector<std::string> keys = row_keys(ui, picture);
  return keys.empty() ? "" : keys[selected_row(ui, keys)];
}

// The database that a command would be about; "" when there is none.
std::string chosen_database(const Ui& ui, const Picture& picture) {
  if (ui.page == Page::kPool) return ui.pool_database;
  if (ui.page != Page::kPools && ui.page != Page::kDatabases) return "";
  const std::string selected = selected_key(ui, picture);
  return selected.substr(0, selected.find('\n'));
}

struct CommandRow {
  const char* key;
  const char* word;
  const char* effect;
};
constexpr CommandRow kCommands[] = {
    {"P", "PAUSE", "running transactions end, new ones wait"},
    {"R", "RESUME", "who waits goes on"},
    {"C", "RECONNECT", "servers are replaced as they become free"},
    {"K", "KILL", "all of its clients and servers are closed; RESUME lets clients in again"},
};

void ask(Ui& ui, const Picture& picture, const CommandRow& row) {
  if (ui.page == Page::kPool && std::string_view(row.word) == "KILL") {
    const std::string id = selected_key(ui, picture);
    if (id.empty()) {
      ui.message = "there is no client to kill";
      return;
    }
    ui.question = {cat("KILL_CLIENT ", id, ": that client is closed"), cat("KILL_CLIENT ", id)};
    return;
  }
  const std::string database = chosen_database(ui, picture);
  if (database.empty()) {
    ui.message = "choose a pool or a database first";
    return;
  }
  ui.question = {cat(row.word, " ", shown_name(database), ": ", row.effect),
                 cat(row.word, " ", console_name(database))};
}

void move(Ui& ui, const Picture& picture, const std::string& key) {
  const std::vector<std::string> keys = row_keys(ui, picture);
  if (keys.empty()) return;
  const size_t last = keys.size() - 1;
  size_t at = selected_row(ui, keys);
  if (key == key::kUp || key == "k") at -= std::min<size_t>(at, 1);
  if (key == key::kDown || key == "j") at = std::min(at + 1, last);
  if (key == key::kPageUp) at -= std::min(at, kPageRows);
  if (key == key::kPageDown) at = std::min(at + kPageRows, last);
  if (key == key::kHome) at = 0;
  if (key == key::kEnd) at = last;
  ui.selected = keys[at];
  ui.selected_place = at;
}

void go(Ui& ui, Page page) {
  ui.page = page;
  ui.selected.clear();
  ui.selected_place = 0;
}

void enter(Ui& ui, const Picture& picture) {
  const std::string selected = selected_key(ui, picture);
  if (ui.page == Page::kPools && !selected.empty()) {
    ui.pool_database = selected.substr(0, selected.find('\n'));
    ui.pool_user = selected.substr(selected.find('\n') + 1);
    ui.back = Page::kPools;
    ui.filter.clear();
    go(ui, Page::kPool);
  } else if (ui.page == Page::kDatabases && !selected.empty()) {
    go(ui, Page::kPools);
    ui.filter = selected;
  }
}

void leave(Ui& ui) {
  if (ui.page == Page::kPools) {
    ui.filter.clear();
  } else if (ui.page == Page::kPool) {
    const std::string pool = cat(ui.pool_database, '\n', ui.pool_user);
    ui.filter.clear();
    go(ui, Page::kPools);
    ui.selected = pool;
  } else {
    go(ui, ui.page == Page::kHelp ? ui.back : Page::kPools);
  }
}

void type(Ui& ui, const std::string& key) {
  if (key == key::kEnter) {
    ui.typing = false;
  } else if (key == key::kEscape) {
    ui.typing = false;
    ui.filter.clear();
  } else if (key == key::kBackspace) {
    size_t at = 0;  // of the last character
    for (size_t next = 0; next < ui.filter.size(); next = std::max(next_character(ui.filter, next), next + 1))
      at = next;
    ui.filter.resize(at);
  } else if (key.front() != '<' || key == "<") {
    if (ui.filter.size() < kLongestFilter) ui.filter += key;
  }
}

void next_sort(Ui& ui) {
  if (ui.page == Page::kPool) {
    ui.client_sort = static_cast<ClientSort>((static_cast<int>(ui.client_sort) + 1) % kClientSorts);
    ui.message = cat("clients by ", sort_word(ui.client_sort));
  } else {
    ui.sort = static_cast<Sort>((static_cast<int>(ui.sort) + 1) % kSorts);
    ui.message = cat("pools by ", sort_word(ui.sort));
  }
}

Request answer(Ui& ui, const std::string& key) {
  const Question question = *ui.question;
  ui.question.reset();
  if (key != "y" && key != "Y") {
    ui.message = cat("not done: ", shown_text(question.command));
    return {};
  }
  if (!ui.running.empty()) {
    ui.message = cat("not done: ", shown_text(ui.running), " is still running");
    return {};
  }
  ui.running = question.command;
  return {Request::Kind::kCommand, question.command};
}

struct PageKey {
  const char* key;
  Page page;
};
constexpr PageKey kPages[] = {
    {"p", Page::kPools}, {"d", Page::kDatabases}, {"w", Page::kWorkers}, {"l", Page::kProblems},
    {"1", Page::kPools}, {"2", Page::kDatabases}, {"3", Page::kWorkers}, {"4", Page::kProblems},
};

}  // namespace

const char* sort_word(Sort sort) {
  return kSortWords[static_cast<size_t>(sort)];
}
const char* sort_word(ClientSort sort) {
  return kClientSortWords[static_cast<size_t>(sort)];
}
std::optional<Sort> sort_of(std::string_view word) {
  const auto* found = std::find(kSortWords.begin(), kSortWords.end(), word);
  if (found == kSortWords.end()) return std::nullopt;
  return static_cast<Sort>(found - kSortWords.begin());
}

std::string console_name(std::string_view name) {
  std::string out = "\"";
  for (char c : name)
    out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::vector<const Pool*> shown_pools(const Ui& ui, const Picture& picture) {
  std::vector<const Pool*> out;
  for (const Pool& pool : picture.pools)
    if (fits(ui, cat(pool.database, "/", pool.user))) out.push_back(&pool);
  std::stable_sort(out.begin(), out.end(), [&](const Pool* a, const Pool* b) {
    return ui.reverse ? before(ui.sort, *b, *a) : before(ui.sort, *a, *b);
  });
  return out;
}

std::vector<const Database*> shown_databases(const Ui& ui, const Picture& picture) {
  std::vector<const Database*> out;
  for (const Database& database : picture.databases)
    if (fits(ui, database.name)) out.push_back(&database);
  std::stable_sort(out.begin(), out.end(), [&](const Database* a, const Database* b) {
    if (a->level != b->level && ui.sort == Sort::kWorst) return (a->level > b->level) != ui.reverse;
    return (a->name < b->name) != (ui.reverse && a->name != b->name);
  });
  return out;
}

std::vector<Row> shown_clients(const Ui& ui, const Picture& picture) {
  std::vector<Row> out;
  for (const Row& row : of_table(ui, picture, picture.client_rows))
    if (fits(ui,
             cat(row.text("user"), " ", row.text("addr"), " ", row.text("application_name"), " ", row.text("state"))))
      out.push_back(row);
  std::vector<size_t> order(out.size());
  for (size_t at = 0; at < order.size(); ++at)
    order[at] = at;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return ui.reverse ? before(ui.client_sort, out[b], out[a]) : before(ui.client_sort, out[a], out[b]);
  });
  std::vector<Row> sorted;
  sorted.reserve(out.size());
  for (size_t at : order)
    sorted.push_back(out[at]);
  return sorted;
}

std::vector<Row> shown_servers(const Ui& ui, const Picture& picture) {
  return of_table(ui, picture, picture.server_rows);
}

std::vector<std::string> row_keys(const Ui& ui, const Picture& picture) {
  std::vector<std::string> out;
  if (ui.page == Page::kPools)
    for (const Pool* pool : shown_pools(ui, picture))
      out.push_back(pool_key(*pool));
  if (ui.page == Page::kDatabases)
    for (const Database* database : shown_databases(ui, picture))
      out.push_back(database->name);
  if (ui.page == Page::kPool)
    for (const Row& row : shown_clients(ui, picture))
      out.emplace_back(row.text("id"));
  if (ui.page == Page::kProblems)
    for (size_t at = 0; at < picture.problems.size(); ++at)
      out.push_back(cat(at));
  return out;
}

size_t selected_row(const Ui& ui, const std::vector<std::string>& keys) {
  const auto found = std::find(keys.begin(), keys.end(), ui.selected);
  if (found != keys.end()) return static_cast<size_t>(found - keys.begin());
  return keys.empty() ? 0 : std::min(ui.selected_place, keys.size() - 1);
}

Request press(Ui& ui, const std::string& key, const Picture& picture) {
  if (key.empty()) return {};
  ui.message.clear();
  ui.message_level = Level::kGreen;
  if (ui.question) return answer(ui, key);
  if (ui.typing) {
    type(ui, key);
    return {};
  }
  if (key == "q") return {Request::Kind::kQuit, ""};
  if (key == " ") {
    ui.frozen = !ui.frozen;
    return {ui.frozen ? Request::Kind::kNone : Request::Kind::kSample, ""};
  }
  if (key == key::kEnter) {
    enter(ui, picture);
    return {Request::Kind::kSample, ""};
  }
  if (key == key::kEscape || key == key::kBackspace) leave(ui);
  if (key == "/") {
    ui.typing = true;
    ui.filter.clear();
  }
  if (key == "s") next_sort(ui);
  if (key == "r") ui.reverse = !ui.reverse;
  if ((key == "?" || key == "h") && ui.page != Page::kHelp) {
    ui.back = ui.page;
    ui.page = Page::kHelp;
  }
  for (const PageKey& row : kPages)
    if (key == row.key) go(ui, row.page);
  for (const CommandRow& row : kCommands)
    if (key == row.key) ask(ui, picture, row);
  move(ui, picture, key);
  return {};
}

}  // namespace pgweir::tools::top
