#include "net/dns.hpp"

// The calls below are marked as old in later versions of c-ares than the oldest that is supported (1.18).
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <netdb.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/text.hpp"

namespace pgweir::net {

namespace {

constexpr int kTryMillis = 2000;  // doubled by c-ares with each round over the name servers
constexpr int kTries = 3;

bool library_ready() {
  static const bool ready = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ready;
}

Error failure(int status) {
  return Error{status == ARES_ECANCELLED ? "the name servers did not answer in time" : ares_strerror(status)};
}

// A channel of one question. What the callbacks point at must outlive it: its destructor calls those still due.
class Channel {
 public:
  static Result<std::unique_ptr<Channel>> open(const std::string& resolv_conf) {
    if (!library_ready()) return Error{"c-ares cannot be used"};
    // c-ares would silently ask 127.0.0.1 instead.
    if (!resolv_conf.empty() && access(resolv_conf.c_str(), R_OK) != 0) {
      return Error{cat("resolv_conf ", resolv_conf, ": ", errno_text(errno))};
    }
    std::string path = resolv_conf;
    ares_options options{};
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    options.timeout = kTryMillis;
    options.tries = kTries;
    if (!path.empty()) {
      options.resolvconf_path = path.data();
      given |= ARES_OPT_RESOLVCONF;
    }
    auto made = std::make_unique<Channel>();
    const int status = ares_init_options(&made->channel_, &options, given);
    if (status != ARES_SUCCESS) {
      made->channel_ = nullptr;
      return failure(status);
    }
    return made;
  }
  Channel() = default;
  ~Channel() {
    if (channel_) ares_destroy(channel_);
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ares_channel get() { return channel_; }

  // Until `done` holds; after kLongestQuestion all questions are cancelled, which calls their callbacks.
  void serve(const bool& done) {
    const Micros end = monotonic_now() + kLongestQuestion;
    while (!done) {
      const Micros left = end - monotonic_now();
      if (left <= 0) {
        ares_cancel(channel_);
        return;
      }
      serve_once(left);
    }
  }

 private:
  // poll, because select knows no descriptor above 1023.
  void serve_once(Micros left) {
    std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
    std::array<pollfd, ARES_GETSOCK_MAXNUM> polled{};
    const auto bits = static_cast<unsigned>(ares_getsock(channel_, sockets.data(), ARES_GETSOCK_MAXNUM));
    nfds_t count = 0;
    for (int at = 0; at < ARES_GETSOCK_MAXNUM; ++at) {
      short wanted = 0;
      if (ARES_GETSOCK_READABLE(bits, at)) wanted = POLLIN;
      if (ARES_GETSOCK_WRITABLE(bits, at)) wanted = static_cast<short>(wanted | POLLOUT);
      if (wanted != 0) polled[count++] = {sockets[static_cast<size_t>(at)], wanted, 0};
    }
    timeval longest{static_cast<time_t>(left / kSecond), static_cast<suseconds_t>(left % kSecond)};
    timeval room{};
    const timeval* wait = ares_timeout(channel_, &longest, &room);
    const int millis = static_cast<int>(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000);
    const int ready = poll(polled.data(), count, std::max(millis, 1));
    if (ready <= 0) return ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (nfds_t at = 0; at < count; ++at) {
      const bool readable = polled[at].revents & (POLLIN | POLLERR | POLLHUP);
      const bool writable = polled[at].revents & (POLLOUT | POLLERR | POLLHUP);
      if (readable || writable) {
        ares_process_fd(channel_, readable ? polled[at].fd : ARES_SOCKET_BAD,
                        writable ? polled[at].fd : ARES_SOCKET_BAD);
      }
    }
  }

  ares_channel channel_ = nullptr;
};

struct Addresses {
  bool done = false;
  int status = ARES_ECANCELLED;
  std::vector<Address> found;

  static void take(void* self, int status, int /*timeouts*/, ares_addrinfo* result) {
    auto& answer = *static_cast<Addresses*>(self);
    answer.done = true;
    answer.status = status;
    if (!result) return;
    for (const ares_addrinfo_node* one = result->nodes; one; one = one->ai_next) {
      Address address = Address::from_sockaddr(one->ai_addr, one->ai_addrlen);
      const bool known = std::find(answer.found.begin(), answer.found.end(), address) != answer.found.end();
      if (address.is_ip() && !known) answer.found.push_back(std::move(address));
    }
    ares_freeaddrinfo(result);
  }
};

struct Serial {
  bool done = false;
  int status = ARES_ECANCELLED;
  uint32_t number = 0;

  static void take(void* self, int status, int /*timeouts*/, unsigned char* bytes, int size) {
    auto& answer = *static_cast<Serial*>(self);
    answer.done = true;
    answer.status = status;
    if (status != ARES_SUCCESS) return;
    ares_soa_reply* record = nullptr;
    answer.status = ares_parse_soa_reply(bytes, size, &record);
    if (answer.status != ARES_SUCCESS) return;
    answer.number = record->serial;
    ares_free_data(record);
  }
};

}  // namespace

Lookup ask_dns(const std::string& name, const std::string& resolv_conf) {
  Addresses answer;
  auto channel = Channel::open(resolv_conf);
  if (!channel) return channel.error();
  ares_addrinfo_hints hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo((*channel)->get(), name.c_str(), nullptr, &hints, &Addresses::take, &answer);
  (*channel)->serve(answer.done);
  if (answer.status != ARES_SUCCESS) return failure(answer.status);
  if (answer.found.empty()) return Error{"the name has no address"};
  return std::move(answer.found);
}

Result<uint32_t> ask_serial(const std::string& zone, const std::string& resolv_conf) {
  constexpr int kInternet = 1;
  constexpr int kStartOfAuthority = 6;
  Serial answer;
  auto channel = Channel::open(resolv_conf);
  if (!channel) return channel.error();
  ares_query((*channel)->get(), zone.c_str(), kInternet, kStartOfAuthority, &Serial::take, &answer);
  (*channel)->serve(answer.done);
  if (answer.status != ARES_SUCCESS) return failure(answer.status);
  return answer.number;
}

std::string dns_library_version() {
  return cat("c-ares ", ares_version(nullptr));
}

}  // namespace pgweir::net
