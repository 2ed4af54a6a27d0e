// The wrong-answer harness: many clients over few servers; every row carries the client's id and a nonce, and every
// reply is checked against what that client asked, in order. Around it servers are killed, clients vanish, queries are
// cancelled, pipelines fail in the middle, statements are evicted. One wrong answer fails the run.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <thread>

#include "harness.hpp"

namespace chaos {

namespace {

// One answer that is owed: what must come, message by message.
struct Owed {
  enum class Kind { kRows, kError, kParse, kBind, kDescribe, kClose, kReady } kind;
  std::string nonce;  // kRows: each row is (client id, nonce, 1..rows)
  int rows = 0;
};

class Client {
 public:
  Client(const Options& options, Tally& tally, int number)
      : options_(options), tally_(tally), id_("c" + std::to_string(number)), random_(options.seed * 1000 + number) {}

  void run(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
      if (!connection_.alive()) {
        if (!connection_.open(options_)) {
          std::this_thread::yield();
          continue;
        }
        tally_.reconnects.fetch_add(1);
        prepared_.clear();
      }
      turn();
    }
  }

 private:
  int pick(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most)); }
  std::string nonce() { return "n" + std::to_string(random_()); }

  void turn() {
    owed_.clear();
    batch_.clear();
    int what = pick(100);
    if (what < 30) return simple();
    if (what < 50) return extended();
    if (what < 75) return prepared_batch();
    if (what < 90) return pipeline();
    if (what < 94) return transaction();
    if (what < 96 && options_.cancels) return cancelled();
    if (what < 98 && options_.vanish) return vanish();
    simple();
  }

  std::string rows_sql(const std::string& nonce, int rows) const {
    return "SELECT '" + id_ + "', '" + nonce + "', g FROM generate_series(1," + std::to_string(rows) + ") g";
  }
  static std::string rows_statement(int number) {
    return "SELECT $1::text, $2::text, g FROM generate_series(1," + std::to_string(number % 4 + 1) + ") g /* s" +
           std::to_string(number) + " */";
  }

  void simple() {
    std::string n = nonce();
    int rows = pick(5);
    batch_ = query(rows_sql(n, rows));
    owed_.push_back({Owed::Kind::kRows, n, rows});
    owed_.push_back({Owed::Kind::kReady, "", 0});
    settle();
  }

  void add_unnamed(const std::string& n) {
    int rows = pick(4) + 1;
    batch_ += parse("", "SELECT $1::text, $2::text, g FROM generate_series(1," + std::to_string(rows) + ") g");
    batch_ += bind("", "", {id_, n}) + describe_portal("") + execute("");
    owed_.push_back({Owed::Kind::kParse, "", 0});
    owed_.push_back({Owed::Kind::kBind, "", 0});
    owed_.push_back({Owed::Kind::kDescribe, "", 0});
    owed_.push_back({Owed::Kind::kRows, n, rows});
  }

  // A statement from a set that is larger than what a server keeps, so that others are evicted.
  void add_prepared() {
    int number = pick(24);
    std::string name = "s" + std::to_string(number);
    if (!prepared_[number]) {
      batch_ += parse(name, rows_statement(number));
      owed_.push_back({Owed::Kind::kParse, "", 0});
      prepared_[number] = true;
    }
    std::string n = nonce();
    batch_ += bind("", name, {id_, n}) + execute("");
    owed_.push_back({Owed::Kind::kBind, "", 0});
    owed_.push_back({Owed::Kind::kRows, n, number % 4 + 1});
    if (pick(8) == 0) {
      batch_ += close_statement(name);
      owed_.push_back({Owed::Kind::kClose, "", 0});
      prepared_[number] = false;
    }
  }

  void add_sync() {
    batch_ += sync();
    owed_.push_back({Owed::Kind::kReady, "", 0});
  }

  void extended() {
    add_unnamed(nonce());
    add_sync();
    settle();
  }

  void prepared_batch() {
    for (int at = pick(3); at >= 0; --at)
      add_prepared();
    add_sync();
    settle();
  }

  // Several batches at once; one may fail in the middle, what is behind it up to the Sync is skipped.
  void pipeline() {
    for (int batch = pick(6) + 1; batch > 0; --batch) {
      for (int at = pick(3); at >= 0; --at) {
        if (pick(2)) {
          add_prepared();
        } else {
          add_unnamed(nonce());
        }
      }
      if (pick(4) == 0) {
        batch_ += flush();
      }
      if (pick(4) == 0) {
        batch_ += parse("", "SELECT 1/0") + bind("", "", {}) + execute("");
        owed_.push_back({Owed::Kind::kParse, "", 0});
        owed_.push_back({Owed::Kind::kError, "", 0});
        batch_ += bind("", "", {}) + execute("");  // skipped
      }
      add_sync();
    }
    settle();
  }

  void transaction() {
    std::string first = nonce();
    std::string second = nonce();
    owed_.clear();
    for (const std::string& sql :
         {std::string("BEGIN"), rows_sql(first, 2), rows_sql(second, 1), std::string("COMMIT")}) {
      batch_ = query(sql);
      const std::string& n = sql == rows_sql(first, 2) ? first : second;
      int rows = sql[0] == 'S' ? (n == first ? 2 : 1) : 0;
      owed_.push_back({Owed::Kind::kRows, n, rows});
      owed_.push_back({Owed::Kind::kReady, "", 0});
      if (!settle()) return;
    }
  }

  void cancelled() {
    std::string n = nonce();
    batch_ = query("SELECT '" + id_ + "', '" + n + "', 1 FROM pg_sleep(0.05)");
    if (!connection_.send(batch_)) return;
    tally_.cancels.fetch_add(1);
    connection_.send_cancel(options_);
    owed_.push_back({Owed::Kind::kRows, n, 1});
    owed_.push_back({Owed::Kind::kReady, "", 0});
    batch_.clear();
    cancel_sent_ = true;
    settle();
    cancel_sent_ = false;
  }

  void vanish() {
    int how = pick(3);
    std::string sql = how == 0   ? "BEGIN; " + rows_sql(nonce(), 3)
                      : how == 1 ? "SELECT pg_sleep(0.02)"
                                 : rows_sql(nonce(), 2000);
    batch_ = query(sql);
    if (how == 2) batch_ += parse("", "SELECT 1");
    connection_.send(batch_);
    tally_.vanished.fetch_add(1);
    if (pick(2)) {
      connection_.abandon();
    } else {
      connection_.close();
    }
  }

  bool wrong(const std::string& what, const Message& message) {
    tally_.wrong.fetch_add(1);
    std::fprintf(stderr, "WRONG ANSWER for %s: %s (message '%c', %zu bytes)\n", id_.c_str(), what.c_str(), message.type,
                 message.body.size());
    connection_.close();
    return false;
  }

  // Sends the batch and checks every reply up to the last ReadyForQuery owed. False: the connection ended.
  bool settle() {
    if (!batch_.empty() && !connection_.send(batch_)) return false;
    int row = 0;
    bool stuck = false;
    Message message;
    while (!owed_.empty()) {
      if (!connection_.receive(message, &stuck)) {
        if (stuck) {
          tally_.stuck.fetch_add(1);
          std::fprintf(stderr, "STUCK: %s waits for %zu answers\n", id_.c_str(), owed_.size());
          connection_.close();
        }
        return false;
      }
      if (!check(message, row)) return false;
    }
    return true;
  }

  bool check(const Message& message, int& row) {
    Owed& owed = owed_.front();
    switch (message.type) {
      case 'N':
      case 'S':
      case 'A':
      case 'T':
        if (owed.kind == Owed::Kind::kDescribe) owed_.pop_front();
        return true;
      case '1': return expect(Owed::Kind::kParse, message);
      case '2': return expect(Owed::Kind::kBind, message);
      case '3': return expect(Owed::Kind::kClose, message);
      case 'n': return expect(Owed::Kind::kDescribe, message);
      case 'D': return check_row(message, row);
      case 'C':
        if (owed.kind != Owed::Kind::kRows) return wrong("CommandComplete out of order", message);
        if (row != owed.rows) return wrong("wrong number of rows: " + std::to_string(row), message);
        row = 0;
        tally_.replies.fetch_add(1);
        owed_.pop_front();
        return true;
      case 'E': return check_error(message, row);
      case 'Z':
        if (owed.kind != Owed::Kind::kReady) return wrong("ReadyForQuery before its answers", message);
        owed_.pop_front();
        return true;
      default: return wrong("unexpected message", message);
    }
  }

  bool expect(Owed::Kind kind, const Message& message) {
    if (owed_.front().kind != kind) return wrong("completion out of order", message);
    tally_.replies.fetch_add(1);
    owed_.pop_front();
    return true;
  }

  bool check_row(const Message& message, int& row) {
    Owed& owed = owed_.front();
    if (owed.kind != Owed::Kind::kRows) return wrong("row out of order", message);
    std::vector<std::string> columns;
    if (!columns_of(message.body, columns) || columns.size() != 3) return wrong("malformed row", message);
    if (columns[0] != id_) return wrong("row of client " + columns[0], message);
    if (columns[1] != owed.nonce) return wrong("row of another query: " + columns[1] + " not " + owed.nonce, message);
    if (columns[2] != std::to_string(++row)) return wrong("row number " + columns[2], message);
    tally_.rows.fetch_add(1);
    return true;
  }

  // An error ends everything up to the next ReadyForQuery. Those that were not asked for come from kills, cancels,
  // timeouts; anything else is wrong.
  bool check_error(const Message& message, int& row) {
    static const char* kFine[] = {"57P01", "57P02", "08P01", "08006", "53300", "57P03", "58000", "08003"};
    std::string code = error_code(message.body);
    bool asked = owed_.front().kind == Owed::Kind::kError;
    tally_.errors.fetch_add(1);
    tally_.replies.fetch_add(1);
    row = 0;
    if (code == "57014") {  // only who has asked for it may be cancelled
      if (!cancel_sent_) return wrong("cancelled by somebody else's request", message);
      while (!owed_.empty() && owed_.front().kind != Owed::Kind::kReady)
        owed_.pop_front();
      return true;
    }
    if (asked && code != "22012") {
      bool fine = false;
      for (const char* known : kFine)
        fine = fine || code == known;
      if (!fine) return wrong("another error than asked for: " + code, message);
    }
    if (!asked) {
      bool fine = false;
      for (const char* known : kFine)
        fine = fine || code == known;
      if (!fine) return wrong("an error nobody asked for: " + code + " " + message.body.substr(0, 200), message);
    }
    if (message.body.rfind("SFATAL", 0) == 0) {
      connection_.close();
      return false;
    }
    // A statement whose Parse or Close was skipped is not known for sure any more: begin anew.
    bool skipped_named = !asked;
    while (!owed_.empty() && owed_.front().kind != Owed::Kind::kReady)
      owed_.pop_front();
    if (skipped_named) {
      connection_.close();
      return false;
    }
    return true;
  }

  const Options& options_;
  Tally& tally_;
  const std::string id_;
  std::mt19937_64 random_;
  Connection connection_;
  std::string batch_;
  std::deque<Owed> owed_;
  std::map<int, bool> prepared_;
  bool cancel_sent_ = false;
};

