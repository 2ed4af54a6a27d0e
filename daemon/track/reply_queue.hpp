// The ledger of answers owed by one server connection, in order. Every message of the server must match its head; what
// does not is a mismatch, and that server is never pooled again. It mirrors PostgreSQL's message loop (postgres.c):
// skip-until-Sync after an error in the extended protocol, Sync and Flush ignored during COPY IN, late COPY data
// ignored. Pure: fed with type bytes, touches no socket, allocates only while it grows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace pgweir::track {

class Statement;
class StatementRegistry;

enum class Kind : uint8_t {
  kQuery,
  kParse,
  kBind,
  kDescribe,
  kExecute,
  kClose,
  kSync,
  kFunctionCall,
  kCopyDone,  // markers: no answer of their own
  kCopyFail,
  kCopyBoth,  // what a query on a replication connection turns into while both sides may send CopyData
};

enum class Action : uint8_t {
  kForward,  // the answer goes to the client
  kHide,     // the pooler's own message
  kLocal,    // nothing was sent: the answer is made here, and delivered at its place in the order
};

// What was sent so that the server refuses it at its place in the order, and of what its client hears then.
enum class Doom : uint8_t {
  kNone,
  kUnknown,   // no such statement
  kInUse,     // a Parse of a name that is taken
  kOutdated,  // the result type has changed
};

// What a Parse, Close or DEALLOCATE was about, to be confirmed by its answer or undone when an error swallows it.
struct StatementNote {
  std::shared_ptr<const Statement> statement;
  std::string client_name;  // the client's name for it; empty: none (hidden Parse, eviction)
  bool sent = false;        // went to the server
  Doom doom = Doom::kNone;
};
using NotePtr = std::unique_ptr<StatementNote>;

enum class Expected : uint8_t {
  kOwed,       // an answer is owed now
  kSwallowed,  // the server will ignore it: nothing is owed; undo what it stood for
};

struct Match {
  enum class Verdict : uint8_t {
    kForward,
    kHide,
    kMismatch,
  };
  Verdict verdict = Verdict::kMismatch;
  // What was asked has had its last answer and is gone.
  bool completed = false;
  bool async = false;  // notice, parameter status, notification: owed by nobody
  Kind kind = Kind::kQuery;
  char status = 0;         // of a ReadyForQuery
  NotePtr note;            // of the completed head
  uint64_t statement = 0;  // number of the shared statement of a Bind or Describe; 0: none
};

class ReplyQueue {
 public:
  // An entry that an error has ended or swallowed; the one that it answers comes first.
  using Visitor = void (*)(void* context, Kind kind, Action action, StatementNote* note);

  ReplyQueue() = default;
  ReplyQueue(const ReplyQueue&) = delete;
  ReplyQueue& operator=(const ReplyQueue&) = delete;

  // A message is being sent to the server, or (kLocal) is answered here. `statement`: see Match.
  Expected expect(Kind kind, Action action, NotePtr note = nullptr, uint64_t statement = 0);

  // A message of the server. `body` is looked at for 'Z' only. `dropped` is told of every entry that an error swallows.
  Match match(char type, ByteView body, Visitor dropped = nullptr, void* context = nullptr);

  // The hot path of large results: true when a DataRow or CopyData is in place now; *hidden tells where it goes.
  bool takes_row(bool* hidden) const {
    if (count_ == 0) return false;
    const Entry& head = at(0);
    *hidden = head.action == Action::kHide;
    return (head.kind == Kind::kQuery || head.kind == Kind::kExecute) && head.action != Action::kLocal;
  }

  // The hot path of small ones: true when `type` is what the head waits for, goes to the client as it is, and nothing
  // follows from it but that; it is booked then. False says nothing: match() decides.
  bool passes(char type) {
    if (count_ == 0 || copy_in_ || spare_readies_ > 0) return false;
    Entry& head = at(0);
    if (head.action != Action::kForward || head.note) return false;
    switch (head.kind) {
      case Kind::kQuery:
        if (type != 'T' && type != 'C') return false;
        head.begun = true;
        head.finished = type == 'C';
        return true;
      case Kind::kParse: return type == '1' && pass_head();
      case Kind::kBind: return type == '2' && pass_head();
      case Kind::kDescribe: return head.statement == 0 && (type == 'T' || type == 'n') && pass_head();
      case Kind::kExecute: return type == 'C' && pass_head();
      default: return false;
    }
  }

