// The console's side of the v3 protocol, as a pure machine: bytes of the client in, commands to run and bytes for the
// client out. Simple queries and the extended protocol (named and unnamed statements and portals, both formats, row
// limits), pipelined or in fragments. Promises: a bound on what it holds; rights are checked before a command is given
// out. Does not: run commands, own a socket.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "admin/job.hpp"
#include "base/bytes.hpp"

namespace pgweir::admin {

class ConsoleProtocol {
 public:
  static constexpr uint32_t kMostMessage = 64 * 1024;  // bytes; no console command comes near it
  static constexpr size_t kMostStatements = 1000;
  static constexpr size_t kMostPortals = 100;

  explicit ConsoleProtocol(char rights) : rights_(rights) {}

  enum class Step : uint8_t {
    kNeedBytes,  // feed() it
    kRun,        // run command(), then call answer()
    kTerminate,  // the client says goodbye
    kFatal,      // close it with fatal_text()
  };

  void feed(ByteView bytes);
  // Works through what was fed, up to the next command. Replies are appended to `out`.
  Step next(std::string& out);
  const Command& command() const { return command_; }
  void answer(Outcome outcome, std::string& out);

  const std::string& fatal_text() const { return fatal_text_; }
  // ERRORs sent since the last call, for the log.
  std::vector<std::string> take_errors() { return std::exchange(errors_, {}); }

 private:
  struct Statement {
    Command command;
    const Columns* columns = nullptr;  // null: no rows
  };
  struct Portal {
    Statement statement;
    std::vector<uint16_t> formats;  // one a column; empty: all text
    bool has_run = false;
    std::string tag;
    Rows rows;
    size_t next_row = 0;
  };
  enum class Running : uint8_t { kNothing, kSimple, kPortal };
  enum class Handled : uint8_t { kGoOn, kRun, kTerminate, kFatal };
  using Handler = Handled (ConsoleProtocol::*)(ByteView body, std::string& out);
  static Handler handler_of(char type);

  Handled handle(char type, ByteView body, std::string& out);
  Handled on_query(ByteView body, std::string& out);
  Handled on_parse(ByteView body, std::string& out);
  Handled on_bind(ByteView body, std::string& out);
  Handled on_describe(ByteView body, std::string& out);
  Handled on_execute(ByteView body, std::string& out);
  Handled on_close(ByteView body, std::string& out);
  Handled on_sync(ByteView body, std::string& out);
  Handled on_nothing(ByteView body, std::string& out);
  Handled on_terminate(ByteView body, std::string& out);
  Handled on_function_call(ByteView body, std::string& out);

  Handled fatal(std::string text);
  void error(std::string& out, const Error& what);
  // The same, and everything up to the next Sync is skipped.
  Handled batch_error(std::string& out, ByteView sqlstate, std::string text);
  Result<Statement> prepare(ByteView text) const;
  void send_rows(Portal& portal, std::string& out);

  const char rights_;
  std::string buffer_;
  size_t begin_ = 0;
  std::map<std::string, Statement, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;
  bool skipping_ = false;
  Running running_ = Running::kNothing;
  Command command_;
  std::string portal_;  // being executed
  uint32_t limit_ = 0;  // of its rows; 0: none
  std::string fatal_text_;
  std::vector<std::string> errors_;
};

}  // namespace pgweir::admin
