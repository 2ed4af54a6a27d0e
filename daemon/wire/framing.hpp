// Headers of typed messages, parsed in place. Lengths are checked in 64 bits before anything is read behind them.
// Source: protocol chapter "Message Formats": byte, then a length that counts itself.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"

namespace pgweir::wire {

inline constexpr size_t kHeaderSize = 5;

struct Header {
  char type = 0;
  uint32_t length = 0;                                // as sent: its own four bytes and the body
  size_t size() const { return size_t{1} + length; }  // of the whole message
  size_t body_size() const { return size_t{length} - 4; }
};

enum class Frame : uint8_t { kOk, kNeedMore, kBad };

// `most`: max_packet_size. kBad: shorter than its own length field, or longer than `most`.
inline Frame parse_header(ByteView bytes, uint32_t most, Header& header) {
  if (bytes.size() < kHeaderSize) return Frame::kNeedMore;
  header.type = bytes[0];
  header.length = load_be32(bytes.data() + 1);
  if (header.length < 4 || header.length > most) return Frame::kBad;
  return Frame::kOk;
}

}  // namespace pgweir::wire
