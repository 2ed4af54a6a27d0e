#include "login/inbox.hpp"

#include <algorithm>

#include "net/wait.hpp"

namespace pgweir::login {

namespace {
constexpr size_t kLeastRoom = 4096;
}  // namespace

void Inbox::consume(size_t count) {
  if (count == 0) return;
  wipe(buffer_.get() + begin_, count);
  begin_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

void Inbox::give(ByteView bytes) {
  begin_ = end_ = 0;
  make_room(bytes.size());
  std::copy(bytes.begin(), bytes.end(), buffer_.get());
  end_ = bytes.size();
}

std::string Inbox::take_rest() {
  drop_shown();
  std::string rest(bytes());
  forget();
  return rest;
}

void Inbox::forget() {
  if (end_ > begin_) wipe(buffer_.get() + begin_, end_ - begin_);
  begin_ = end_ = 0;
}

// Room for `wanted` bytes from the first that is there. What moves leaves no copy behind: it may be a password.
void Inbox::make_room(size_t wanted) {
  if (begin_ == 0 && room_ >= wanted) return;
  auto larger = std::make_unique_for_overwrite<char[]>(wanted);
  const size_t have = bytes().size();
  std::copy_n(buffer_.get() + begin_, have, larger.get());
  forget();
  buffer_ = std::move(larger);
  room_ = wanted;
  end_ = have;
}

Got Inbox::read_now(size_t need) {
  if (dry_ && stream_->open() && !stream_->maybe_readable()) return Got::kAgain;
  const size_t have = bytes().size();
  const size_t wanted = std::max(have + kLeastRoom, need);
  make_room(wanted);
  net::IoResult got = stream_->read(buffer_.get() + have, wanted - have);
  if (got.status == net::IoStatus::kOk) end_ += got.bytes;
  dry_ = !stream_->maybe_readable();
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
