// Prepared statements of clients, mapped to shared ones on servers. A statement (query text + parameter types) has one
// name on all servers, PGWEIR_<n>; a client's name for it is its own business. A server has it when its ParseComplete
// has come, not before; an error or an abandoned batch takes the mark back; what the open batch refers to is never
// evicted. compat/wire.md section 10.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/mutex.hpp"
#include "track/description.hpp"

namespace pgweir::track {

class StatementRegistry;

// Immutable, shared by all workers; vanishes from the registry with its last user.
class Statement {
 public:
  // Never on any server: what is sent with this name is refused there.
  static constexpr std::string_view kNowhere = "PGWEIR_0";
  // Made (of an empty text) where a name is needed that is certainly there.
  static constexpr std::string_view kStandIn = "PGWEIR_GONE";

  Statement(StatementRegistry* registry, uint64_t number, std::string body)
      : registry_(registry), number_(number), body_(std::move(body)), name_("PGWEIR_" + std::to_string(number)) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  uint64_t number() const { return number_; }
  const std::string& name() const { return name_; }
  // A Parse message's body behind the statement's name: query text, NUL, parameter types.
  const std::string& body() const { return body_; }
  // A server has said that its result type has changed. Servers that have it keep refusing it, others must not parse it
  // again: whoever prepared it may decode its rows as they were.
  bool retired() const { return retired_.load(std::memory_order_relaxed); }
  // What its clients have been told. Where it is not known, nobody relies on it.
  const Description& description() const { return description_; }

 private:
  friend class StatementRegistry;
  mutable std::atomic<bool> retired_{false};
  Description description_;
  StatementRegistry* registry_;
  uint64_t number_;
  std::string body_;
  std::string name_;
};

using StatementPtr = std::shared_ptr<const Statement>;

// One for the process; locked at a Parse only. Outlives every Statement.
class StatementRegistry {
 public:
  StatementPtr find_or_make(ByteView body);
  // From now on the same text makes a new statement, with a new name.
  void retire(const Statement& statement);
  size_t size() const;

 private:
  friend class Statement;
  void forget(const Statement& statement);
  mutable Mutex mutex_;
  uint64_t next_ = 1;
  std::unordered_map<std::string_view, std::weak_ptr<const Statement>> by_body_;  // keys point into the statements
};

// Lookup by string_view without making a string.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
};

// A client's names. Pays one pointer as long as there are none.
class ClientStatements {
 public:
  // The statement behind that name (confirmed or on its way); null: no such name.
  const StatementPtr* find(ByteView name) const;
  void add(ByteView name, StatementPtr statement);
  void remove(ByteView name);
  void clear() { names_.reset(); }
  size_t size() const { return names_ ? names_->size() : 0; }

 private:
  using Names = std::unordered_map<std::string, StatementPtr, NameHash, std::equal_to<>>;
  std::unique_ptr<Names> names_;
};

// What one server has prepared, least recently used first out.
//
// A pipeline may hold several batches (requests up to a Sync). What a batch sends is certain for the rest of that
// batch: either it succeeds, or an error swallows what follows too. The next batch cannot know: there the statement is
// in doubt until its answer comes, and must be closed before it is parsed again (closing what is not there is no
// error).
class ServerStatements {
 public:
  struct Use {
    bool present = false;   // confirmed, or sent in this batch
    bool verified = false;  // as it is here it fits its description
    explicit operator bool() const { return present; }
  };
  // If it is present this counts as a use of it, in batch `batch`.
  Use use(const Statement& statement, uint64_t batch);
  // What this server says of it has been compared. No effect where it is not known.
  void verified(const Statement& statement);
  bool known(const Statement& statement) const { return state_ && state_->by_number.contains(statement.number()); }
  bool confirmed(const Statement& statement) const;
  // By its number; null: not known here.
  StatementPtr find(uint64_t number) const;
  // Not to be used, but perhaps there: its Parse must have a Close before it.
  bool in_doubt(const Statement& statement) const;
  // Its Parse is being sent.
  void sent(StatementPtr statement, uint64_t batch);
  void confirm(const Statement& statement);
  // Its Parse failed or was swallowed by an error, or it was closed.
  void remove(const Statement& statement);
  // The Close of an evicted one has been answered.
  void closed(const Statement& statement);
  // An error has swallowed the Close of an evicted one: it is in doubt.
  void not_closed(const StatementPtr& statement);
  // It is confirmed and is to be closed now: removed here as an evicted one is. False: it is not here.
  bool give_up(const Statement& statement);
  // Over `most`: the one to close now, already removed here. Null: none, or all are used by the open batch `batch`.
  StatementPtr evict(size_t most, uint64_t batch);
  void clear() { state_.reset(); }
  size_t size() const { return state_ ? state_->by_number.size() : 0; }

 private:
  enum class Presence : uint8_t { kSent, kConfirmed, kDoubtful };
  struct Item {
    StatementPtr statement;
    uint64_t batch;      // that used it last
    uint64_t parsed_in;  // batch of its last Parse
    uint32_t under_way;  // Parses that have not been answered
    Presence presence = Presence::kSent;
    bool sent_again = false;  // more than one Parse: which of them an error took is not known
    bool verified = false;
  };
  using Order = std::list<Item>;  // the least recently used in front
  struct State {
    Order order;
    std::unordered_map<uint64_t, Order::iterator> by_number;
    // Evicted ones whose Close has not been answered, each with the number of such Closes: an error may swallow them.
    std::unordered_map<uint64_t, uint32_t> closing;
  };
  Item* find(const Statement& statement) const;
  std::unique_ptr<State> state_;
};

}  // namespace pgweir::track
