// All workers as they see each other: their mailboxes, their loads, their heart beats, and the bell that tells waiters
// of a free slot. Shared by every thread; outlives them.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "workers/mail.hpp"

namespace pgweir::workers {

// The worker whose loop holds the listening sockets.
inline constexpr unsigned kAcceptingWorker = 0;

class Fleet final : public pool::Bell {
 public:
  explicit Fleet(unsigned workers) : posts_(workers) {
    for (auto& post : posts_)
      post = std::make_unique<Post>();
  }

  unsigned size() const { return static_cast<unsigned>(posts_.size()); }
  Mailbox& mailbox(unsigned worker) { return posts_[worker]->mailbox; }
  void post(unsigned worker, Mail mail) { posts_[worker]->mailbox.post(std::move(mail)); }

  // Clients of each worker, those on their way to it included: a new client goes to the one with the fewest.
  std::atomic<int>& clients(unsigned worker) { return posts_[worker]->clients; }
  unsigned least_loaded() const;

  // Grows at least once a tick while the worker lives.
  std::atomic<uint64_t>& beats(unsigned worker) { return posts_[worker]->beats; }

  uint32_t next_id() { return next_id_.fetch_add(1, std::memory_order_relaxed); }

  void slot_freed(pool::SharedPool& pool) override;
  void set_books(pool::Books* books) { books_ = books; }

 private:
  struct alignas(64) Post {
    Mailbox mailbox;
    std::atomic<int> clients{0};
    std::atomic<uint64_t> beats{0};
  };
  std::vector<std::unique_ptr<Post>> posts_;
  std::atomic<uint32_t> next_id_{1};
  pool::Books* books_ = nullptr;
};

}  // namespace pgweir::workers
