#include "net/stream.hpp"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <new>

#include "net/outbox.hpp"
#include "net/tls_session.hpp"

namespace pgweir::net {

namespace {

constexpr int kGather = 64;  // chunks a flush sends at once
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

size_t total(const iovec* pieces, int count) {
  size_t sum = 0;
  for (int i = 0; i < count; ++i)
    sum += pieces[i].iov_len;
  return sum;
}

ssize_t send_pieces(int fd, const iovec* pieces, int count) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces);  // NOLINT(*-const-cast): sendmsg only reads
  message.msg_iovlen = static_cast<size_t>(std::min(count, IOV_MAX));
  return sendmsg(fd, &message, kSendFlags);
}

Address peer_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&address), size);
}

// A unix peer has no name worth keeping; who it is the kernel knows.
Address with_credentials(int fd, Address peer) {
  ucred who{};
  socklen_t size = sizeof who;
  if (!peer.is_unix() || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return peer;
  return Address::unix_peer(who.pid, who.uid);
}

}  // namespace

struct StreamEvents {
  static void on_readable(evutil_socket_t, short what, void* self) {
    static_cast<Stream*>(self)->on_event(what & EV_CLOSED);
  }
  static void on_writable(evutil_socket_t, short, void* self) { static_cast<Stream*>(self)->on_write_event(); }
};

static_assert(sizeof(event) <= 128 && alignof(event) <= 8, "Stream::event_ holds a struct event");

Stream::Stream() = default;

Stream::~Stream() {
  close();
}

