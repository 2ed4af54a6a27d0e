// What a client asks outside of transactions, and what it owes for it.
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "client.hpp"

namespace chaos {

// How often each turn is played, and in which pool modes.
const Client::Turn Client::kTurns[] = {
    {2000, &Client::simple, "simple", "tsx"},
    {1400, &Client::extended, "extended", "tsx"},
    {2200, &Client::prepared_batch, "prepared", "tsx"},
    {1600, &Client::pipeline, "pipeline", "tsx"},
    {400, &Client::multi, "several statements", "tsx"},
    {300, &Client::flushing, "flush", "tsx"},
    {200, &Client::function, "function call", "tsx"},
    {60, &Client::large, "large", "tsx"},
    {400, &Client::check_settings, "settings", "tsx"},
    {200, &Client::change_setting, "set", "tsx"},
    {200, &Client::cancelled, "cancel", "tsx", true},
    {60, &Client::cancel_and_go, "cancel and go", "tsx", true},
    {150, &Client::vanish, "vanish", "tsx", true},
    {5, &Client::query_timeout, "query timeout", "tsx"},
    {600, &Client::transaction, "transaction", "ts"},
    {300, &Client::failing_transaction, "failing transaction", "ts"},
    {100, &Client::rolled_back_setting, "set and roll back", "ts"},
    {5, &Client::idle_transaction, "idle transaction", "ts"},
    {400, &Client::own_setting, "setting of the session", "s"},
    {150, &Client::copy_out, "copy out", "tsx"},
    {150, &Client::copy_in, "copy in", "tsx", true},
    {100, &Client::failing_copy, "failing copy", "tsx", true},
    {100, &Client::extended_copy, "extended copy", "tsx", true},
    {0, nullptr, "", ""},
};

namespace {

constexpr uint32_t kTextcat = 1258;  // the oid of textcat(text, text)

// The rows of a statement tell which it is: a name that stands for another statement than it should is found out.
int rows_of(int number, int version) {
  return (number + version) % 4 + 1;
}
std::string rows_statement(int number, int version) {
  return "SELECT $1::text, $2::text, g FROM generate_series(1," + std::to_string(rows_of(number, version)) +
         ") g /* s" + std::to_string(number) + " */";
}

}  // namespace

std::string Client::rows_sql(const std::string& nonce, int rows) const {
  return "SELECT '" + id_ + "', '" + nonce + "', g FROM generate_series(1," + std::to_string(rows) + ") g";
}
std::string Client::one_sql(const std::string& nonce, const std::string& third) const {
  return "SELECT '" + id_ + "', '" + nonce + "', " + third;
}

void Client::add_query(const std::string& sql, const std::string& tag, const std::string& status) {
  batch_ += query(sql);
  owe(Kind::kCommand, "", 0, "", tag);
  owe(Kind::kReady, "", 0, status);
}

void Client::add_rows(int rows, const std::string& status) {
  std::string n = nonce();
  batch_ += query(rows_sql(n, rows));
  owe(Kind::kRows, n, rows);
  owe(Kind::kReady, "", 0, status);
}

// One row whose third column is that expression; `third` as in Owed.
void Client::add_one(const std::string& expression, const std::string& third, const std::string& status) {
  std::string n = nonce();
  batch_ += query(one_sql(n, expression));
  owe(Kind::kRows, n, 1, third);
  owe(Kind::kReady, "", 0, status);
}

void Client::add_unnamed() {
  std::string n = nonce();
  int rows = pick(4) + 1;
  batch_ += parse("", "SELECT $1::text, $2::text, g FROM generate_series(1," + std::to_string(rows) + ") g");
  owe(Kind::kParse);
  if (pick(3) == 0) {
    batch_ += describe_statement("");
    owe(Kind::kDescribe);
  }
  batch_ += bind("", "", {id_, n}) + describe_portal("") + execute("");
  owe(Kind::kBind);
  owe(Kind::kDescribe);
  owe(Kind::kRows, n, rows);
}

// A statement from a set that is larger than what a server keeps, so that others are evicted.
void Client::add_prepared() {
  int number = pick(24);
  std::string name = "s" + std::to_string(number);
  if (prepared_[number] == 0) {
    prepared_[number] = 1 + pick(3);
    batch_ += parse(name, rows_statement(number, prepared_[number]));
    owe(Kind::kParse);
  }
  if (pick(6) == 0) {
    batch_ += describe_statement(name);
    owe(Kind::kDescribe);
  }
  std::string n = nonce();
  batch_ += bind("", name, {id_, n}) + execute("");
  owe(Kind::kBind);
  owe(Kind::kRows, n, rows_of(number, prepared_[number]));
  if (pick(8) == 0) {
    batch_ += close_statement(name);
    owe(Kind::kClose);
    prepared_[number] = 0;
  }
}

void Client::add_sync(const std::string& status) {
  batch_ += sync();
  owe(Kind::kReady, "", 0, status);
}

void Client::simple() {
  add_rows(pick(5), "I");
  settle();
}

void Client::extended() {
  add_unnamed();
  add_sync("I");
  settle();
}

void Client::prepared_batch() {
  for (int at = pick(3); at >= 0; --at)
    add_prepared();
  add_sync("I");
  settle();
}

// Several batches at once; one may fail in the middle, what is behind it up to the Sync is skipped: rows, a statement
// that is prepared, one that is closed.
void Client::pipeline() {
  for (int batch = pick(6) + 1; batch > 0; --batch) {
    for (int at = pick(3); at >= 0; --at)
      pick(2) ? add_prepared() : add_unnamed();
    if (pick(4) == 0) batch_ += flush();
    if (pick(4) == 0) {
      bool late = pick(2) == 0;  // a constant is folded when a portal is bound
      batch_ += parse("", late ? "SELECT 1/g FROM generate_series(0, 0) g" : "SELECT 1/0");
      batch_ += bind("", "", {}) + execute("");
      owe(Kind::kParse);
      if (late) owe(Kind::kBind);
      owe(Kind::kError, "", 0, "22012");
      batch_ += bind("", "", {}) + execute("");
      int number = pick(24);
      std::string name = "s" + std::to_string(number);
      if (pick(2)) {
        if (prepared_[number]) batch_ += close_statement(name);
        batch_ += parse(name, rows_statement(number, pick(4)));
      }
    }
    add_sync("I");
    if (pick(8) == 0) add_rows(pick(3), "I");
  }
  settle();
}

// More than one statement in one Query message, and perhaps an error after some of them.
void Client::multi() {
  std::string sql;
  for (int at = pick(3); at >= 0; --at) {
    std::string n = nonce();
    int rows = pick(3);
    sql += rows_sql(n, rows) + "; ";
    owe(Kind::kRows, n, rows);
  }
  if (pick(3) == 0) {
    sql += "SELECT 1/0; " + rows_sql(nonce(), 1);
    owe(Kind::kError, "", 0, "22012");
  }
  batch_ = query(sql);
  owe(Kind::kReady, "", 0, "I");
  settle();
}

// Flush makes the server answer before there is a Sync.
void Client::flushing() {
  for (int round = pick(3); round >= 0; --round) {
    pick(2) ? add_prepared() : add_unnamed();
    batch_ += flush();
    if (!settle() || soiled_) return;
  }
  add_sync("I");
  settle();
}

void Client::function() {
  std::string n = nonce();
  batch_ = function_call(kTextcat, {id_, n});
  owe(Kind::kFunction, "", 0, id_ + n);
  owe(Kind::kReady, "", 0, "I");
  settle();
}

// Large values in both directions.
void Client::large() {
  std::string n = nonce();
  std::string value;
  size_t size = static_cast<size_t>(pick(400'000));
  while (value.size() < size)
    value += n;
  batch_ = parse("", "SELECT $1::text, $2::text, $3::text") + bind("", "", {id_, n, value}) + execute("");
  owe(Kind::kParse);
  owe(Kind::kBind);
  owe(Kind::kRows, n, 1, "=" + value);
  add_sync("I");
  if (pick(2)) add_rows(2000, "I");
  settle();
}

// Our own settings, and nothing that another's transaction or session has left.
void Client::check_settings() {
  add_one("current_setting('application_name') || '/' || current_setting('TimeZone')", "=" + settings_text(), "I");
  if (pick(2)) add_one("coalesce(current_setting('chaos.mark', true), '')", "=", "I");
  settle();
}

void Client::change_setting() {
  static const char* const kNew[] = {"Asia/Seoul", "Europe/Oslo", "America/Bogota", "Africa/Lagos"};
  bool zone = pick(2) == 0;
  std::string application = zone ? application_ : "app-" + id_ + "-" + std::to_string(10 + pick(10));
  std::string wanted = zone ? kNew[pick(4)] : zone_;
  if (zone) zones_.push_back(wanted);
  add_query(zone ? "SET TimeZone = '" + wanted + "'" : "SET application_name = '" + application + "'", "SET", "I");
  application_ = application;
  zone_ = wanted;
  if (pick(2)) return check_settings();
  settle();
}

void Client::cancelled() {
  if (!options_.cancels) return simple();
  std::string n = nonce();
  if (!connection_.send(query("SELECT '" + id_ + "', '" + n + "', 1 FROM pg_sleep(0.05)"))) return connection_.close();
  tally_.cancels.fetch_add(1);
  if (pick(2)) std::this_thread::sleep_for(std::chrono::microseconds(pick(4000)));
  may_be_cancelled_ = true;
  int fd = connection_.send_cancel(options_);
  if (fd >= 0) cancels_.push_back(fd);
  owe(Kind::kRows, n, 1);
  owe(Kind::kReady, "", 0, "I");
  settle();
}

// A cancel request, and away: it must hit nobody else.
void Client::cancel_and_go() {
  if (!options_.cancels) return simple();
  connection_.send(query("SELECT pg_sleep(0.003)"));
  tally_.cancels.fetch_add(1);
  int fd = connection_.send_cancel(options_);
  if (pick(2)) std::this_thread::sleep_for(std::chrono::microseconds(pick(4000)));
  pick(2) ? connection_.abandon() : connection_.close();
  if (fd < 0) return;
  if (pick(2)) {
    cancels_.push_back(fd);
  } else {
    ::close(fd);
  }
}

void Client::vanish() {
  if (!options_.vanish) return simple();
  int how = pick(6);
  std::string n = nonce();
  switch (how) {
    case 0: batch_ = mode_ == 'x' ? query(rows_sql(n, 3)) : query("BEGIN; " + rows_sql(n, 3)); break;
    case 1: batch_ = query("SELECT pg_sleep(0.02)"); break;
    case 2: batch_ = query(rows_sql(n, 2000)) + parse("", "SELECT 1"); break;
    case 3:
      add_unnamed();
      add_prepared();
      break;
    case 4: batch_ = query("COPY chaos_sink FROM STDIN") + copy_data("a\tb\t1\n") + copy_data("a\tb"); break;
    default: batch_ = query(rows_sql(n, 3)) + query(std::string(20'000, ' ') + rows_sql(n, 1)); break;
  }
  // Half of them in the middle of a message.
  if (pick(2)) batch_.resize(static_cast<size_t>(pick(static_cast<int>(batch_.size()))));
  connection_.send(batch_);
  tally_.vanished.fetch_add(1);
  if (pick(3) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(pick(10)));
  pick(2) ? connection_.abandon() : connection_.close();
}

void Client::query_timeout() {
  if (!options_.timeouts) return simple();
  std::string n = nonce();
  batch_ = query("SELECT '" + id_ + "', '" + n + "', 1 FROM pg_sleep(3)");
  owe(Kind::kRows, n, 1);
  owe(Kind::kReady);
  settle();
}

}  // namespace chaos
