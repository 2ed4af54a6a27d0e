// The sends of one loop turn in one system call, by io_uring. Promises: for every stream that was added the outcome is
// that of Stream::send: all gone, or the rest kept, or the stream broken; submit() ends only when all of them have one.
// Does not: read, wait for room, or hold a byte after submit(). Where the kernel or a sandbox forbids io_uring,
// create() says why and the owner sends plainly; the meaning is the same. notes/floor.md: 10 to 25 % less CPU a
// transaction with many small messages, nothing with one, a loss with large ones.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "net/stream.hpp"

namespace pgweir::net {

class SendBatch {
 public:
  // More than this for one stream goes faster by itself.
  static constexpr size_t kMostBytes = size_t{8} * 1024;
  static constexpr unsigned kMostStreams = 256;  // then add() submits first

  // Makes the ring; the thread that does so is the only one that may use it. Error: why there is none (a kernel before
  // 6.1, a sandbox, kernel.io_uring_disabled, built without liburing).
  static Result<std::unique_ptr<SendBatch>> create();
  ~SendBatch();
  SendBatch(const SendBatch&) = delete;
  SendBatch& operator=(const SendBatch&) = delete;

  // Whether so many bytes for this stream are better sent here than by Stream::send.
  static bool suits(const Stream& stream, size_t bytes);
  // Queues one send; for a stream that suits(), once until the next submit(). What the pieces point to stays valid
  // until then; the array is copied. TLS: encrypted at once. A stream that cannot take it is broken() at once.
  void add(Stream& stream, const iovec* pieces, int count);
  // Sends everything; one alone goes by a plain send.
  void submit();

  // False once the kernel has refused the ring: everything goes by plain sends.
  bool works() const { return bool(ring_); }
  uint64_t submissions() const { return submissions_; }

 private:
  struct Ring;
  struct Item {
    Stream* stream;
    size_t first;  // in vector_
    int count;
    bool sealed;  // the piece lies in sealed_, at `offset`
    bool settled;
    size_t offset;
  };

  SendBatch();
  void settle(Item& item, long result);
  void send_plainly(Item& item);
  void point_to_sealed();

  std::unique_ptr<Ring> ring_;
  std::vector<Item> items_;
  std::vector<iovec> vector_;
  std::string sealed_;
  uint64_t submissions_ = 0;
};

}  // namespace pgweir::net
