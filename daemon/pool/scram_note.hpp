// What SCRAM logins leave behind, so that the next one is cheap or possible at all: keys recovered from a client's
// proof (pass-through), a verifier made from a plain secret, keys of a password that a server knows. Raw bytes, because
// pool/ knows no cryptography. Promises: thread safe; a note is found only under the mark of the secret it was made
// from, so a changed or removed secret makes it worthless; wiped when it goes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "base/mutex.hpp"

namespace pgweir::pool {

struct ScramNote {
  std::string mark;  // a keyed hash of the secret that it was made from, or that verifier's own keys
  std::string salt;
  uint32_t iterations = 0;
  std::string first_key;   // ClientKey, or a verifier's StoredKey
  std::string server_key;  // ServerKey

  ScramNote() = default;
  ScramNote(const ScramNote&) = default;
  ScramNote& operator=(const ScramNote&) = default;
  ~ScramNote() {
    wipe(mark);
    wipe(first_key);
    wipe(server_key);
  }
};

class ScramMemo {
 public:
  // The note under that mark; nothing when there is none or it was made from another secret.
  std::optional<ScramNote> find(ByteView mark) const {
    std::lock_guard lock(mutex_);
    if (note_.mark.empty() || note_.mark != mark) return std::nullopt;
    return note_;
  }
  bool holds(ByteView mark) const {
    std::lock_guard lock(mutex_);
    return !mark.empty() && note_.mark == mark;
  }
  void keep(ScramNote note) {
    std::lock_guard lock(mutex_);
    std::swap(note_, note);
  }
  void forget() { keep(ScramNote{}); }

 private:
  mutable Mutex mutex_;
  ScramNote note_;
};

}  // namespace pgweir::pool
