// The wrong-answer harness: many clients over few servers; every row carries the client's id and a nonce, and every
// reply is checked against what that client asked, in order. Around it servers are killed, clients vanish, queries are
// cancelled and time out, pipelines fail in the middle, statements are evicted, the console is busy, and a proxy
// between pgweir and PostgreSQL slices, delays, cuts and breaks. One wrong answer fails the run, and so does one client
// that gets none. The seed fixes what each client asks and what each connection suffers, not how the threads
// interleave.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "client.hpp"
#include "proxy.hpp"

namespace chaos {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kSink =
    "CREATE OR REPLACE VIEW chaos_sink AS SELECT ''::text AS id, ''::text AS nonce, 0 AS g; "
    "CREATE OR REPLACE FUNCTION chaos_take() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "PERFORM set_config('chaos.copied', coalesce(current_setting('chaos.copied', true), '') || NEW.id || ':' || "
    "NEW.nonce || ':' || NEW.g || ';', true); RETURN NEW; END $$; "
    "DROP TRIGGER IF EXISTS chaos_take ON chaos_sink; "
    "CREATE TRIGGER chaos_take INSTEAD OF INSERT ON chaos_sink FOR EACH ROW EXECUTE FUNCTION chaos_take()";

// A plain connection of the harness itself, on which answers are only read.
class Plain {
 public:
  Plain(Options options, int port, std::string user, std::string database)
      : options_(std::move(options)), user_(std::move(user)), database_(std::move(database)) {
    options_.port = port;
  }
  // Rows and completions; -1: it failed or was refused.
  int ask(const std::string& sql) {
    Message message;
    bool stuck = false;
    if (!connection_.alive() && !connection_.open(options_, user_, database_, {}, {}, message, nullptr, &stuck))
      return -1;
    connection_.send(query(sql));
    int rows = 0;
    bool failed = false;
    while (connection_.receive(message, &stuck)) {
      if (message.type == 'D') ++rows;
      if (message.type == 'E') {
        failed = true;
        last_error = error_field(message.body, 'M');
      }
      if (message.type == 'Z') return failed ? -1 : rows;
    }
    return -1;
  }
  std::string last_error;

 private:
  Options options_;
  std::string user_;
  std::string database_;
  Connection connection_;
};

// Ends backends of the pool's user at random, over a connection of its own to PostgreSQL.
void kill_servers(const Options& options, const std::atomic<bool>& stop, Tally& tally) {
  Plain plain(options, options.direct_port, "postgres", "postgres");
  std::mt19937_64 random(options.seed);
  while (!stop.load()) {
    int killed = plain.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + options.user +
                           "' ORDER BY random() LIMIT 1");
    if (killed > 0) tally.killed.fetch_add(static_cast<uint64_t>(killed));
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + random() % 200));
  }
}

// An administrator who cannot leave it alone.
void use_console(const Options& options, const std::atomic<bool>& stop, Tally& tally) {
  static const char* const kCommands[] = {
      "RECONNECT",    "RELOAD",     "PAUSE",    "RESUME",          "SHOW POOLS",          "SHOW CLIENTS",
      "SHOW SERVERS", "SHOW STATS", "SHOW MEM", "RECONNECT chaos", "PAUSE chaos_session", "RESUME chaos_session"};
  Plain plain(options, options.port, "admin", "pgweir");
  std::mt19937_64 random(options.seed + 1);
  while (!stop.load()) {
    std::string command = kCommands[random() % std::size(kCommands)];
    // Pausing waits for clients that may sit in a transaction: their own commands bring that to an end.
    if (plain.ask(command) >= 0) tally.commands.fetch_add(1);
    if (command.rfind("PAUSE", 0) == 0) plain.ask("RESUME" + command.substr(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 300));
  }
  plain.ask("RESUME");
}

struct Flag {
  const char* name;
  bool Options::*value;
  bool to;
};
constexpr Flag kFlags[] = {
    {"--kill-servers", &Options::kill_servers, true},
    {"--corrupt", &Options::corrupt, true},
    {"--timeouts", &Options::timeouts, true},
    {"--console", &Options::console, true},
    {"--no-cuts", &Options::cuts, false},
    {"--no-vanish", &Options::vanish, false},
    {"--no-cancels", &Options::cancels, false},
    {"--no-slow", &Options::slow, false},
    {"--no-setup", &Options::setup, false},
};
struct Number {
  const char* name;
  int Options::*value;
};
constexpr Number kNumbers[] = {
    {"--port", &Options::port},       {"--clients", &Options::clients},
    {"--seconds", &Options::seconds}, {"--direct-port", &Options::direct_port},
    {"--rude", &Options::rude},       {"--proxy-port", &Options::proxy_port},
};
struct Long {
  const char* name;
  uint64_t Options::*value;
};
constexpr Long kLongs[] = {{"--replies", &Options::replies}, {"--seed", &Options::seed}};
struct Text {
  const char* name;
  std::string Options::*value;
};
constexpr Text kTexts[] = {{"--host", &Options::host},
                           {"--user", &Options::user},
                           {"--database", &Options::database},
                           {"--modes", &Options::modes}};

