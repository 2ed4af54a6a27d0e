#include "session/outbox.hpp"

#include <algorithm>
#include <cstring>

namespace pgweir::session {

namespace {
constexpr size_t kChunk = size_t{64} * 1024;
constexpr size_t kMostPieces = 256;  // per system call; well under IOV_MAX
}  // namespace

Outbox::Outbox() : arena_(std::make_unique<char[]>(kArena)) {
  chunks_.push_back(std::make_unique<char[]>(kChunk));
}

Outbox::~Outbox() = default;

char* Outbox::slot(size_t want) {
  if (used_ + want > kArena) flush();
  return arena_.get() + used_;
}

ByteView Outbox::scribble(ByteView bytes) {
  if (bytes.size() > kChunk / 2) {
    oversize_.push_back(std::make_unique<char[]>(bytes.size()));
    std::memcpy(oversize_.back().get(), bytes.data(), bytes.size());
    return {oversize_.back().get(), bytes.size()};
  }
  if (chunk_used_ + bytes.size() > kChunk) {
    if (chunk_ + 1 == chunks_.size()) chunks_.push_back(std::make_unique<char[]>(kChunk));  // may throw
    ++chunk_;
    chunk_used_ = 0;
  }
  char* at = chunks_[chunk_].get() + chunk_used_;
  std::memcpy(at, bytes.data(), bytes.size());
  chunk_used_ += bytes.size();
  return {at, bytes.size()};
}

void Outbox::add(End& to, ByteView bytes) {
  if (bytes.empty()) return;
  if (to.outbox_entry == kNoEntry) {
    entries_.push_back({&to, kNoPiece, kNoPiece});  // first: it may throw
    to.outbox_entry = static_cast<uint32_t>(entries_.size() - 1);
  }
  Entry& entry = entries_[to.outbox_entry];
  if (entry.last != kNoPiece) {
    ByteView& last = pieces_[entry.last].bytes;
    if (last.data() + last.size() == bytes.data()) {
      last = ByteView(last.data(), last.size() + bytes.size());
      return;
    }
  }
  auto piece = static_cast<uint32_t>(pieces_.size());
  pieces_.push_back({bytes, kNoPiece});
  if (entry.last == kNoPiece) {
    entry.first = piece;
  } else {
    pieces_[entry.last].next = piece;
  }
  entry.last = piece;
}

void Outbox::send_entry(Entry& entry) {
  if (!entry.end) return;
  End& end = *entry.end;
  uint32_t piece = entry.first;
  while (piece != kNoPiece) {
    vector_.clear();
    for (; piece != kNoPiece && vector_.size() < kMostPieces; piece = pieces_[piece].next) {
      ByteView bytes = pieces_[piece].bytes;
      vector_.push_back({const_cast<char*>(bytes.data()), bytes.size()});  // NOLINT(*-const-cast): sent only
    }
    ++sends_;
    if (end.stream.send(vector_.data(), static_cast<int>(vector_.size()))) continue;
    broken_.push_back(&end);
    break;
  }
  end.outbox_entry = kNoEntry;
  entry.end = nullptr;
}

// False: not one for the batch (large, or its stream has to wait).
bool Outbox::add_to_batch(const Entry& entry) {
  if (!entry.end) return false;
  size_t bytes = 0;
  vector_.clear();
  for (uint32_t piece = entry.first; piece != kNoPiece; piece = pieces_[piece].next) {
    ByteView view = pieces_[piece].bytes;
    bytes += view.size();
    if (bytes > net::SendBatch::kMostBytes || vector_.size() == kMostPieces) return false;
    vector_.push_back({const_cast<char*>(view.data()), view.size()});
  }
  if (!net::SendBatch::suits(entry.end->stream, bytes)) return false;
  batch_->add(entry.end->stream, vector_.data(), static_cast<int>(vector_.size()));
  return true;
}

void Outbox::send_batched() {
  for (Entry& entry : entries_) {
    if (!add_to_batch(entry)) send_entry(entry);
  }
  batch_->submit();
  for (Entry& entry : entries_) {
    if (!entry.end) continue;
    ++sends_;
    if (entry.end->stream.broken()) broken_.push_back(entry.end);
    entry.end->outbox_entry = kNoEntry;
  }
}

void Outbox::flush() {
  if (!entries_.empty()) ++flushes_;
  if (batched() && entries_.size() > 1) {
    send_batched();
  } else {
    for (Entry& entry : entries_)
      send_entry(entry);
  }
  entries_.clear();
  pieces_.clear();
  oversize_.clear();
  used_ = 0;
  chunk_ = 0;
  chunk_used_ = 0;
}

void Outbox::flush_end(End& end) {
  if (end.outbox_entry != kNoEntry) send_entry(entries_[end.outbox_entry]);
}

End* Outbox::take_broken() {
  if (broken_.empty()) return nullptr;
  End* end = broken_.back();
  broken_.pop_back();
  return end;
}

void Outbox::forget(End& end) {
  std::erase(broken_, &end);
  if (end.outbox_entry == kNoEntry) return;
  entries_[end.outbox_entry].end = nullptr;
  end.outbox_entry = kNoEntry;
}

}  // namespace pgweir::session
