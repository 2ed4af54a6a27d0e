// pgweir's own conversation with a server that has no client: a hidden query and its answers, or the rest of what a
// vanished client had asked for. Every message goes through the server's ReplyQueue; a mismatch ends the conversation.
// Promises: bounded in time and bytes; parameters and prepared statements that the answers speak of are noted.
#pragma once

#include <string>
#include <string_view>

#include "login/inbox.hpp"
#include "session/attach.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// What the query of Exchange::ask with an Answer brought; the row is wiped with it.
struct Answer {
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { wipe(row); }
  int columns = -1;  // -1: it has none to tell of
  uint64_t rows = 0;
  std::string row;   // body of the last DataRow
  bool cut = false;  // ... which was too large to be kept
};

class Exchange {
 public:
  // Takes over what had been read from the server and not handled. `name` is static: "a reset", for the log.
  Exchange(session::Hub& hub, session::Server& server, const char* name);

  session::Hub& hub;
  session::Server& server;
  const char* const name;
  Inbox inbox;
  Micros deadline = kNever;
  uint64_t budget = UINT64_MAX;   // bytes that may still be read
  std::string error;              // text of the last ErrorResponse
  bool farewell = false;          // that one was the server's last: FATAL or PANIC
  bool discarded_all = false;     // a DISCARD ALL was completed
  bool settings_unknown = false;  // the SETs of a client that vanished were cancelled or refused

  // Sends a simple query as the pooler's own. False: the stream is broken (drain will say so too).
  bool ask(std::string_view sql);
  // The same by the extended protocol, with one parameter, as text. `answer` lives as long as this.
  bool ask(std::string_view sql, std::string_view parameter, Answer& answer);

  // -- for drain --
  // Handles what is in the inbox, as far as it is whole. False: a message that nothing owed, or a length that no
  // message has; it has been logged then.
  bool handle();
  // Nothing is owed and no message is half read.
  bool settled() const;
  // The server waits for our next message in the middle of a batch or COPY: ends it.
  void end_open_work();
  bool over() const;

 private:
  bool handle_message(char type, ByteView body, bool whole);
  bool mismatch(char type) const;
  void skip_body();

  void note_answer(char type, ByteView body, bool whole);

  bool copy_ended_ = false;
  Answer* answer_ = nullptr;
};

enum class Drained : uint8_t { kDone, kTimeout, kLost, kMismatch, kOverBudget };

// Until the server has answered everything.
net::Task<Drained> drain(Exchange& exchange);

// The end of an errand (errands.hpp): the server goes back to its pool, or is closed, as `unfit` if it ended badly.
void finish_errand(Exchange& exchange, Drained drained, bool reset_done, session::Reason unfit);

// For a coroutine whose server somebody else has closed meanwhile: lets the closing go on.
void let_go(session::Hub& hub, session::Server& server);

}  // namespace pgweir::login
