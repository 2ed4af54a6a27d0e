#include "workers/fleet.hpp"

namespace pgweir::workers {

unsigned Fleet::least_loaded() const {
  unsigned best = 0;
  for (unsigned worker = 1; worker < size(); ++worker) {
    if (posts_[worker]->clients.load(std::memory_order_relaxed) <
        posts_[best]->clients.load(std::memory_order_relaxed)) {
      best = worker;
    }
  }
  return best;
}

// A slot of a pool counts against its database and user as well: when those are limited, any pool under them may go on.
void Fleet::slot_freed(pool::SharedPool& pool) {
  bool wider = pool.database->servers.limit() > 0 || pool.user->servers.limit() > 0;
  std::shared_ptr<pool::SharedPool> shared = books_ && !wider ? books_->pool_by_id(pool.id) : nullptr;
  for (unsigned worker = 0; worker < size(); ++worker) {
    bool waits = pool.published(worker).oldest_wait.load() != kNever;
    if (wider || waits) post(worker, SupplyChanged{shared});
  }
}

}  // namespace pgweir::workers
