// A mutex that counts, for each thread, how often it was locked and how often that had to wait for another thread: what
// shows that no query's path takes one (SHOW WORKERS: locks, lock_waits). Nothing shared is written for the counting.
#pragma once

#include <cstdint>
#include <mutex>

namespace pgweir {

struct LockCounts {
  uint64_t taken = 0;
  uint64_t waited = 0;  // of these: another thread held it
};

// Of the calling thread, since it began.
inline LockCounts& lock_counts() {
  static thread_local LockCounts counts;
  return counts;
}

// For std::lock_guard. Where a condition variable must be waited for it has to be a std::mutex.
class Mutex {
 public:
  void lock() {
    LockCounts& counts = lock_counts();
    ++counts.taken;
    if (mutex_.try_lock()) return;
    ++counts.waited;
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

}  // namespace pgweir
