// What a client asks in transactions, in sessions and with COPY. A transaction must be whole: one server, one
// transaction id, its SET LOCAL in force to the end and no longer.
#include <thread>

#include "client.hpp"

namespace chaos {

// Now and then what has been collected is sent and checked; else it becomes a longer pipeline.
bool Client::step() {
  if (pick(3) == 0) return true;
  return settle() && !soiled_;
}

void Client::transaction() {
  static const char* kWhole = "pg_backend_pid() || '/' || txid_current()";
  std::string mark = nonce();
  add_query("BEGIN", "BEGIN", "T");
  if (!step()) return;
  add_one(kWhole, "*first", "T");
  add_query("SET LOCAL chaos.mark = '" + mark + "'", "SET", "T");
  if (!step()) return;
  for (int at = pick(4); at > 0; --at) {
    switch (pick(4)) {
      case 0: add_rows(pick(4), "T"); break;
      case 1:
        add_prepared();
        add_sync("T");
        break;
      case 2:
        add_unnamed();
        add_sync("T");
        break;
      default: {
        std::string n = nonce();
        int rows = pick(5);
        batch_ += query("COPY chaos_sink FROM STDIN");
        owe(Kind::kCopyStart);
        add_lines(n, rows);
        batch_ += copy_done();
        owe(Kind::kCommand, "", 0, "", "COPY " + std::to_string(rows));
        owe(Kind::kReady, "", 0, "T");
        std::string taken;
        for (int row = 1; row <= rows; ++row)
          taken += id_ + ":" + n + ":" + std::to_string(row) + ";";
        add_one("coalesce(current_setting('chaos.copied', true), '')", "=" + taken, "T");
        add_query("SET LOCAL chaos.copied = ''", "SET", "T");
      }
    }
    if (!step()) return;
  }
  add_one(kWhole, "*same", "T");
  add_one("current_setting('chaos.mark')", "=" + mark, "T");
  if (!step()) return;
  if (pick(4) == 0) {
    add_query("ROLLBACK", "ROLLBACK", "I");
  } else {
    add_query("COMMIT", "COMMIT", "I");
  }
  settle();
}

void Client::failing_transaction() {
  add_query("BEGIN", "BEGIN", "T");
  add_rows(1, "T");
  bool savepoint = pick(2) == 0;
  if (savepoint) add_query("SAVEPOINT here", "SAVEPOINT", "T");
  if (!step()) return;
  if (pick(2)) {
    batch_ += query("SELECT 1/0");
    owe(Kind::kError, "", 0, "22012");
    owe(Kind::kReady, "", 0, "E");
  } else {
    batch_ += parse("", "SELECT no_such_column") + bind("", "", {}) + execute("") + sync();
    owe(Kind::kError, "", 0, "42703");
    owe(Kind::kReady, "", 0, "E");
  }
  if (!step()) return;
  batch_ += query(rows_sql(nonce(), 1));
  owe(Kind::kError, "", 0, "25P02");
  owe(Kind::kReady, "", 0, "E");
  if (!step()) return;
  if (savepoint) {
    add_query("ROLLBACK TO here", "ROLLBACK", "T");
    add_rows(2, "T");
    if (!step()) return;
    add_query("COMMIT", "COMMIT", "I");
  } else {
    add_query(pick(2) ? "COMMIT" : "ROLLBACK", "ROLLBACK", "I");
  }
  settle();
}

// What a transaction has set goes back with it, and pgweir must hear of that.
void Client::rolled_back_setting() {
  zones_.emplace_back("Asia/Seoul");
  add_query("BEGIN", "BEGIN", "T");
  add_query("SET TimeZone = 'Asia/Seoul'", "SET", "T");
  add_one("current_setting('TimeZone')", "=Asia/Seoul", "T");
  if (!step()) return;
  add_query("ROLLBACK", "ROLLBACK", "I");
  if (!step()) return;
  check_settings();
}

// Runs into idle_transaction_timeout: what is asked afterwards must not be answered by another transaction.
void Client::idle_transaction() {
  if (!options_.timeouts) return transaction();
  add_query("BEGIN", "BEGIN", "T");
  add_one("pg_backend_pid() || '/' || txid_current()", "*first", "T");
  if (!settle() || soiled_) return;
  std::this_thread::sleep_for(std::chrono::milliseconds(500 + pick(2500)));
  add_one("pg_backend_pid() || '/' || txid_current()", "*same", "T");
  add_query("COMMIT", "COMMIT", "I");
  settle();
}

// A session of a pool of sessions is reset before the next client gets it.
void Client::own_setting() {
  add_one("coalesce(current_setting('chaos.own', true), '')", "=", "I");
  add_query("SET chaos.own = '" + id_ + "'", "SET", "I");
  add_rows(1, "I");
  add_one("current_setting('chaos.own')", "=" + id_, "I");
  add_query("RESET chaos.own", "RESET", "I");
  if (pick(2)) {
    add_query("SET chaos.own = 'left behind'", "SET", "I");
    turns_left_ = 0;
  }
  settle();
}

void Client::add_lines(const std::string& nonce, int rows) {
  std::string lines;
  for (int row = 1; row <= rows; ++row)
    lines += id_ + "\t" + nonce + "\t" + std::to_string(row) + "\n";
  // Messages of COPY need not end where lines end.
  while (!lines.empty()) {
    size_t piece = pick(2) ? lines.size() : 1 + static_cast<size_t>(pick(static_cast<int>(lines.size())));
    batch_ += copy_data(lines.substr(0, piece));
    lines.erase(0, piece);
  }
}

void Client::copy_out() {
  std::string n = nonce();
  int rows = pick(20) == 0 ? 3000 : pick(10);
  std::string sql = "COPY (" + rows_sql(n, rows) + ") TO STDOUT";
  bool simple = pick(2) == 0;
  if (simple) {
    batch_ = query(sql);
  } else {
    batch_ = parse("", sql) + bind("", "", {}) + execute("") + sync();
    owe(Kind::kParse);
    owe(Kind::kBind);
  }
  owe(Kind::kCopyStart);
  owe(Kind::kLines, n, rows);
  owe(Kind::kReady, "", 0, "I");
  if (pick(2)) add_rows(1, "I");
  settle();
}

void Client::copy_in() {
  int rows = pick(20) == 0 ? 2000 : pick(10);
  batch_ = query("COPY chaos_sink FROM STDIN");
  owe(Kind::kCopyStart);
  if (pick(2) && (!settle() || soiled_)) return;
  add_lines(nonce(), rows);
  batch_ += copy_done();
  owe(Kind::kCommand, "", 0, "", "COPY " + std::to_string(rows));
  owe(Kind::kReady, "", 0, "I");
  if (pick(2)) add_rows(1, "I");
  settle();
}

// The client gives up, or a line is bad and what is sent behind it is ignored.
void Client::failing_copy() {
  batch_ = query("COPY chaos_sink FROM STDIN");
  owe(Kind::kCopyStart);
  bool waits = pick(2) == 0;
  if (waits && (!settle() || soiled_)) return;
  add_lines(nonce(), pick(4));
  if (pick(2)) {
    batch_ += copy_fail("changed my mind");
    owe(Kind::kError, "", 0, "57014");
  } else {
    batch_ += copy_data("a\tb\t1\ttoo many\n");
    add_lines(nonce(), pick(4));
    batch_ += copy_done();
    owe(Kind::kError, "", 0, "22P04");
  }
  owe(Kind::kReady, "", 0, "I");
  if (pick(2)) add_rows(1, "I");
  settle();
}

// As libpq does it: a Sync behind the Execute, which the server ignores once it copies, and one at the end.
void Client::extended_copy() {
  int rows = pick(6);
  batch_ = parse("", "COPY chaos_sink FROM STDIN") + bind("", "", {}) + execute("");
  owe(Kind::kParse);
  owe(Kind::kBind);
  owe(Kind::kCopyStart);
  batch_ += pick(2) ? sync() : flush();
  if (pick(2) && (!settle() || soiled_)) return;
  add_lines(nonce(), rows);
  batch_ += copy_done();
  owe(Kind::kCommand, "", 0, "", "COPY " + std::to_string(rows));
  add_sync("I");
  settle();
}

}  // namespace chaos
