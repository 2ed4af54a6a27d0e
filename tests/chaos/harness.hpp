// A small blocking protocol client for the wrong-answer harness: it knows what it has asked and checks every reply.
// Independent of daemon/ on purpose: a mistake there must not be repeated here.
#pragma once

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace chaos {

struct Options {
  std::string host = "127.0.0.1";
  int port = 6432;
  std::string user = "chaos";
  std::string database = "chaos";  // with _session and _statement behind it: the databases of those pool modes
  std::string modes = "t";         // dealt out to the clients in turn: t(ransaction), s(ession), x (statement)
  int clients = 32;
  int seconds = 10;
  uint64_t replies = 0;  // stop when so many were checked; 0: by time
  uint64_t seed = 1;
  bool kill_servers = false;  // needs direct_port
  int direct_port = 0;        // PostgreSQL itself
  int proxy_port = 0;         // where pgweir finds "PostgreSQL": the proxy listens here; 0: none
  bool cuts = true;           // the proxy cuts connections
  bool corrupt = false;       // the proxy breaks the framing of servers' messages
  bool vanish = true;         // clients that leave in the middle
  int rude = 1;               // so many times more often than usual: clients that vanish, cancel, fail and copy
  bool cancels = true;
  bool timeouts = false;  // queries and transactions that run into pgweir's timeouts
  bool slow = true;       // clients that write in slices and read slowly
  bool setup = true;      // makes chaos_sink first
  bool console = false;   // RECONNECT, RELOAD, PAUSE and RESUME, SHOW all the while
};

struct Tally {
  std::atomic<uint64_t> rows{0};     // rows whose id and nonce were checked
  std::atomic<uint64_t> replies{0};  // messages that ended a request: CommandComplete, ErrorResponse, ...
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> errors{0};  // errors that were asked for, or come with kills and timeouts
  std::atomic<uint64_t> connects{0};
  std::atomic<uint64_t> refused{0};  // logins that failed
  std::atomic<uint64_t> lost{0};     // connections that ended under a client, with a reason or without
  std::atomic<uint64_t> cancels{0};
  std::atomic<uint64_t> cancelled{0};  // queries that were ended by their own cancel request
  std::atomic<uint64_t> timed_out{0};  // ended by a timeout of pgweir
  std::atomic<uint64_t> killed{0};     // servers ended by pg_terminate_backend
  std::atomic<uint64_t> vanished{0};
  std::atomic<uint64_t> commands{0};  // of the console
  std::atomic<uint64_t> stuck{0};     // no answer within the patience
};

// What one message of the server was.
struct Message {
  char type = 0;
  std::string body;
};

// How a client writes and reads.
struct Manners {
  int slice = 0;        // at most so many bytes a write; 0: all at once
  int swallow = 65536;  // at most so many bytes a read
  int pause_reads = 0;  // one read in so many comes late; 0: none does
  bool narrow = false;  // a small receive buffer, so that a slow reader is felt
  uint64_t seed = 0;
};

using Parameters = std::vector<std::pair<std::string, std::string>>;

class Connection {
 public:
  ~Connection() { close(); }
  // Trust login. False: refused or failed; `error` has the server's last words then, if any. Reports of parameters are
  // collected in `reports`.
  bool open(const Options& options, const std::string& user, const std::string& database, const Parameters& startup,
            const Manners& manners, Message& error, Parameters* reports, bool* stuck);
  void close();
  void abandon();  // a reset instead of a polite end
  bool alive() const { return fd_ >= 0; }
  bool send(const std::string& bytes);
  // False: connection lost (alive() is false then) or no message within the patience (`stuck`).
  bool receive(Message& message, bool* stuck);
  // Whether something lies there to be read.
  bool readable() const;
  // The descriptor of a cancel request on its way, -1 when it could not be sent. Its end means that pgweir has done
  // with it; the caller closes it.
  int send_cancel(const Options& options) const;

 private:
  bool fill(bool* stuck);
  int fd_ = -1;
  std::string in_;
  size_t at_ = 0;
  std::string key_;  // pid and secret of BackendKeyData
  Manners manners_;
  std::mt19937_64 random_;
};

int dial(const std::string& host, int port, bool narrow = false);

std::string query(const std::string& sql);
std::string parse(const std::string& name, const std::string& sql);
std::string bind(const std::string& portal, const std::string& name, const std::vector<std::string>& values);
std::string describe_portal(const std::string& portal);
std::string describe_statement(const std::string& name);
std::string execute(const std::string& portal);
std::string close_statement(const std::string& name);
std::string function_call(uint32_t function, const std::vector<std::string>& values);
std::string copy_data(const std::string& bytes);
std::string copy_done();
std::string copy_fail(const std::string& why);
std::string sync();
std::string flush();

// The columns of a DataRow; false when it is malformed.
bool columns_of(const std::string& body, std::vector<std::string>& columns);
// A field of an ErrorResponse, such as 'C' or 'M'; empty when it is not there.
std::string error_field(const std::string& body, char field);
// The name and value of a ParameterStatus.
std::pair<std::string, std::string> parameter_of(const std::string& body);

uint32_t get32(const char* at);
void put32(std::string& out, uint32_t value);

}  // namespace chaos
