#include "service/takeover.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"
#include "wire/framing.hpp"
#include "wire/startup.hpp"

namespace pgweir::service {

namespace {

constexpr int kAnswerTime = 10'000;                  // milliseconds for each word of the old process
constexpr int kLastTime = 10'000;                    // ... for its end once it was told to end at once
constexpr uint32_t kMostAnswer = uint32_t{1} << 20;  // bytes of one message

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool wait_readable(int fd, int milliseconds) {
  pollfd what{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&what, 1, milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// The console of the old process, to which its own account is let in without a proof.
class OldConsole {
 public:
  explicit OldConsole(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return;
    std::memcpy(address.sun_path, path.data(), path.size());
    connected_ = ::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }

  // 0: not known.
  pid_t process() const {
    ucred who{};
    socklen_t size = sizeof who;
    if (!connected_ || getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return 0;
    return who.pid;
  }

  Result<void> log_in() {
    std::string packet;
    wire::append_startup(packet, wire::kProtocol30, {{"user", "pgbouncer"}, {"database", "pgbouncer"}});
    return say(packet);
  }

  Result<void> command(std::string_view sql) {
    std::string packet;
    wire::append_query(packet, sql);
    return say(packet);
  }

 private:
  // Sends it and reads up to the next ReadyForQuery, or the end: that is an answer to SHUTDOWN.
  Result<void> say(const std::string& packet) {
    if (::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(packet.size()))
      return Error{cat("cannot speak to the old process: ", std::strerror(errno))};
    std::string refusal;
    for (;;) {
      wire::Header header;
      const wire::Frame frame = wire::parse_header(input_, kMostAnswer, header);
      if (frame == wire::Frame::kBad) return Error{"the old process does not speak the protocol"};
      if (frame == wire::Frame::kNeedMore || input_.size() < header.size()) {
        if (!wait_readable(socket_.get(), kAnswerTime)) return Error{"the old process does not answer"};
        char bytes[4096];
        const ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
        if (got <= 0) return refusal.empty() ? Result<void>() : Error{refusal};
        input_.append(bytes, static_cast<size_t>(got));
        continue;
      }
      if (header.type == 'E') {
        const ByteView body = ByteView(input_).substr(wire::kHeaderSize, header.body_size());
        refusal = cat("the old process refuses: ", wire::parse_error_fields(body).message);
      }
      input_.erase(0, header.size());
      if (header.type == 'Z') return refusal.empty() ? Result<void>() : Error{refusal};
    }
  }

  Descriptor socket_;
  bool connected_ = false;
  std::string input_;
};

}  // namespace

Result<void> take_place(const std::string& path, Micros patience, Logger& log) {
  OldConsole console(path);
  const pid_t pid = console.process();
  if (pid <= 0) return Error{"cannot tell which process serves on the unix socket"};
  const Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (process.get() < 0) return Error{cat("cannot watch the old process: ", std::strerror(errno))};
  log.log(Event::kProcessUp, cat("old process ", pid, " is asked to let its transactions end"));
  Result<void> done = console.log_in();
  if (done) done = console.command("SHUTDOWN WAIT_FOR_SERVERS");
  if (!done) return done;
  const int wait = patience > 0 ? static_cast<int>(std::min<Micros>(patience / kMillisecond, INT32_MAX)) : -1;
  if (!wait_readable(process.get(), wait)) {
    log.warning(Event::kProcessUp, cat("old process ", pid, " still has work: it is told to end at once"));
    done = console.command("SHUTDOWN");
    if (!done) return done;
    if (!wait_readable(process.get(), kLastTime)) return Error{cat("old process ", pid, " does not end")};
  }
  log.log(Event::kProcessUp, cat("old process ", pid, " has ended"));
  return {};
}

}  // namespace pgweir::service