bool Stream::open(Loop& loop, int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags >= 0 && !(flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  errno = 0;
  Address peer = peer_of(fd);
  bool pending = peer.none() && errno == ENOTCONN;
  int one = 1;
  if (!peer.is_unix()) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (!open(loop, fd, peer)) return false;
  connecting_ = pending;
  if (!pending || outbox()) return true;
  close();
  return false;
}

bool Stream::open(Loop& loop, int fd, const Address& peer) {
  close();
  fd_ = fd;
  peer_ = with_credentials(fd, peer);
  edge_ = tls_more_ = end_seen_ = connecting_ = broken_ = shutdown_ = false;
  if (enter_loop(loop)) return true;
  ::close(std::exchange(fd_, -1));
  return false;
}

bool Stream::enter_loop(Loop& loop) {
  short what = EV_READ | EV_CLOSED | EV_PERSIST | EV_ET;
  if (event_assign(read_event(), loop.base(), fd_, what, &StreamEvents::on_readable, this) != 0) return false;
  if (event_add(read_event(), nullptr) != 0) return false;
  loop_ = &loop;
  return true;
}

void Stream::leave_events() {
  if (!loop_) return;
  event_del(read_event());
  if (outbox_ && outbox_->registered) {
    event_del(&outbox_->writable);
    outbox_->registered = false;
  }
  if (check_ != kUnlisted) loop_->forget_check(std::exchange(check_, kUnlisted));
  end_flow();
}

void Stream::leave_loop() {
  assert(!read_waiter_ && !write_waiter_);
  leave_events();
  loop_ = nullptr;
}

bool Stream::join_loop(Loop& loop) {
  assert(!loop_ && open());
  if (!enter_loop(loop)) {
    close();
    return false;
  }
  edge_ = true;
  if (!outbox_) return true;
  if (outbox()) return true;
  close();
  return false;
}

// Waits for nothing but what is due; the coroutine is resumed by the loop, never from here.
void Stream::wake(Waiter*& waiter) {
  Waiter* due = std::exchange(waiter, nullptr);
  due->detached = true;
  loop_->make_due(*due, Waited::kReady);
}

void Stream::on_event(bool at_end) {
  edge_ = true;
  if (at_end) end_seen_ = true;
  if (read_waiter_) {
    wake(read_waiter_);
  } else if (handler_) {
    handler_->on_readable(*this);
  }
}

void Stream::on_write_event() {
  if (connecting_) {
    connecting_ = false;
    if (Address peer = peer_of(fd_); !peer.none()) peer_ = with_credentials(fd_, std::move(peer));
  }
  if (!broken_ && !flush()) break_off();
  if (unsent() > 0) return;
  if (outbox_) outbox_->clear(&loop_->chunks());
  outbox_.reset();
  if (shutdown_ && !broken_) ::shutdown(fd_, SHUT_WR);
  if (write_waiter_) {
    wake(write_waiter_);
  } else if (handler_) {
    handler_->on_writable(*this);
  }
}

bool Stream::peer_gone() const {
  pollfd asked{fd_, POLLRDHUP, 0};
  return broken_ || end_seen_ || (::poll(&asked, 1, 0) > 0 && (asked.revents & (POLLERR | POLLHUP | POLLRDHUP)));
}

void Stream::note_short_read() {
  edge_ = false;
  if (check_ == kUnlisted && loop_) check_ = loop_->check_later(*this);
}

void Stream::note_flow(size_t got) {
  if (got < Gather::kPiece) {
    if (flowed_ > 0) end_flow();
    return;
  }
  flowed_ += got;
  if (flowed_ >= Gather::kFlow && gather_ == kUnlisted) begin_flow();
}

// Refused, or of no use: it counts anew.
void Stream::begin_flow() {
  Gather* gather = loop_ ? loop_->gather() : nullptr;
  if (!gather || peer_.is_unix() || !gather->start(*this)) flowed_ = 0;
}

void Stream::stop_gathering() {
  loop_->gather()->stop(*this);
}

IoResult Stream::receive(char* to, size_t room) {
  if (fd_ < 0) return {IoStatus::kError, 0, EBADF};
  ssize_t got = 0;
  do {
    got = recv(fd_, to, room, 0);
  } while (got < 0 && errno == EINTR);
  if (got > 0) {
    note_flow(static_cast<size_t>(got));
    if (static_cast<size_t>(got) < room && !end_seen_) note_short_read();
    return {IoStatus::kOk, static_cast<size_t>(got), 0};
  }
  edge_ = false;
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return {IoStatus::kAgain, 0, 0};
  end_seen_ = true;
  if (got == 0) return {IoStatus::kEof, 0, 0};
  return {IoStatus::kError, 0, errno};
}

IoResult Stream::read(char* to, size_t room) {
  assert(room > 0);
  if (tls_) return tls_->read(*this, to, room);
  return receive(to, room);
}

IoResult Stream::send_now(const iovec* pieces, int count) {
  if (flowed_ > 0) end_flow();
  ssize_t sent = 0;
  do {
    sent = count == 1 ? ::send(fd_, pieces->iov_base, pieces->iov_len, kSendFlags)  // less to copy and to check
                      : send_pieces(fd_, pieces, count);
  } while (sent < 0 && errno == EINTR);
  if (sent > 0) return {IoStatus::kOk, static_cast<size_t>(sent), 0};
  if (sent == 0 || errno == EAGAIN || errno == EWOULDBLOCK) return {IoStatus::kAgain, 0, 0};
  return {IoStatus::kError, 0, errno};
}

IoResult Stream::write(const iovec* pieces, int count) {
  if (fd_ < 0 || broken_) return {IoStatus::kError, 0, fd_ < 0 ? EBADF : EPIPE};
  if (unsent() > 0 || connecting_) return {IoStatus::kAgain, 0, 0};
  if (tls_) return tls_write(pieces, count);
  IoResult result = send_now(pieces, count);
  if (result.status == IoStatus::kError) break_off();
  return result;
}

bool Stream::send(ByteView bytes) {
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};  // NOLINT(*-const-cast): sent only
  return send(&piece, 1);
}

bool Stream::send(const iovec* pieces, int count) {
  if (fd_ < 0 || broken_) return false;
  const size_t all = total(pieces, count);
  if (all == 0) return true;
  if (tls_) return tls_write(pieces, count).status == IoStatus::kOk;
  size_t taken = 0;
  if (unsent() == 0 && !connecting_) {
    IoResult result = send_now(pieces, count);
    if (result.status == IoStatus::kError) {
      break_off();
      return false;
    }
    taken = result.bytes;
  }
  return taken == all || keep(pieces, count, taken);
}

