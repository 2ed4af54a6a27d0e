// The hot path: bytes from a client to its server and back, message by message. Promises: five steps from a readable
// socket to a written one (read, scan, attach or match, queue, flush), none of which calls back up; bodies of large
// messages are not gathered, but for a named Parse and a ParameterStatus, and of these each byte is read once; a reply
// that nothing owed closes that pair. Does not: log in, wait in coroutines, know the console. What a message means
// stands in message_rules.hpp.
#pragma once

#include "relay/message_rules.hpp"
#include "session/attach.hpp"
#include "session/hub.hpp"
#include "track/rewrite.hpp"
#include "wire/error_fields.hpp"
#include "wire/framing.hpp"

namespace pgweir::relay {

class Relay {
 public:
  explicit Relay(session::Hub& hub) : hub_(hub), client_events_(*this), server_events_(*this) {
    spare_buffers_.reserve(kSpareBuffers);
  }

  net::StreamHandler& client_handler() { return client_events_; }
  net::StreamHandler& server_handler() { return server_events_; }

  // A client that has logged in; what was read behind its login lies in client.held.
  void open(session::Client& client);
  // From the ready list: a client that got a server, may send again, or has bytes that were left unread.
  void resume(session::Client& client);
  // From the ready list: a server whose client has taken what was sent, or whose bytes were left unread.
  void resume(session::Server& server);
  // A cancel request for a client that still waits for a server: answered on the spot with 57014.
  void cancel_waiting(session::Client& client);

 private:
  int64_t reads_a_turn() const;
  struct ClientEvents final : net::StreamHandler {
    explicit ClientEvents(Relay& r) : relay(r) {}
    void on_readable(net::Stream& stream) override;
    void on_writable(net::Stream& stream) override;
    Relay& relay;
  };
  struct ServerEvents final : net::StreamHandler {
    explicit ServerEvents(Relay& r) : relay(r) {}
    void on_readable(net::Stream& stream) override;
    void on_writable(net::Stream& stream) override;
    Relay& relay;
  };

  // What became of a piece of input.
  enum class Scan : uint8_t {
    kDone,    // all of it has been handled
    kHeld,    // the rest is kept in End::held: more bytes (see `until`), or a server, are needed first
    kClosed,  // the connection is gone
  };

  // One piece of input while it is scanned. `run` is where the bytes begin that will be forwarded as they are.
  struct Piece {
    ByteView bytes;
    size_t at = 0;
    size_t run = 0;
    size_t wants = 0;  // with kHeld: how long `rest` must be to be looked at again; 0: that is not what it waits for
    ByteView rest() const { return bytes.substr(at); }
  };

  // Does `act`, which reads what a client or a server sends. More memory than there is costs that connection, and its
  // pair: what it was told and what it said may be out of step then.
  template <class Act>
  void within_memory(session::Client& client, Act act);
  template <class Act>
  void within_memory(session::Server& server, Act act);

  // relay.cpp: reading and the scan loops
  void go_on(session::Client& client);
  void read_client(session::Client& client);
  void read_server(session::Server& server);
  bool may_read(session::Client& client);
  static bool has_to_wait(const session::Client& client);
  Scan scan_client(session::Client& client, ByteView bytes);
  Scan scan_server(session::Server& server, ByteView bytes);
  net::IoResult read_behind_held(session::End& end, size_t room, ByteView& bytes);
  size_t rest_of_message(const session::End& end) const;
  static Scan until(Piece& piece, size_t bytes);
  static bool enough_held(const session::End& end) { return !end.held || end.held->size() >= end.held_wants; }
  Scan hold(session::End& end, const Piece& piece);
  void recycle(std::unique_ptr<std::string> held);
  void send_run(session::End& to, Piece& piece);
  void pass(session::End& from, Piece& piece, size_t message_size);
  void drop(session::End& from, session::End* to, Piece& piece, size_t message_size);
  bool pass_body(session::End& from, session::End* to, Piece& piece);
  Scan refuse(session::Client& client, Piece& piece, session::Reason reason, std::string_view text = {});
  void lost(session::Client& client, const net::IoResult& got);
  void lost(session::Server& server, const net::IoResult& got);

