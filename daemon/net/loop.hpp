// The event loop: one libevent base a thread. A turn is: wait for ready sockets, run their callbacks, resume the
// coroutines that became due, run what ended, tick, then Turn::after_batch.
// Streams, listeners, wake-ups and coroutines end (or leave) before their loop does.
// Not thread safe: only the thread that runs a loop touches it, except through a Postbox or a Wakeup.
// libevent's locks are off (notes/floor.md: keep them off the hot path).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/list.hpp"
#include "base/mutex.hpp"
#include "base/result.hpp"
#include "net/waiter.hpp"

struct event;
struct event_base;

namespace pgweir::net {

class OffloadPool;
class Wakeup;
class ChunkPool;
class Gather;
class Stream;

// How often deadlines are checked and Turn::on_tick is called.
inline constexpr Micros kTick = 100 * kMillisecond;

// What the owner of a loop does around each batch of events.
struct Turn {
  virtual ~Turn() = default;
  virtual void after_batch() = 0;        // after every batch of ready sockets and resumed coroutines
  virtual void on_tick(Micros now) = 0;  // about every kTick, before after_batch
};

// Hands small functions to a loop from any thread. Outlives its loop: what is posted after the loop's end is dropped.
class Postbox {
 public:
  Postbox();
  ~Postbox();
  // Runs `action` in the loop's thread, as part of a batch. Thread safe.
  void post(std::function<void()> action);

 private:
  friend class Loop;
  void drain();
  void close();

  Mutex mutex_;
  std::vector<std::function<void()>> actions_;
  std::unique_ptr<Wakeup> wakeup_;  // null once closed
};

class Loop {
 public:
  // Error: the kernel gives no epoll descriptor.
  static Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Turns until stop(). May be called again afterwards.
  void run(Turn& turn);
  // One turn; waits for events at most until the next tick when `may_block`. For tests and for owners that drive.
  void run_once(Turn& turn, bool may_block = true);
  // From this thread; the current turn is finished.
  void stop() { stopped_ = true; }

  // The monotonic clock, read at most once a batch.
  Micros now() const {
    if (stale_) refresh_clock();
    return now_;
  }

  // after_batch left work that shall be done at once: the next wait does not block.
  void do_not_block() { do_not_block_ = true; }

  // Where offload() runs its work; null (the default): in place. The pool outlives the loop.
  void set_offload(OffloadPool* pool) { offload_ = pool; }
  OffloadPool* offload() const { return offload_; }

  // Whether large results are read in large pieces (gather.hpp); off at first.
  void set_gather(bool on);
  Gather* gather() const { return gather_.get(); }  // null: off

  // The way in for other threads. Made at the first call (from this thread); null when the kernel gave no eventfd.
  std::shared_ptr<Postbox> postbox();

  // -- for the rest of net/ --
  event_base* base() const { return base_.get(); }
  ChunkPool& chunks() { return *chunks_; }
  std::string& scratch() { return scratch_; }                    // plain bytes on their way into TLS
  std::string& cipher_scratch() { return cipher_scratch_; }      // TLS records on their way out
  void wait_until(Waiter& waiter) { timed_.push_back(waiter); }  // resumed with kTimeout after waiter.deadline
  void make_due(Waiter& waiter, Waited outcome);
  void add_finished(TaskRoot& root) { finished_.push_back(root); }
  // A short read looked like the end of what there is. Edge triggering hides two cases where it is not: an error that
  // came with the bytes (libevent reports it as readable only), and a stop at urgent data or passed descriptors. So the
  // streams that read short since the last tick are polled once, all in one system call. Gives the place in the list.
  uint32_t check_later(Stream& stream);
  void forget_check(uint32_t place) { unchecked_[place] = nullptr; }

 private:
  Loop();
  void refresh_clock() const;
  void expire_waiters();
  void resume_due();
  void run_finished();
  void check_short_reads();

  struct FreeBase {
    void operator()(event_base* base) const;
  };
  struct FreeTick {
    void operator()(event* timer) const;
  };

  std::unique_ptr<event_base, FreeBase> base_;
  std::unique_ptr<event, FreeTick> tick_;
  mutable Micros now_ = 0;
  mutable bool stale_ = true;
  bool stopped_ = false;
  bool do_not_block_ = false;
  bool tick_due_ = false;
  bool turning_ = false;
  OffloadPool* offload_ = nullptr;
  List<Waiter, TimedTag> timed_;
  List<Waiter, DueTag> due_;
  List<TaskRoot, FinishedTag> finished_;
  std::unique_ptr<ChunkPool> chunks_;
  std::unique_ptr<Gather> gather_;
  std::vector<Stream*> unchecked_;
  std::string scratch_;
  std::string cipher_scratch_;
  std::shared_ptr<Postbox> postbox_;
};

}  // namespace pgweir::net
