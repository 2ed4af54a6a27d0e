#include "admin/console.hpp"

#include <array>

#include "admin/commands.hpp"
#include "admin/protocol.hpp"
#include "base/text.hpp"
#include "net/wait.hpp"
#include "session/attach.hpp"
#include "session/say.hpp"
#include "wire/builder.hpp"

namespace pgweir::admin {

namespace {

using session::Reason;
using Step = ConsoleProtocol::Step;

constexpr char kServerVersion[] = "1.25.2/bouncer";  // what monitors know; PgBouncer's, whose console this speaks
constexpr Micros kLookRound = kSecond;               // how often a waiting console looks whether its client still lives
constexpr size_t kRead = 4096;

struct Console {
  Console(session::Hub& hub, session::Client& client, Office& office)
      : hub(hub), client(client), office(office), protocol(client.console_rights) {}

  bool gone() const { return client.state() == pool::ClientState::kGone; }
  bool close(Reason reason, std::string_view text = {}) {
    session::close_client(hub, client, reason, text);
    return false;
  }
  void log_errors();
  bool send();
  void end(Step step);
  std::shared_ptr<Job> make_job() const;

  session::Hub& hub;
  session::Client& client;
  Office& office;
  ConsoleProtocol protocol;
  std::string out;
};

// A client's words on one line.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return text;
}

void Console::log_errors() {
  for (const std::string& error : protocol.take_errors()) {
    say(hub, client, session::said(Level::kError, Event::kConsoleError), printable(error));
    if (hub.snapshot->global.log_pooler_errors)
      say(hub, client, session::said(Level::kWarning, Event::kPoolerError), cat("pooler error: ", printable(error)));
  }
}

// False: the client is gone.
bool Console::send() {
  log_errors();
  if (out.empty()) return true;
  const bool sent = client.stream.send(out);
  out.clear();
  return sent || close(Reason::kClientSocketError);
}

void Console::end(Step step) {
  if (step == Step::kTerminate) {
    close(Reason::kClientTerminate);
  } else {
    const bool header = protocol.fatal_text() == "bad packet header";
    close(header ? Reason::kClientBadHeader : Reason::kClientUnknownPacket, protocol.fatal_text());
  }
}

std::shared_ptr<Job> Console::make_job() const {
  auto job = std::make_shared<Job>();
  job->command = protocol.command();
  job->rights = client.console_rights;
  job->worker = hub.worker;
  job->client_id = client.id;
  return job;
}

// compat/console.md, section 1. The tracked parameters that the client itself sent come last.
void welcome(Console& console) {
  session::Client& client = console.client;
  constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kParameters = {{
      {"server_version", kServerVersion},
      {"client_encoding", "UTF8"},
      {"server_encoding", "UTF8"},
      {"DateStyle", "ISO"},
      {"TimeZone", "GMT"},
      {"standard_conforming_strings", "on"},
      {"is_superuser", "on"},
  }};
  std::string& out = console.out;
  wire::append_authentication_ok(out);
  for (const auto& [name, value] : kParameters)
    wire::append_parameter_status(out, name, value);
  const track::TrackedNames* names = client.parameters.names();
  for (size_t at = 0; names && at < names->size(); ++at) {
    if (track::Value value = client.parameters.value(at)) wire::append_parameter_status(out, names->name(at), *value);
  }
  session::say(console.hub, client, session::said(Level::kDebug, Event::kLoginAttempt), "logged in");
  const size_t secret_size = client.protocol_minor >= 2 ? 32 : 4;
  console.hub.draw_cancel_key(client, secret_size);
  wire::append_backend_key_data(out, client.cancel_key.pid, client.cancel_key.view());
  wire::append_ready_for_query(out, 'I');
  if (client.held) console.protocol.feed(*client.held);
  client.held.reset();
}

// Everything said so far leaves first: who asks and does not read fills no memory. False: the client is gone.
net::Task<bool> drain(Console& console) {
  net::Stream& stream = console.client.stream;
  if (!console.send()) co_return false;
  co_await net::writable(stream, kNever);
  co_return !console.gone();
}

// More of the client's words. False: the client is gone.
net::Task<bool> listen(Console& console) {
  std::array<char, kRead> bytes{};
  net::Stream& stream = console.client.stream;
  for (;;) {
    const net::IoResult got = stream.read(bytes.data(), bytes.size());
    if (got.status == net::IoStatus::kOk) {
      console.protocol.feed(ByteView(bytes.data(), got.bytes));
      co_return true;
    }
    if (got.status == net::IoStatus::kEof) co_return console.close(Reason::kClientEof);
    if (got.status == net::IoStatus::kError) co_return console.close(Reason::kClientSocketError);
    co_await net::readable(stream, kNever);
    if (console.gone()) co_return false;
  }
}

// What somebody asks, for verbose logs. The value of a SET may be a secret.
void tell_command(Console& console, const Command& command) {
  if (!console.hub.log.wants(Level::kDebug)) return;
  session::say(console.hub, console.client, session::said(Level::kDebug, Event::kConsoleCommand),
               cat("got admin query: ", command.word, command.argument.empty() ? "" : " ", command.argument));
}

// Hands the command in and waits for its end. Who leaves meanwhile is let go: what was asked for goes on without him.
net::Task<bool> run(Console& console) {
  std::shared_ptr<Job> job = console.make_job();
  session::Client& client = console.client;
  client.last_request = client.query_start = console.hub.now();
  tell_command(console, job->command);
  console.office.submit(job);
  while (!job->finished) {
    const Micros until = console.hub.now() + kLookRound;
    net::Waited waited = co_await job->done.wait(console.hub.loop, until);
    if (console.gone()) co_return false;
    const bool left = client.stream.peer_gone() || client.stream.broken();
    if (waited == net::Waited::kTimeout && left) co_return console.close(Reason::kClientEof);
  }
  client.query_start = 0;
  if (job->outcome.silent) co_return console.close(Reason::kDaemonExit);
  console.protocol.answer(std::move(job->outcome), console.out);
  co_return true;
}

}  // namespace

net::Task<void> console(session::Hub& hub, session::Client& client, Office& office) {
  Console console(hub, client, office);
  bool going = true;
  welcome(console);
  while (going) {
    const Step step = console.protocol.next(console.out);
    going = co_await drain(console);
    if (!going) co_return;
    if (step == Step::kRun) {
      going = co_await run(console);
    } else if (step == Step::kNeedBytes) {
      going = co_await listen(console);
    } else {
      console.end(step);
      going = false;
    }
  }
}

}  // namespace pgweir::admin
