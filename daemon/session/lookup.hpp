// A question to PostgreSQL about one user (auth_query), and its answer. Made by a login, answered by the server that
// the login got for it; whichever of the two ends first, the other is not harmed. The secret is wiped with the ticket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

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

// The server's end of a ticket: whatever becomes of the server or its errand, whoever waits for the answer goes on.
class LookupPromise {
 public:
  LookupPromise() = default;
  explicit LookupPromise(std::shared_ptr<LookupTicket> ticket) : ticket_(std::move(ticket)) {}
  ~LookupPromise() { keep(); }
  LookupPromise(LookupPromise&& other) noexcept = default;
  LookupPromise& operator=(LookupPromise&& other) noexcept {
    if (this != &other) {
      keep();
      ticket_ = std::move(other.ticket_);
    }
    return *this;
  }
  LookupTicket& ticket() const { return *ticket_; }

 private:
  void keep() {
    if (!ticket_) return;
    if (ticket_->outcome == LookupTicket::Outcome::kPending) ticket_->outcome = LookupTicket::Outcome::kLost;
    ticket_->done.open();
    ticket_.reset();
  }
  std::shared_ptr<LookupTicket> ticket_;
};

}  // namespace pgweir::session