// Ends backends of the pool's user at random, over a connection of its own to PostgreSQL.
void kill_servers(Options options, const std::atomic<bool>& stop, Tally& tally) {
  options.port = options.direct_port;
  options.user = "postgres";
  Connection connection;
  std::mt19937_64 random(options.seed);
  while (!stop.load()) {
    if (!connection.alive() && !connection.open(options)) return;
    std::string sql =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'chaos' ORDER BY random() LIMIT 1; "
        "SELECT pg_sleep(" +
        std::to_string(0.05 + static_cast<double>(random() % 100) / 500) + ")";
    if (!connection.send(query(sql))) continue;
    Message message;
    bool stuck = false;
    while (connection.receive(message, &stuck) && message.type != 'Z') {
    }
  }
  (void)tally;
}

bool parse_options(int argc, char** argv, Options& options) {
  for (int at = 1; at < argc; ++at) {
    std::string name = argv[at];
    auto value = [&]() -> std::string { return at + 1 < argc ? argv[++at] : ""; };
    if (name == "--host")
      options.host = value();
    else if (name == "--port")
      options.port = std::atoi(value().c_str());
    else if (name == "--user")
      options.user = value();
    else if (name == "--database")
      options.database = value();
    else if (name == "--clients")
      options.clients = std::atoi(value().c_str());
    else if (name == "--seconds")
      options.seconds = std::atoi(value().c_str());
    else if (name == "--replies")
      options.replies = std::strtoull(value().c_str(), nullptr, 10);
    else if (name == "--seed")
      options.seed = std::strtoull(value().c_str(), nullptr, 10);
    else if (name == "--direct-port")
      options.direct_port = std::atoi(value().c_str());
    else if (name == "--kill-servers")
      options.kill_servers = true;
    else if (name == "--no-vanish")
      options.vanish = false;
    else if (name == "--no-cancels")
      options.cancels = false;
    else
      return false;
  }
  return true;
}

}  // namespace

