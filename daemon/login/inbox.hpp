// Reads whole messages from a Stream inside coroutines. Promises: never more memory than the caller's bound (and one
// read), never longer than the caller's deadline; what was read is wiped, for passwords pass through here; bytes behind
// the last message are handed on. Does not: look into a message, or close anything.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "net/stream.hpp"
#include "net/task.hpp"
#include "wire/framing.hpp"

namespace pgweir::login {

enum class Got : uint8_t {
  kOk,
  kAgain,    // nothing there yet (only from read_now)
  kTimeout,  // the deadline passed
  kEof,      // the peer left
  kError,    // the socket broke, or was closed here
  kBadSize,  // a length that no message has, or over the bound
};

class Inbox {
 public:
  explicit Inbox(net::Stream& stream) : stream_(&stream) {}
  ~Inbox() { forget(); }
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  net::Stream& stream() const { return *stream_; }
  // Read and not consumed.
  ByteView bytes() const { return {buffer_.get() + begin_, end_ - begin_}; }
  void consume(size_t count);
  // Bytes that somebody else read before; only while nothing is buffered.
  void give(ByteView bytes);
  // The unconsumed rest; the inbox is empty afterwards.
  std::string take_rest();

  // One read, without waiting, with room for `need` bytes in all and a little more (so that bytes glued to a message
  // are seen).
  Got read_now(size_t need);

  // The message that read_message or read_packet found; valid until the next of these.
  char type() const { return type_; }      // 0: untyped
  ByteView body() const { return body_; }  // without header (typed); the whole packet (untyped)
  void show(char type, size_t header, size_t size);
  void drop_shown();

 private:
  void make_room(size_t wanted);
  void forget();

  net::Stream* stream_;
  std::unique_ptr<char[]> buffer_;  // not cleared before a read fills it; what was consumed is wiped
  size_t room_ = 0;
  size_t begin_ = 0;  // what is there and not consumed: from here
  size_t end_ = 0;    // to here
  size_t shown_ = 0;
  bool dry_ = false;  // a read has emptied the socket; before the first one nobody knows, for no event has come yet
  char type_ = 0;
  ByteView body_;
};

// Until at least `need` bytes are there.
net::Task<Got> fill(Inbox& inbox, size_t need, Micros deadline);

// The next typed message, of at most `most` bytes beside its type byte. kBadSize: its header is still in bytes().
net::Task<Got> read_message(Inbox& inbox, uint32_t most, Micros deadline);

// The next untyped packet (startup and the like), of 8 to `most` bytes.
net::Task<Got> read_packet(Inbox& inbox, uint32_t most, Micros deadline);

// Drives the TLS handshake that was begun on `stream`. kError: tls_error() has the reason.
net::Task<Got> shake_hands(net::Stream& stream, Micros deadline);

}  // namespace pgweir::login
