#include "login/inbox.hpp"

#include <algorithm>

#include "net/wait.hpp"

namespace pgweir::login {

namespace {
constexpr size_t kLeastRoom = 4096;
}  // namespace

void Inbox::consume(size_t count) {
  wipe(buffer_.data() + begin_, count);
  begin_ += count;
  if (begin_ < buffer_.size()) return;
  buffer_.clear();
  begin_ = 0;
}

void Inbox::give(ByteView bytes) {
  buffer_.assign(bytes);
  begin_ = 0;
}

std::string Inbox::take_rest() {
  drop_shown();
  std::string rest(bytes());
  wipe(buffer_);
  buffer_.clear();
  begin_ = 0;
  return rest;
}

// Grows by hand: a string that grows by itself leaves a copy of what it held, and that may be a password.
Got Inbox::read_now(size_t need) {
  const size_t have = buffer_.size() - begin_;
  const size_t wanted = std::max(have + kLeastRoom, need);
  if (begin_ > 0 || buffer_.capacity() < wanted) {
    std::string larger;
    larger.reserve(wanted);
    larger.assign(bytes());
    wipe(buffer_);
    buffer_ = std::move(larger);
    begin_ = 0;
  }
  buffer_.resize(wanted);
  net::IoResult got = stream_->read(buffer_.data() + have, wanted - have);
  buffer_.resize(have + (got.status == net::IoStatus::kOk ? got.bytes : 0));
  switch (got.status) {
    case net::IoStatus::kOk: return Got::kOk;
    case net::IoStatus::kAgain: return Got::kAgain;
    case net::IoStatus::kEof: return Got::kEof;
    case net::IoStatus::kError: return Got::kError;
  }
  return Got::kError;
}

void Inbox::show(char type, size_t header, size_t size) {
  type_ = type;
  shown_ = size;
  body_ = bytes().substr(header, size - header);
}

void Inbox::drop_shown() {
  if (shown_ > 0) consume(shown_);
  shown_ = 0;
  body_ = {};
}

net::Task<Got> fill(Inbox& inbox, size_t need, Micros deadline) {
  net::Waited waited = net::Waited::kReady;
  while (inbox.bytes().size() < need) {
    Got got = inbox.read_now(need);
    if (got == Got::kOk) continue;
    if (got != Got::kAgain) co_return got;
    if (waited == net::Waited::kTimeout) co_return Got::kTimeout;
    waited = co_await net::readable(inbox.stream(), deadline);
  }
  co_return Got::kOk;
}

net::Task<Got> read_message(Inbox& inbox, uint32_t most, Micros deadline) {
  wire::Header header;
  inbox.drop_shown();
  Got got = co_await fill(inbox, wire::kHeaderSize, deadline);
  if (got != Got::kOk) co_return got;
  if (wire::parse_header(inbox.bytes(), most, header) != wire::Frame::kOk) co_return Got::kBadSize;
  got = co_await fill(inbox, header.size(), deadline);
  if (got != Got::kOk) co_return got;
  inbox.show(header.type, wire::kHeaderSize, header.size());
  co_return Got::kOk;
}

net::Task<Got> read_packet(Inbox& inbox, uint32_t most, Micros deadline) {
  uint32_t size = 0;
  inbox.drop_shown();
  Got got = co_await fill(inbox, sizeof size, deadline);
  if (got != Got::kOk) co_return got;
  size = load_be32(inbox.bytes().data());
  if (size < 8 || size > most) co_return Got::kBadSize;
  got = co_await fill(inbox, size, deadline);
  if (got != Got::kOk) co_return got;
  inbox.show(0, 0, size);
  co_return Got::kOk;
}

net::Task<Got> shake_hands(net::Stream& stream, Micros deadline) {
  net::Waited waited = net::Waited::kReady;
  for (;;) {
    net::IoResult step = stream.handshake();
    if (step.status == net::IoStatus::kOk) co_return Got::kOk;
    if (step.status == net::IoStatus::kEof) co_return Got::kEof;
    if (step.status == net::IoStatus::kError) co_return Got::kError;
    if (waited == net::Waited::kTimeout) co_return Got::kTimeout;
    waited = co_await net::readable(stream, deadline);
  }
}

}  // namespace pgweir::login