int run(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fprintf(
        stderr,
        "usage: chaos [--host H] [--port P] [--user U] [--database D] [--clients N] [--seconds S | --replies N]\n"
        "             [--seed N] [--kill-servers --direct-port P] [--no-vanish] [--no-cancels]\n");
    return 2;
  }
  Tally tally;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Client>> clients;
  for (int number = 0; number < options.clients; ++number) {
    clients.push_back(std::make_unique<Client>(options, tally, number));
  }
  for (auto& client : clients)
    threads.emplace_back([&stop, one = client.get()] { one->run(stop); });
  if (options.kill_servers) threads.emplace_back([&] { kill_servers(options, stop, tally); });
  auto begin = std::chrono::steady_clock::now();
  auto limit = std::chrono::seconds(options.replies > 0 ? 3600 : options.seconds);
  while (std::chrono::steady_clock::now() - begin < limit && tally.wrong.load() == 0) {
    if (options.replies > 0 && tally.replies.load() >= options.replies) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  stop = true;
  for (auto& thread : threads)
    thread.join();
  std::printf(
      "chaos: %llu replies and %llu rows checked, %llu wrong, %llu stuck; %llu errors, %llu connects, %llu cancels, "
      "%llu vanished\n",
      static_cast<unsigned long long>(tally.replies), static_cast<unsigned long long>(tally.rows),
      static_cast<unsigned long long>(tally.wrong), static_cast<unsigned long long>(tally.stuck),
      static_cast<unsigned long long>(tally.errors), static_cast<unsigned long long>(tally.reconnects),
      static_cast<unsigned long long>(tally.cancels), static_cast<unsigned long long>(tally.vanished));
  return tally.wrong == 0 && tally.stuck == 0 && tally.rows > 0 ? 0 : 1;
}

}  // namespace chaos

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return chaos::run(argc, argv);
}
