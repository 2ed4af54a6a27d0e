// What a stream keeps when its socket takes no more: a chain of chunks from the loop's pool and the write interest.
// Internal to net/ (it shows libevent). Exists only while there is something to wait for.
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace pgweir::net {

struct Chunk {
  static constexpr size_t kRoom = 16 * 1024 - 16;
  std::unique_ptr<Chunk> next;
  uint32_t begin = 0;
  uint32_t end = 0;
  char bytes[kRoom];
};

// Keeps a few chunks for the next slow peer. One a loop.
class ChunkPool {
 public:
  ChunkPool() = default;
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  std::unique_ptr<Chunk> take();  // null: out of memory
  void give(std::unique_ptr<Chunk> chunk);
  size_t kept() const { return kept_; }

 private:
  static constexpr size_t kMost = 64;  // one megabyte
  std::unique_ptr<Chunk> free_;
  size_t kept_ = 0;
};

struct Outbox {
  event writable{};  // EV_WRITE, assigned and added by the stream
  bool registered = false;
  size_t size = 0;  // bytes in the chain

  Outbox() = default;
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  bool append(const char* from, size_t count, ChunkPool& pool);  // false: out of memory
  int gather(iovec* pieces, int most) const;                     // the first bytes, in order
  void consume(size_t count, ChunkPool& pool);                   // the first `count` bytes have gone
  void clear(ChunkPool* pool);

 private:
  std::unique_ptr<Chunk> head_;
  Chunk* tail_ = nullptr;
};

}  // namespace pgweir::net
