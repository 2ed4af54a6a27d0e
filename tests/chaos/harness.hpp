// A small blocking protocol client for the wrong-answer harness: it knows what it has asked and checks every reply.
// Independent of daemon/ on purpose: a mistake there must not be repeated here.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace chaos {

struct Options {
  std::string host = "127.0.0.1";
  int port = 6432;
  std::string user = "chaos";
  std::string database = "chaos";
  int clients = 32;
  int seconds = 10;
  uint64_t replies = 0;  // stop when so many rows were checked; 0: by time
  uint64_t seed = 1;
  bool kill_servers = false;  // needs --direct-port
  int direct_port = 0;
  bool vanish = true;  // clients that leave in the middle
  bool cancels = true;
};

struct Tally {
  std::atomic<uint64_t> rows{0};     // rows whose id and nonce were checked
  std::atomic<uint64_t> replies{0};  // messages that ended a request: CommandComplete, ErrorResponse, ...
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> errors{0};  // errors that were asked for, or come with kills and timeouts
  std::atomic<uint64_t> reconnects{0};
  std::atomic<uint64_t> cancels{0};
  std::atomic<uint64_t> vanished{0};
  std::atomic<uint64_t> stuck{0};  // no answer within the patience
};

// What one message of the server was.
struct Message {
  char type = 0;
  std::string body;
};

class Connection {
 public:
  ~Connection() { close(); }
  bool open(const Options& options);  // trust login; false: refused or failed
  void close();
  void abandon();  // a reset instead of a polite end
  bool alive() const { return fd_ >= 0; }
  bool send(const std::string& bytes);
  // False: connection lost (alive() is false then) or no message within the patience (`stuck`).
  bool receive(Message& message, bool* stuck);
  bool send_cancel(const Options& options) const;

 private:
  bool fill(bool* stuck);
  int fd_ = -1;
  std::string in_;
  size_t at_ = 0;
  std::string key_;  // pid and secret of BackendKeyData
};

std::string query(const std::string& sql);
std::string parse(const std::string& name, const std::string& sql);
std::string bind(const std::string& portal, const std::string& name, const std::vector<std::string>& values);
std::string describe_portal(const std::string& portal);
std::string execute(const std::string& portal);
std::string close_statement(const std::string& name);
std::string sync();
std::string flush();

// The columns of a DataRow; false when it is malformed.
bool columns_of(const std::string& body, std::vector<std::string>& columns);
std::string error_code(const std::string& body);

}  // namespace chaos
