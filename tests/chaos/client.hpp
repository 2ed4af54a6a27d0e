// One client of the harness: a thread that asks, knows what it has asked, and checks every message that comes back:
// order, client id, nonce, row number, command tag, transaction status, its own settings. turns.cpp and
// transactions.cpp say what it asks, client.cpp checks.
#pragma once

#include <deque>
#include <map>
#include <random>

#include "harness.hpp"

namespace chaos {

// One answer that is owed.
struct Owed {
  enum class Kind {
    kRows,       // each row is (client id, nonce, third), then CommandComplete
    kLines,      // the same as lines of COPY TO STDOUT
    kCommand,    // only a CommandComplete
    kError,      // of the SQLSTATE `third`; what follows up to a ReadyForQuery is not owed any more
    kCopyStart,  // CopyInResponse or CopyOutResponse
    kParse,
    kBind,
    kDescribe,
    kClose,
    kFunction,  // a FunctionCallResponse with the value `third`
    kReady,     // with the transaction status `third`; empty: any
  } kind;
  std::string nonce;
  int rows = 0;
  // kRows: empty: the row's number; "=...": that text; "*first": any, remembered; "*same": what was remembered.
  std::string third;
  std::string tag;  // of CommandComplete; empty: the one that `rows` makes
};

class Client {
 public:
  Client(const Options& options, Tally& tally, int number);
  ~Client();
  void run(const std::atomic<bool>& stop);

 private:
  using Kind = Owed::Kind;
  struct Turn {
    int weight;
    void (Client::*play)();
    const char* name;
    const char* modes;
    bool rude = false;
  };
  static const Turn kTurns[];

  // client.cpp
  bool connect();
  void turn();
  bool settle();
  bool check(const Message& message);
  bool check_ready(const Message& message);
  bool check_complete(const Message& message);
  bool check_row(const Message& message);
  bool check_columns(const std::vector<std::string>& columns, const Message& message);
  bool check_line(const Message& message);
  bool check_parameter(const std::string& name, const std::string& value);
  bool check_error(const Message& message);
  bool allowed(const Message& message) const;
  bool expect(Kind kind, const Message& message);
  bool wrong(const std::string& what, const Message& message);
  bool cancels_under_way();
  int pick(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most)); }
  std::string nonce() { return "n" + std::to_string(random_()); }
  void owe(Kind kind, const std::string& nonce = "", int rows = 0, const std::string& third = "",
           const std::string& tag = "") {
    owed_.push_back({kind, nonce, rows, third, tag});
  }

  // turns.cpp
  std::string rows_sql(const std::string& nonce, int rows) const;
  std::string one_sql(const std::string& nonce, const std::string& third) const;
  std::string settings_text() const { return application_ + "/" + zone_; }
  void add_query(const std::string& sql, const std::string& tag, const std::string& status);
  void add_rows(int rows, const std::string& status = "");
  void add_one(const std::string& expression, const std::string& third, const std::string& status = "");
  void add_unnamed();
  void add_prepared();
  void add_sync(const std::string& status = "");
  void simple();
  void extended();
  void prepared_batch();
  void pipeline();
  void multi();
  void flushing();
  void function();
  void large();
  void check_settings();
  void change_setting();
  void cancelled();
  void cancel_and_go();
  void vanish();
  void query_timeout();

  // transactions.cpp
  bool step();
  void transaction();
  void failing_transaction();
  void rolled_back_setting();
  void idle_transaction();
  void own_setting();
  void copy_out();
  void copy_in();
  void failing_copy();
  void extended_copy();
  void add_lines(const std::string& nonce, int rows);

  const Options& options_;
  Tally& tally_;
  const std::string id_;
  const char mode_;  // t, s or x
  std::mt19937_64 random_;
  Connection connection_;
  std::string batch_;
  std::deque<Owed> owed_;
  int row_ = 0;
  std::map<int, int> prepared_;  // number of the statement: version of its text; 0: not prepared
  std::string application_;
  std::string zone_;
  std::vector<std::string> zones_;  // that this connection has ever asked for
  std::string remembered_;
  std::vector<int> cancels_;  // descriptors of cancel requests under way
  std::deque<int> orphans_;   // of those for a connection that is gone: they must hit nobody
  bool may_be_cancelled_ = false;
  bool soiled_ = false;  // what the server knows of us is not certain any more: connect anew
  int turns_left_ = 0;
  const char* playing_ = "";
};

}  // namespace chaos