bool Stream::settle(const iovec* pieces, int count, long result) {
  if (flowed_ > 0) end_flow();
  if (result == -EAGAIN || result == -EINTR || result == -ECANCELED) result = 0;
  if (result >= 0) return keep(pieces, count, static_cast<size_t>(result));
  break_off();
  return false;
}

bool Stream::keep(const iovec* pieces, int count, size_t taken) {
  if (fd_ < 0 || broken_) return false;
  for (int i = 0; i < count; ++i) {
    size_t skip = std::min(taken, pieces[i].iov_len);
    taken -= skip;
    if (!keep_bytes(static_cast<const char*>(pieces[i].iov_base) + skip, pieces[i].iov_len - skip)) return false;
  }
  return true;
}

bool Stream::keep_bytes(const char* from, size_t size) {
  if (size == 0) return true;
  if (outbox() && outbox_->append(from, size, loop_->chunks())) return true;
  break_off();
  return false;
}

bool Stream::send_records(const char* from, size_t size) {
  if (fd_ < 0 || broken_) return false;
  size_t taken = 0;
  if (unsent() == 0 && !connecting_) {
    iovec piece{const_cast<char*>(from), size};  // NOLINT(*-const-cast): sent only
    IoResult result = send_now(&piece, 1);
    if (result.status == IoStatus::kError) {
      break_off();
      return false;
    }
    taken = result.bytes;
  }
  return keep_bytes(from + taken, size - taken);
}

bool Stream::expect_writable() {
  return fd_ >= 0 && !broken_ && outbox() != nullptr;
}

size_t Stream::unsent() const {
  return outbox_ ? outbox_->size : 0;
}

Outbox* Stream::outbox() {
  if (!outbox_) outbox_.reset(new (std::nothrow) Outbox);  // NOLINT(*-owning-memory): make_unique would throw
  if (!outbox_ || outbox_->registered) return outbox_.get();
  short what = EV_WRITE | EV_PERSIST | EV_ET;  // all events of a descriptor must agree on EV_ET
  event* writable = &outbox_->writable;
  if (event_assign(writable, loop_->base(), fd_, what, &StreamEvents::on_writable, this) != 0) return nullptr;
  if (event_add(writable, nullptr) != 0) return nullptr;
  outbox_->registered = true;
  return outbox_.get();
}

// Until the socket refuses, for only a refusal makes the kernel tell when there is room again.
bool Stream::flush() {
  while (unsent() > 0) {
    iovec pieces[kGather];
    int count = outbox_->gather(pieces, kGather);
    IoResult result = send_now(pieces, count);
    if (result.status == IoStatus::kAgain) return true;
    if (result.status == IoStatus::kError) return false;
    outbox_->consume(result.bytes, loop_->chunks());
  }
  return true;
}

// Nothing more can be sent. What the peer said before it left may still be read, so the descriptor stays open; the
// owner learns of it by read(); coroutines that wait on the stream become due.
void Stream::break_off() {
  broken_ = true;
  edge_ = true;
  if (!loop_) return;
  if (outbox_) outbox_->clear(&loop_->chunks());
  if (read_waiter_) wake(read_waiter_);
  if (write_waiter_) wake(write_waiter_);
}

void Stream::shutdown_write() {
  if (fd_ < 0 || shutdown_) return;
  shutdown_ = true;
  if (tls_) tls_->notify_close(*this);
  if (unsent() == 0 && !connecting_) ::shutdown(fd_, SHUT_WR);
}

void Stream::close() {
  if (fd_ < 0) return;
  if (tls_ && loop_ && !shutdown_ && !broken_ && unsent() == 0) tls_->notify_close(*this);
  int fd = release_fd();
  ::close(fd);
}

int Stream::release_fd() {
  if (fd_ < 0) return -1;
  leave_events();
  if (read_waiter_) wake(read_waiter_);
  if (write_waiter_) wake(write_waiter_);
  if (outbox_ && loop_) outbox_->clear(&loop_->chunks());
  outbox_.reset();
  tls_.reset();
  edge_ = tls_more_ = connecting_ = false;
  loop_ = nullptr;
  return std::exchange(fd_, -1);
}

Address Stream::local() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (fd_ < 0 || getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&address), size);
}

}  // namespace pgweir::net