  // client_messages.cpp: what each message of a client means
  Scan on_client_message(session::Client& client, Piece& piece, const wire::Header& header, const ClientRule& rule);
  Scan on_query(session::Client& client, Piece& piece, size_t size, bool whole);
  Scan on_execute(session::Client& client, Piece& piece, size_t size, bool whole);
  Scan on_parse(session::Client& client, Piece& piece, size_t size);
  Scan on_taken_name(session::Client& client, Piece& piece, size_t size, const track::ParseNames& names);
  Scan on_unnamed_parse(session::Client& client, Piece& piece, size_t size, bool whole);
  Scan on_bind(session::Client& client, Piece& piece, size_t size);
  Scan on_describe(session::Client& client, Piece& piece, size_t size);
  Scan on_close(session::Client& client, Piece& piece, size_t size);
  Scan skipping(session::Client& client, Piece& piece, size_t size, char type);
  size_t note_text(session::Client& client, const Piece& piece, const wire::Header& header, const ClientRule& rule);
  void send_bind(session::Client& client, Piece& piece, size_t size, const track::BindNames& names,
                 std::string_view statement);
  bool undecided(session::Server& server, ByteView name);
  Scan on_unnamed_bind(session::Client& client, Piece& piece, size_t size, const track::BindNames& names);
  static void note_deallocation(session::Client& client, ByteView portal, const std::string& name);
  void deliver_local(session::Server& server, Piece* run);

  // statements.cpp: what a server has
  enum class Ensured : uint8_t {
    kReady,     // it is there, in front of what is sent next
    kOutdated,  // it is not, and must not be: its result type may not be what the client was told
    kWait,      // the server is being asked; the client's message must be seen once more
  };
  static track::NotePtr note_of(track::StatementPtr statement, ByteView client_name, bool sent);
  static track::NotePtr doomed(track::Doom doom, ByteView client_name);
  static uint64_t unnamed_number(const session::Client& client);
  static void note_unnamed(session::Client& client, uint64_t number, track::Told told, bool check);
  Ensured ensure_statement(session::Server& server, Piece& piece, const track::StatementPtr& statement);
  Ensured ensure_unnamed(session::Client& client, Piece& piece);
  void send_parse(session::Server& server, const track::Statement& statement);
  bool send_hidden_parse(session::Server& server, Piece& piece, const track::StatementPtr& statement);
  bool send_check(session::Server& server, ByteView name, track::NotePtr note, uint64_t number);
  bool send_close(session::Server& server, const track::StatementPtr& statement);
  void on_description(session::Server& server, ByteView body, const wire::Header& header, const track::Match& match);
  void send_stand_in(session::Server& server);
  void close_stand_in(session::Server& server);
  void evict_statements(session::Server& server);

  // server_messages.cpp: what each message of a server means
  void step_over_rows(Piece& piece) const;
  Scan on_server_message(session::Server& server, Piece& piece, const wire::Header& header);
  Scan on_unlinked(session::Server& server, Piece& piece, char type, ByteView body, size_t size);
  Scan on_ready(session::Server& server, Piece& piece, const track::Match& match);
  static Scan after_ready(const session::Server& server);
  void release_if_over(session::Server& server);
  void end_doubt(session::Server& server);
  void trim_statements(session::Server& server);
  Scan on_hidden_ready(session::Server& server);
  Scan mismatch(session::Server& server, char type);
  bool last_words(session::Server& server, ByteView body);
  bool on_error(session::Server& server, Piece& piece, ByteView body, const track::Match& match,
                const track::StatementNote* cause);
  bool on_parameter(session::Server& server, ByteView body, bool hidden);
  void on_command(session::Server& server, ByteView body);

  // heal.cpp: "cached plan must not change result type"
  void keep_for_retry(session::Client& client, ByteView message, char type, bool whole);
  static bool keep(session::RetryCopy& copy, ByteView message, char type);
  bool learns_columns(const Piece& piece, size_t size, ByteView portal, size_t* wants) const;
  track::StatementPtr renew(session::Client& client, ByteView name, const track::Statement& outdated);
  bool note_answer(session::Server& server, Piece& piece, char type, size_t size, bool forwarded);
  bool heals(session::Server& server, const wire::ErrorFields& fields, const track::Match& match);
  void give_held_back(session::Server& server, Piece& piece);
  void retry_now(session::Server& server);
  void send_again(session::Server& server, ByteView message, char type, const track::Statement& statement);

  static constexpr size_t kSpareBuffers = 64;

  session::Hub& hub_;
  ClientEvents client_events_;
  ServerEvents server_events_;
  std::vector<std::unique_ptr<std::string>> spare_buffers_;  // for End::held
};

}  // namespace pgweir::relay
