#include "net/send_batch.hpp"

#include <cerrno>
#include <new>

#include "base/text.hpp"

#ifdef PGWEIR_URING
#include <liburing.h>
#endif

namespace pgweir::net {

namespace {
constexpr size_t kMostSealedKept = size_t{256} * 1024;
}  // namespace

#ifdef PGWEIR_URING

// A ring whose completions are there when the submission returns: with MSG_DONTWAIT a send ends at once, one way or the
// other. DEFER_TASKRUN with SINGLE_ISSUER spares the thread the interrupts of task work.
struct SendBatch::Ring {
  io_uring ring{};
  msghdr messages[kMostStreams];
  bool made = false;

  ~Ring() {
    if (made) io_uring_queue_exit(&ring);
  }

  int make() {
    int flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;
    int failed = io_uring_queue_init(kMostStreams, &ring, static_cast<unsigned>(flags));
    made = failed == 0;
    if (made) (void)io_uring_register_ring_fd(&ring);  // a little cheaper; fine without
    return -failed;
  }

  bool put(size_t number, int fd, iovec* pieces, int count) {
    io_uring_sqe* entry = io_uring_get_sqe(&ring);
    if (!entry) return false;
    constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (count == 1) {
      io_uring_prep_send(entry, fd, pieces->iov_base, pieces->iov_len, kFlags);
    } else {
      messages[number] = msghdr{};
      messages[number].msg_iov = pieces;
      messages[number].msg_iovlen = static_cast<size_t>(count);
      io_uring_prep_sendmsg(entry, fd, &messages[number], kFlags);
    }
    io_uring_sqe_set_data64(entry, number);
    return true;
  }

  // Submits what was put and tells every completion to `done`. False: the kernel does not take submissions (any more);
  // those that it did not take have no completion.
  template <class Done>
  bool run(unsigned count, const Done& done) {
    int taken = 0;
    do {
      taken = io_uring_submit_and_wait(&ring, count);
    } while (taken == -EINTR);
    auto open = taken < 0 ? 0U : static_cast<unsigned>(taken);
    while (open > 0) {
      io_uring_cqe* completion = nullptr;
      int failed = io_uring_wait_cqe(&ring, &completion);
      if (failed == -EINTR) continue;
      if (failed != 0) return false;
      done(completion->user_data, completion->res);
      io_uring_cqe_seen(&ring, completion);
      --open;
    }
    return taken == static_cast<int>(count);
  }
};

Result<std::unique_ptr<SendBatch>> SendBatch::create() {
  std::unique_ptr<SendBatch> batch(new SendBatch);
  batch->ring_ = std::make_unique<Ring>();
  if (int failed = batch->ring_->make()) return Error{cat("io_uring: ", errno_text(failed))};
  return batch;
}

#else

struct SendBatch::Ring {
  static bool put(size_t, int, iovec*, int) { return false; }
  template <class Done>
  static bool run(unsigned, const Done&) {
    return false;
  }
};

Result<std::unique_ptr<SendBatch>> SendBatch::create() {
  return Error{"this build has no liburing"};
}

#endif

SendBatch::SendBatch() = default;
SendBatch::~SendBatch() = default;

bool SendBatch::suits(const Stream& stream, size_t bytes) {
  if (bytes > kMostBytes || !stream.open() || stream.broken() || stream.connecting() || stream.unsent() > 0)
    return false;
  return !stream.tls() || stream.tls_ready();
}

void SendBatch::add(Stream& stream, const iovec* pieces, int count) {
  if (items_.size() == kMostStreams) submit();
  Item item{&stream, vector_.size(), count, false, false, 0};
  if (stream.tls()) {
    const size_t at = sealed_.size();
    if (!stream.seal(pieces, count, sealed_)) {
      sealed_.resize(at);
      return;
    }
    vector_.push_back({nullptr, sealed_.size() - at});
    item.offset = at;
    item.count = 1;
    item.sealed = true;
  } else {
    vector_.insert(vector_.end(), pieces, pieces + count);
  }
  items_.push_back(item);
}

// Only now the buffer of the records stays where it is.
void SendBatch::point_to_sealed() {
  if (sealed_.empty()) return;
  for (const Item& item : items_) {
    if (item.sealed) vector_[item.first].iov_base = sealed_.data() + item.offset;
  }
}

void SendBatch::settle(Item& item, long result) {
  item.settled = true;
  item.stream->settle(&vector_[item.first], item.count, result);
}

void SendBatch::send_plainly(Item& item) {
  IoResult sent = item.stream->send_now(&vector_[item.first], item.count);
  settle(item, sent.status == IoStatus::kError ? -sent.error : static_cast<long>(sent.bytes));
}

void SendBatch::submit() {
  if (items_.empty()) return;
  point_to_sealed();
  if (ring_ && items_.size() > 1) {
    ++submissions_;
    unsigned put = 0;
    while (put < items_.size() &&
           ring_->put(put, items_[put].stream->fd(), &vector_[items_[put].first], items_[put].count))
      ++put;
    bool fine = ring_->run(put, [this](size_t number, int result) { settle(items_[number], result); });
    if (!fine) ring_.reset();  // what it did not take goes the plain way, now and from now on
  }
  for (Item& item : items_) {
    if (!item.settled) send_plainly(item);
  }
  items_.clear();
  vector_.clear();
  sealed_.clear();
  if (sealed_.capacity() > kMostSealedKept) sealed_.shrink_to_fit();
}

}  // namespace pgweir::net