template <class Row, size_t size>
const Row* find(const Row (&rows)[size], const std::string& name) {
  for (const Row& row : rows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

bool parse_options(int argc, char** argv, Options& options) {
  for (int at = 1; at < argc; ++at) {
    std::string name = argv[at];
    if (const Flag* flag = find(kFlags, name)) {
      options.*(flag->value) = flag->to;
      continue;
    }
    if (++at >= argc) return false;
    if (const Number* number = find(kNumbers, name)) {
      options.*(number->value) = std::atoi(argv[at]);
    } else if (const Long* large = find(kLongs, name)) {
      options.*(large->value) = std::strtoull(argv[at], nullptr, 10);
    } else if (const Text* text = find(kTexts, name)) {
      options.*(text->value) = argv[at];
    } else {
      return false;
    }
  }
  bool direct = options.direct_port > 0 || (!options.kill_servers && options.proxy_port == 0);
  return direct && !options.modes.empty() && options.modes.find_first_not_of("tsx") == std::string::npos;
}

void report(const Options& options, const Tally& tally, const ProxyTally* proxy) {
  auto n = [](const std::atomic<uint64_t>& value) { return static_cast<unsigned long long>(value.load()); };
  std::printf(
      "chaos: seed %llu: %llu replies and %llu rows checked, %llu wrong, %llu stuck; %llu errors, %llu connects, "
      "%llu refused, %llu lost, %llu vanished, %llu killed, %llu cancels (%llu hit), %llu timed out, %llu console "
      "commands",
      static_cast<unsigned long long>(options.seed), n(tally.replies), n(tally.rows), n(tally.wrong), n(tally.stuck),
      n(tally.errors), n(tally.connects), n(tally.refused), n(tally.lost), n(tally.vanished), n(tally.killed),
      n(tally.cancels), n(tally.cancelled), n(tally.timed_out), n(tally.commands));
  if (proxy) {
    std::printf(
        "; proxy: %llu connections, %llu cancels, %llu slices, %llu stalls, %llu cut, %llu corrupted, %llu "
        "unnoticed",
        n(proxy->connections), n(proxy->cancels), n(proxy->slices), n(proxy->stalls), n(proxy->cuts),
        n(proxy->corrupted), n(proxy->unnoticed));
  }
  std::printf("\n");
}

bool set_up(const Options& options) {
  int port = options.direct_port > 0 ? options.direct_port : options.port;
  Plain plain(options, port, options.user, options.direct_port > 0 ? "postgres" : options.database);
  if (plain.ask(kSink) >= 0) return true;
  std::fprintf(stderr, "chaos: cannot make chaos_sink: %s\n", plain.last_error.c_str());
  return false;
}

}  // namespace

int run(int argc, char** argv) {
  Options options;
  if (!parse_options(argc, argv, options)) {
    std::fprintf(
        stderr,
        "usage: chaos [--host H] [--port P] [--user U] [--database D] [--modes tsx] [--clients N]\n"
        "             [--seconds S | --replies N] [--seed N] [--direct-port P] [--kill-servers] [--proxy-port P]\n"
        "             [--no-cuts] [--corrupt] [--timeouts] [--console] [--no-vanish] [--no-cancels] [--no-slow]\n"
        "             [--no-setup] [--rude N]\n");
    return 2;
  }
  std::atomic<bool> stop{false};
  std::atomic<bool> stop_proxy{false};
  std::unique_ptr<Proxy> proxy;
  std::thread proxy_thread;
  if (options.proxy_port > 0) {
    proxy = std::make_unique<Proxy>(options);
    if (!proxy->listening()) {
      std::fprintf(stderr, "chaos: cannot listen on port %d\n", options.proxy_port);
      return 2;
    }
    proxy_thread = std::thread([&] { proxy->run(stop_proxy); });
  }
  Tally tally;
  bool ready = !options.setup || set_up(options);
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Client>> clients;
  for (int number = 0; ready && number < options.clients; ++number)
    clients.push_back(std::make_unique<Client>(options, tally, number));
  for (auto& client : clients)
    threads.emplace_back([&stop, one = client.get()] { one->run(stop); });
  if (options.kill_servers) threads.emplace_back([&] { kill_servers(options, stop, tally); });
  if (options.console) threads.emplace_back([&] { use_console(options, stop, tally); });
  auto begin = Clock::now();
  auto limit = std::chrono::seconds(options.replies > 0 ? 3600 : options.seconds);
  while (ready && Clock::now() - begin < limit && tally.wrong.load() == 0) {
    if (options.replies > 0 && tally.replies.load() >= options.replies) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  stop = true;
  for (auto& thread : threads)
    thread.join();
  stop_proxy = true;
  if (proxy_thread.joinable()) proxy_thread.join();
  report(options, tally, proxy ? &proxy->tally() : nullptr);
  bool noticed = !proxy || proxy->tally().unnoticed == 0;
  return tally.wrong == 0 && tally.stuck == 0 && tally.rows > 0 && noticed ? 0 : 1;
}

}  // namespace chaos

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return chaos::run(argc, argv);
}
