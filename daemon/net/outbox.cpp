#include "net/outbox.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace pgweir::net {

namespace {
// One by one, since the destructor of a long chain would recurse.
void drop(std::unique_ptr<Chunk> chain) {
  while (chain)
    chain = std::move(chain->next);
}
}  // namespace

ChunkPool::~ChunkPool() {
  drop(std::move(free_));
}

std::unique_ptr<Chunk> ChunkPool::take() {
  if (!free_) return std::unique_ptr<Chunk>(new (std::nothrow) Chunk);
  std::unique_ptr<Chunk> chunk = std::move(free_);
  free_ = std::move(chunk->next);
  --kept_;
  chunk->begin = chunk->end = 0;
  return chunk;
}

void ChunkPool::give(std::unique_ptr<Chunk> chunk) {
  if (kept_ >= kMost) return;
  chunk->next = std::move(free_);
  free_ = std::move(chunk);
  ++kept_;
}

Outbox::~Outbox() {
  if (registered) event_del(&writable);
  clear(nullptr);
}

void Outbox::clear(ChunkPool* pool) {
  while (head_) {
    std::unique_ptr<Chunk> first = std::move(head_);
    head_ = std::move(first->next);
    if (pool) pool->give(std::move(first));
  }
  tail_ = nullptr;
  size = 0;
}

bool Outbox::append(const char* from, size_t count, ChunkPool& pool) {
  while (count > 0) {
    if (!tail_ || tail_->end == Chunk::kRoom) {
      std::unique_ptr<Chunk> fresh = pool.take();
      if (!fresh) return false;
      Chunk* last = fresh.get();
      (tail_ ? tail_->next : head_) = std::move(fresh);
      tail_ = last;
    }
    size_t part = std::min(count, Chunk::kRoom - tail_->end);
    std::memcpy(tail_->bytes + tail_->end, from, part);
    tail_->end += static_cast<uint32_t>(part);
    from += part;
    count -= part;
    size += part;
  }
  return true;
}

int Outbox::gather(iovec* pieces, int most) const {
  int count = 0;
  for (Chunk* chunk = head_.get(); chunk && count < most; chunk = chunk->next.get())
    pieces[count++] = {chunk->bytes + chunk->begin, chunk->end - chunk->begin};
  return count;
}

void Outbox::consume(size_t count, ChunkPool& pool) {
  size -= count;
  while (count > 0) {
    size_t part = std::min<size_t>(count, head_->end - head_->begin);
    head_->begin += static_cast<uint32_t>(part);
    count -= part;
    if (head_->begin < head_->end) return;
    std::unique_ptr<Chunk> empty = std::move(head_);
    head_ = std::move(empty->next);
    if (!head_) tail_ = nullptr;
    pool.give(std::move(empty));
  }
}

}  // namespace pgweir::net
