// Large results without a wake-up for every piece that their sender writes. PostgreSQL, libpq and others send 8 kB at a
// time, and waking for each costs more than carrying it. While a stream flows, many bytes one way and none the other,
// the kernel is told to wake us for kEnough bytes only (SO_RCVLOWAT, socket(7)), and what comes short of that is looked
// for every kLate. Promises: no byte is late by more than kLate plus a turn of the loop; the end of a stream, and an
// error, are told at once (tcp(7): the low-water mark does not hold them back); a conversation, where each side waits
// for the other, is not delayed while its messages stay under kFlow, for a word from here ends the flow; of a larger
// one the last piece is late. Does not: read, or hold bytes; work for unix sockets (their kernel side has no such
// mark).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/clock.hpp"

struct event;
struct event_base;

namespace pgweir::net {

class Stream;

class Gather {
 public:
  static constexpr size_t kFlow = size_t{128} * 1024;  // so many bytes, nothing sent meanwhile: it flows
  static constexpr size_t kPiece = size_t{4} * 1024;   // a smaller read ends the flow
  static constexpr int kEnough = 64 * 1024;            // wakes us
  static constexpr Micros kLate = 500;

  explicit Gather(event_base* base) : base_(base) {}
  ~Gather();
  Gather(const Gather&) = delete;
  Gather& operator=(const Gather&) = delete;

  // From now on until stop. False: the kernel refuses; nothing has changed.
  bool start(Stream& stream);
  void stop(Stream& stream);
  void stop_all();
  size_t streams() const { return active_; }

 private:
  struct FreeTimer {
    void operator()(event* timer) const;
  };
  struct Entry {
    Stream* stream;    // null: stopped
    uint64_t checked;  // received() at the last look
  };
  bool have_timer();
  void arm(bool on);
  void on_timer();

  event_base* base_;
  std::unique_ptr<event, FreeTimer> timer_;  // made at the first start
  std::vector<Entry> entries_;
  size_t active_ = 0;
  bool looking_ = false;
};

}  // namespace pgweir::net