  // A local answer that is due now: its kind, with its note. False: none.
  bool take_local(Kind* kind, NotePtr* note);
  // There may be one, or what hides one.
  bool local_due() const { return count_ > 0 && (at(0).action == Action::kLocal || marker(at(0).kind)); }

  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }
  // The answer at the head shall not reach the client after all (its batch will be repeated).
  void hide_head() {
    if (count_ > 0) at(0).action = Action::kHide;
  }
  // The columns of a statement are due, and somebody wants to know them.
  bool describing() const {
    return count_ > 0 && at(0).kind == Kind::kDescribe && (at(0).note || at(0).statement != 0);
  }
  bool head_hidden() const { return count_ > 0 && at(0).action == Action::kHide; }
  // Nothing is owed, and the server waits for a new request, not for a Sync or the rest of a COPY.
  bool all_answered() const { return count_ == 0 && !open_batch_ && !skipping_ && !copy_in_; }
  bool in_extended_batch() const { return open_batch_ || skipping_; }
  // A batch is open, all that was sent of it has been answered (behind a Flush, or by an error): nothing runs, and the
  // server waits for the rest.
  bool batch_at_rest() const { return count_ == 0 && in_extended_batch(); }
  // An error has ended the batch, and its Sync has not been sent yet: the server ignores what comes before it.
  bool skipping() const { return skipping_; }
  bool in_copy_in() const { return copy_in_; }
  // A replication stream runs: it has no end that one could wait for.
  bool in_copy_both() const { return count_ > 0 && at(0).kind == Kind::kCopyBoth; }
  // Only on a replication connection may a query be answered by CopyBothResponse. For the connection's whole life.
  void allow_copy_both() { allow_copy_both_ = true; }
  bool copy_in_extended() const { return copy_in_ && count_ > 0 && at(0).kind == Kind::kExecute; }
  // A Sync reached a COPY IN that then failed: the server ignored it, or answers it with one ReadyForQuery more, as the
  // Sync came before or after the failure. Ends with the next answer that is not a ReadyForQuery; until then one that
  // nothing else explains answers that Sync, and is never taken for the end of a query. The server must not go to
  // somebody else meanwhile: a hidden empty query brings an answer that ends the doubt.
  bool ambiguous() const { return spare_readies_ > 0; }

  // All entries that have a note, in order: kind, action, note (whose contents may be changed).
  template <class Function>
  void for_each_note(Function&& visit) const {
    for (size_t index = 0; index < count_; ++index) {
      const Entry& entry = at(index);
      if (entry.note) visit(entry.kind, entry.action, *entry.note);
    }
  }

  // What that name of the client's stands for is not known yet: a Parse or Close of it is unanswered in a batch that is
  // over, so that an error may still swallow it without ending what comes now.
  bool undecided(ByteView client_name) const;

  // What is owed, for the log: "owed first: Parse (hidden); 3 in all; batch open".
  std::string owed_text() const;

  void clear(Visitor dropped = nullptr, void* context = nullptr);

  // The whole ledger as bytes, for a process that goes on where this one stops (reply_queue_save.cpp), and back. False:
  // not such bytes; the ledger is empty then. Statements are found by their text: the registry must know them already,
  // or they get new names; which one a Bind or Describe was for is not kept.
  void save(std::string& out) const;
  bool restore(ByteView saved, StatementRegistry& registry);

 private:
  struct Entry {
    Kind kind{};
    Action action{};
    bool named = false;     // its note had a client's name when it came
    bool begun = false;     // has had an answer
    bool finished = false;  // the last one was the end of a command, so that ReadyForQuery may follow
    NotePtr note = nullptr;
    uint64_t statement = 0;
  };
  const Entry& at(size_t index) const { return ring_[(head_ + index) & (ring_.size() - 1)]; }
  Entry& at(size_t index) { return ring_[(head_ + index) & (ring_.size() - 1)]; }
  void push(Kind kind, Action action, NotePtr note, uint64_t statement = 0);
  Entry pop();
  bool pass_head() {  // it has no note
    head_ = (head_ + 1) & (ring_.size() - 1);
    --count_;
    pop_markers();
    return true;
  }
  // CopyDone and CopyFail that reach a server which does not copy are ignored by it.
  void pop_markers() {
    while (count_ > 0 && marker(at(0).kind))
      pop();
  }
  void begin_copy_in();
  void end_copy_in();
  void fail_copy_in();
  bool spare_ready(char type) const;
  Match take_spare_ready(char status);
  void skip_until_sync(Visitor dropped, void* context);
  void save_entry(const Entry& entry, std::string& out) const;
  static bool marker(Kind kind) { return kind == Kind::kCopyDone || kind == Kind::kCopyFail; }
  static bool extended(Kind kind) { return kind <= Kind::kClose && kind != Kind::kQuery; }
  bool accepts(const Entry& head, char type, bool* last) const;
  void follow_copy_both(Entry& head, char type);

  std::vector<Entry> ring_;  // a power of two
  size_t head_ = 0;
  size_t count_ = 0;
  bool open_batch_ = false;     // extended messages since the last Sync
  bool skipping_ = false;       // the server ignores everything until a Sync that has not been sent yet
  bool copy_in_ = false;        // it waits for CopyData
  bool copy_end_sent_ = false;  // CopyDone or CopyFail is on its way
  bool allow_copy_both_ = false;
  uint32_t copy_syncs_ = 0;     // Syncs that this COPY IN ignores, if it does not fail first
  uint32_t spare_readies_ = 0;  // answers to such Syncs that may still come
  size_t named_ = 0;            // entries that are `named`
};

}  // namespace pgweir::track
