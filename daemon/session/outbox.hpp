// What must leave in this batch of events, one entry a connection, and the memory it lies in until then. Promises:
// bytes of one connection leave in the order they were added; several messages for one socket leave in one send;
// what a socket refuses is kept by its Stream. Does not: read, or decide.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.hpp"
#include "net/send_batch.hpp"
#include "net/stream.hpp"

namespace pgweir::session {

inline constexpr uint32_t kNoEntry = UINT32_MAX;

// What client and server have in common: a stream, its place in the outbox, and the message that is passing through.
struct End {
  net::Stream stream;
  uint32_t outbox_entry = kNoEntry;
  uint32_t body_left = 0;             // bytes of a message whose header has been handled and whose body passes
  bool body_dropped = false;          // ... into nothing instead of to the other side
  uint32_t held_wants = 0;            // `held` is looked at again when it has this many bytes; 0: at any time
  std::unique_ptr<std::string> held;  // bytes read but not handled yet; null when none: an idle end owns no buffer
};

// One worker's reading and writing memory for a batch of events. Reads go into slots of one arena; bytes made here
// (new heads of messages, SETs) go into scribble chunks. Both are valid until the next flush has ended.
class Outbox {
 public:
  static constexpr size_t kArena = size_t{256} * 1024;
  static constexpr size_t kSlot = size_t{16} * 1024;  // a read of this much is a stream: it goes on with kLargeSlot
  static constexpr size_t kLargeSlot = size_t{128} * 1024;

  Outbox();
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Room for a read of up to `want` bytes; flushes first when the arena is full. Call `keep` with what was read.
  char* slot(size_t want);
  void keep(size_t bytes) { used_ += bytes; }

  // Queues `bytes`, which stay valid until the flush (they lie in the arena, in scribble, or are static).
  void add(End& to, ByteView bytes);
  // The same for bytes that do not stay: copied into scribble memory.
  void add_copy(End& to, ByteView bytes) { add(to, scribble(bytes)); }
  // A copy that lives until the flush.
  ByteView scribble(ByteView bytes);

  // Small messages of one flush leave together from now on (null: each by itself, the default). The batch belongs to
  // the thread that flushes.
  void set_batch(std::unique_ptr<net::SendBatch> batch) { batch_ = std::move(batch); }
  bool has_batch() const { return bool(batch_); }
  bool batched() const { return batch_ && batch_->works(); }

  // Sends everything. An end whose stream turns out to be broken is kept for take_broken: its next read reports why.
  void flush();
  // An end that a flush found broken; null: none. To be asked for after the batch, until null.
  End* take_broken();
  // Sends what is queued for this end only, now (before a close).
  void flush_end(End& end);
  // `end` goes away: what is queued for it is dropped.
  void forget(End& end);
  bool pending(const End& end) const { return end.outbox_entry != kNoEntry; }
  bool empty() const { return entries_.empty(); }

  uint64_t sends() const { return sends_; }  // messages handed to the kernel, batched or not
  uint64_t batches() const { return batch_ ? batch_->submissions() : 0; }
  uint64_t flushes() const { return flushes_; }

 private:
  static constexpr uint32_t kNoPiece = UINT32_MAX;
  struct Piece {
    ByteView bytes;
    uint32_t next;
  };
  struct Entry {
    End* end;  // null: forgotten
    uint32_t first;
    uint32_t last;
  };
  void send_entry(Entry& entry);
  bool add_to_batch(const Entry& entry);
  void send_batched();

  std::unique_ptr<char[]> arena_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t chunk_ = 0;  // chunks_[chunk_] is being filled
  size_t chunk_used_ = 0;
  std::vector<std::unique_ptr<char[]>> oversize_;
  std::vector<Entry> entries_;
  std::vector<Piece> pieces_;
  std::vector<iovec> vector_;
  std::vector<End*> broken_;
  std::unique_ptr<net::SendBatch> batch_;
  uint64_t sends_ = 0;
  uint64_t flushes_ = 0;
};

}  // namespace pgweir::session
