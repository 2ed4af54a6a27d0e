// A question to PostgreSQL about one user (auth_query), and its answer. Made by a login, answered by the server that
// the login got for it; whichever of the two ends first, the other is not harmed. The secret is wiped with the ticket.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "net/wait.hpp"

namespace pgweir::session {

struct LookupTicket {
  enum class Outcome : uint8_t {
    kPending,
    kFound,
    kNoRow,
    kUseless,  // `fault` says why what came cannot be used
    kLost,     // the server ended; `fault` has its last words
  };

  LookupTicket() = default;
  LookupTicket(const LookupTicket&) = delete;
  LookupTicket& operator=(const LookupTicket&) = delete;
  ~LookupTicket() {
    if (secret) wipe(*secret);
  }

  // The question.
  std::string query;
  std::string name;
  Micros deadline = kNever;

  // The answer.
  Outcome outcome = Outcome::kPending;
  std::string user;                   // as the query tells it
  std::optional<std::string> secret;  // nothing: may not log in
  std::string fault;
  net::Gate done;  // opened when `outcome` is known
};

}  // namespace pgweir::session
