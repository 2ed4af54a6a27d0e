// Reads fields of a message body. Sticky failure: once something does not fit, ok() is false and every further read
// gives nothing; no read leaves the view.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace pgweir::wire {

class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && at_ == bytes_.size(); }
  size_t position() const { return at_; }

  uint8_t u8() {
    const char* at = take(1);
    return at ? static_cast<uint8_t>(*at) : 0;
  }
  uint16_t u16() {
    const char* at = take(2);
    return at ? load_be16(at) : 0;
  }
  uint32_t u32() {
    const char* at = take(4);
    return at ? load_be32(at) : 0;
  }
  int32_t i32() { return static_cast<int32_t>(u32()); }

  // Up to the NUL, which is read too; fails when there is none.
  ByteView cstring() {
    if (!ok_) return {};
    size_t end = bytes_.find('\0', at_);
    if (end == ByteView::npos) {
      ok_ = false;
      return {};
    }
    ByteView text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }
  ByteView bytes(uint64_t count) {
    const char* at = take(count);
    return at ? ByteView(at, static_cast<size_t>(count)) : ByteView();
  }
  ByteView rest() {
    if (!ok_) return {};
    ByteView all = bytes_.substr(at_);
    at_ = bytes_.size();
    return all;
  }

 private:
  const char* take(uint64_t count) {
    if (!ok_ || bytes_.size() - at_ < count) {
      ok_ = false;
      return nullptr;
    }
    const char* at = bytes_.data() + at_;
    at_ += static_cast<size_t>(count);
    return at;
  }

  ByteView bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace pgweir::wire
