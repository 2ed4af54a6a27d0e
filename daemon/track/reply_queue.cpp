#include "track/reply_queue.hpp"

#include <utility>

#include "base/text.hpp"

namespace pgweir::track {

void ReplyQueue::push(Kind kind, Action action, NotePtr note, uint64_t statement) {
  if (count_ == ring_.size()) {
    std::vector<Entry> larger(ring_.empty() ? 8 : ring_.size() * 2);
    for (size_t index = 0; index < count_; ++index)
      larger[index] = std::move(at(index));
    ring_ = std::move(larger);
    head_ = 0;
  }
  bool named = note && !note->client_name.empty();
  if (named) ++named_;
  at(count_) = Entry{kind, action, named, false, false, std::move(note), statement};
  ++count_;
}

ReplyQueue::Entry ReplyQueue::pop() {
  Entry entry = std::move(at(0));
  if (entry.named) --named_;
  head_ = (head_ + 1) & (ring_.size() - 1);
  --count_;
  return entry;
}

Expected ReplyQueue::expect(Kind kind, Action action, NotePtr note, uint64_t statement) {
  if (skipping_) {
    if (kind != Kind::kSync) return Expected::kSwallowed;
    skipping_ = false;
    open_batch_ = false;
    push(kind, action, std::move(note));
    return Expected::kOwed;
  }
  if (copy_in_) {
    if (marker(kind) && !copy_end_sent_) {
      copy_end_sent_ = true;
      return Expected::kSwallowed;
    }
    if (kind == Kind::kSync && !copy_end_sent_) {
      ++copy_syncs_;  // ignored in copy-in mode
      return Expected::kSwallowed;
    }
  } else if (marker(kind) && (count_ == 0 || in_copy_both())) {
    return Expected::kSwallowed;
  }
  if (action != Action::kLocal && !marker(kind)) open_batch_ = extended(kind);
  push(kind, action, std::move(note), statement);
  return Expected::kOwed;
}

// The server has entered copy-in mode: a Sync that was sent behind the Execute (libpq does) is ignored, up to the
// CopyDone or CopyFail, when that has been sent already.
void ReplyQueue::begin_copy_in() {
  copy_in_ = true;
  copy_end_sent_ = false;
  copy_syncs_ = 0;
  size_t kept = 1;
  size_t index = 1;
  for (; index < count_; ++index) {
    if (marker(at(index).kind)) {
      copy_end_sent_ = true;
      ++index;
      break;
    }
    if (at(index).kind != Kind::kSync) break;
    ++copy_syncs_;  // it did not close the batch; the one behind CopyDone will
  }
  if (index == kept) return;
  for (; index < count_; ++index, ++kept)
    at(kept) = std::move(at(index));
  count_ = kept;
  if (count_ == 1) open_batch_ = at(0).kind == Kind::kExecute;
}

void ReplyQueue::end_copy_in() {
  copy_in_ = copy_end_sent_ = false;
  copy_syncs_ = 0;
}

void ReplyQueue::fail_copy_in() {
  spare_readies_ += copy_syncs_;
  end_copy_in();
}

// A ReadyForQuery that is not owed, but answers a Sync which a failed COPY IN was thought to have ignored? Of a query
// and of extended messages something else comes first.
bool ReplyQueue::spare_ready(char type) const {
  if (type != 'Z' || spare_readies_ == 0) return false;
  return count_ == 0 || (at(0).kind != Kind::kSync && !at(0).begun);
}

// That Sync was the client's: it gets the answer, as it would from PostgreSQL.
Match ReplyQueue::take_spare_ready(char status) {
  Match match;
  --spare_readies_;
  match.verdict = Match::Verdict::kForward;
  match.kind = Kind::kSync;
  match.status = status;
  match.completed = true;
  if (count_ == 0 && skipping_) skipping_ = open_batch_ = false;
  return match;
}

void ReplyQueue::skip_until_sync(Visitor dropped, void* context) {
  fail_copy_in();
  while (count_ > 0 && at(0).kind != Kind::kSync) {
    Entry entry = pop();
    if (dropped) dropped(context, entry.kind, entry.action, entry.note.get());
  }
  skipping_ = count_ == 0;
}

bool ReplyQueue::undecided(ByteView client_name) const {
  if (named_ == 0) return false;
  bool named = false;
  for (size_t index = 0; index < count_; ++index) {
    const Entry& entry = at(index);
    if (named && entry.kind == Kind::kSync) return true;
    named = named || (entry.note && !client_name.empty() && ByteView(entry.note->client_name) == client_name);
  }
  return false;
}

// May `type` come while `head` is owed? *last: it is the last answer of the head.
bool ReplyQueue::accepts(const Entry& head, char type, bool* last) const {
  *last = false;
  switch (head.kind) {
    case Kind::kQuery:
      *last = type == 'Z';
      if (*last) return head.finished;
      return type == 'T' || type == 'D' || type == 'C' || type == 'I' || type == 'E' || type == 'G' || type == 'H' ||
             (type == 'W' && allow_copy_both_) || type == 'd' || type == 'c';
    case Kind::kCopyBoth: return type == 'd' || type == 'c' || type == 'C' || type == 'E';
    case Kind::kExecute:
      *last = type == 'C' || type == 'I' || type == 's';
      return *last || type == 'D' || type == 'G' || type == 'H' || type == 'd' || type == 'c' || type == 'E';
    case Kind::kParse: *last = type == '1'; break;
    case Kind::kBind: *last = type == '2'; break;
    case Kind::kClose: *last = type == '3'; break;
    case Kind::kDescribe: *last = type == 'T' || type == 'n'; return *last || type == 't' || type == 'E';
    case Kind::kSync: *last = type == 'Z'; break;
    case Kind::kFunctionCall: *last = type == 'Z'; return *last ? head.finished : type == 'V' || type == 'E';
    case Kind::kCopyDone:
    case Kind::kCopyFail: return false;
  }
  return *last || type == 'E';
}

// A replication stream begins with the server's CopyBothResponse. It is over for the server with its CopyDone, behind
// which the results of the command come (the next timeline), with an error, or with a CommandComplete at once: so
// PostgreSQL parts from a standby when it shuts down. The rest is as with any query.
void ReplyQueue::follow_copy_both(Entry& head, char type) {
  if (type == 'W') {
    head.kind = Kind::kCopyBoth;
  } else if (head.kind == Kind::kCopyBoth && type != 'd') {
    head.kind = Kind::kQuery;
  }
}

Match ReplyQueue::match(char type, ByteView body, Visitor dropped, void* context) {
  Match match;
  if (type == 'N' || type == 'S' || type == 'A') {
    match.async = true;
    // A notification is for whoever listens, whatever the server is doing.
    match.verdict = head_hidden() && type != 'A' ? Match::Verdict::kHide : Match::Verdict::kForward;
    return match;
  }
  if (type == 'Z' && (body.size() != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E'))) return match;
  if (!copy_in_) pop_markers();
  if (spare_ready(type)) return take_spare_ready(body[0]);
  if (count_ == 0) return match;
  Entry& head = at(0);
  if (head.action == Action::kLocal) return match;
  bool last = false;
  if (!accepts(head, type, &last)) return match;
  head.begun = true;
  head.finished = type == 'C' || type == 'I' || type == 'E' || type == 'V';
  if (allow_copy_both_) follow_copy_both(head, type);
  match.kind = head.kind;
  match.statement = head.statement;
  match.verdict = head.action == Action::kHide ? Match::Verdict::kHide : Match::Verdict::kForward;
  if (type != 'Z') spare_readies_ = 0;  // they would have come before this
  if (type == 'E') {
    if (extended(head.kind)) {
      skip_until_sync(dropped, context);
    } else {
      fail_copy_in();
      if (dropped && head.note) dropped(context, head.kind, head.action, head.note.get());
      head.note.reset();
    }
    return match;
  }
  if (type == 'G') begin_copy_in();
  if (type == 'C') end_copy_in();
  if (type == 'Z') match.status = body[0];
  if (!last) return match;
  Entry done = pop();
  if (!copy_in_) pop_markers();
  match.completed = true;
  match.note = std::move(done.note);
  return match;
}

bool ReplyQueue::take_local(Kind* kind, NotePtr* note) {
  if (!copy_in_) pop_markers();
  if (count_ == 0 || at(0).action != Action::kLocal) return false;
  Entry entry = pop();
  *kind = entry.kind;
  *note = std::move(entry.note);
  return true;
}

std::string ReplyQueue::owed_text() const {
  static constexpr const char* kNames[] = {"Query", "Parse",        "Bind",     "Describe", "Execute", "Close",
                                           "Sync",  "FunctionCall", "CopyDone", "CopyFail", "CopyBoth"};
  std::string out = "nothing owed";
  if (count_ > 0) {
    const Entry& head = at(0);
    out = cat("owed first: ", kNames[static_cast<size_t>(head.kind)]);
    if (head.action == Action::kHide) out += " (hidden)";
    if (head.action == Action::kLocal) out += " (local)";
    if (head.begun && !head.finished) out += ", begun and not ended";
    out += cat("; ", count_, " in all");
  }
  if (open_batch_) out += "; batch open";
  if (skipping_) out += "; skipping to a Sync";
  if (copy_in_) out += "; in COPY IN";
  if (spare_readies_ > 0) out += cat("; ", spare_readies_, " ReadyForQuery in doubt");
  return out;
}

void ReplyQueue::clear(Visitor dropped, void* context) {
  while (count_ > 0) {
    Entry entry = pop();
    if (dropped) dropped(context, entry.kind, entry.action, entry.note.get());
  }
  end_copy_in();
  open_batch_ = skipping_ = false;
  spare_readies_ = 0;
}

}  // namespace pgweir::track
