#include "auth/random_pool.hpp"

#include <openssl/rand.h>
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "auth/random.hpp"

namespace pgweir::auth {

// All of it is zero after a fork, so the child finds nothing left and fills its own.
struct RandomPool::Page {
  size_t left = 0;
  char bytes[4096 - sizeof(size_t)] = {};
};

void RandomPool::Unmap::operator()(Page* page) const {
  wipe(page->bytes, sizeof page->bytes);
  munmap(page, sizeof *page);
}

RandomPool::RandomPool() {
  void* at = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return;
  page_.reset(new (at) Page);
  if (madvise(at, sizeof(Page), MADV_WIPEONFORK) != 0) page_.reset();
  if (page_) madvise(at, sizeof(Page), MADV_DONTDUMP);
}

bool RandomPool::fill(char* to, size_t size) {
  if (size == 0) return true;
  if (!page_ || size > sizeof page_->bytes) {
    auto drawn = random_bytes(size);
    if (!drawn) return false;
    std::memcpy(to, drawn->data(), size);
    wipe(*drawn);
    return true;
  }
  if (page_->left < size) {
    page_->left = 0;
    constexpr int kAll = sizeof(Page::bytes);
    if (RAND_bytes(reinterpret_cast<unsigned char*>(page_->bytes), kAll) != 1) return false;
    page_->left = sizeof page_->bytes;
  }
  page_->left -= size;
  char* from = page_->bytes + page_->left;
  std::memcpy(to, from, size);
  wipe(from, size);
  return true;
}

}  // namespace pgweir::auth
