// Random bytes for needs that are small and frequent, out of a page that OpenSSL's generator fills at once: a call of
// it for a cancel key was a quarter of a login. Promises: no byte is given twice, none stays in memory once it was
// given, none is seen by a child process (the kernel empties the page at a fork) or in a core dump. Does not: lock. One
// pool a thread.
#pragma once

#include <cstddef>
#include <memory>

namespace pgweir::auth {

class RandomPool {
 public:
  RandomPool();

  // Writes `size` unpredictable bytes. False: the generator is broken, nothing was written.
  bool fill(char* to, size_t size);

 private:
  struct Page;
  struct Unmap {
    void operator()(Page* page) const;
  };
  std::unique_ptr<Page, Unmap> page_;  // null: a kernel without MADV_WIPEONFORK; each call asks the generator
};

}  // namespace pgweir::auth
