#include "harness.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

namespace chaos {

namespace {

constexpr int kPatience = 60'000;       // ms; a request that takes longer counts as stuck
constexpr size_t kLongest = 64U << 20;  // of a message; nothing here is longer

void put16(std::string& out, uint16_t value) {
  value = htons(value);
  out.append(reinterpret_cast<const char*>(&value), 2);
}
uint16_t get16(const char* at) {
  uint16_t value;
  std::memcpy(&value, at, 2);
  return ntohs(value);
}

std::string typed(char type, const std::string& body) {
  std::string out(1, type);
  put32(out, static_cast<uint32_t>(body.size() + 4));
  return out + body;
}

std::string text_values(const std::vector<std::string>& values) {
  std::string body;
  put16(body, 0);
  put16(body, static_cast<uint16_t>(values.size()));
  for (const auto& value : values) {
    put32(body, static_cast<uint32_t>(value.size()));
    body += value;
  }
  return body;
}

std::string startup_packet(const Parameters& parameters) {
  std::string body;
  put32(body, 196608);
  for (const auto& [name, value] : parameters)
    body += name + '\0' + value + '\0';
  body += '\0';
  std::string packet;
  put32(packet, static_cast<uint32_t>(body.size() + 4));
  return packet + body;
}

}  // namespace

void put32(std::string& out, uint32_t value) {
  value = htonl(value);
  out.append(reinterpret_cast<const char*>(&value), 4);
}
uint32_t get32(const char* at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return ntohl(value);
}

int dial(const std::string& host, int port, bool narrow) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int small = 4096;
  if (narrow) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, host.c_str(), &to.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    ::close(fd);
    return -1;
  }
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  timeval patience{kPatience / 1000, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

bool Connection::open(const Options& options, const std::string& user, const std::string& database,
                      const Parameters& startup, const Manners& manners, Message& error, Parameters* reports,
                      bool* stuck) {
  close();
  manners_ = manners;
  random_.seed(manners.seed);
  error = {};
  fd_ = dial(options.host, options.port, manners.narrow);
  if (fd_ < 0) return false;
  Parameters parameters{{"user", user}, {"database", database}};
  parameters.insert(parameters.end(), startup.begin(), startup.end());
  if (!send(startup_packet(parameters))) return false;
  Message message;
  while (receive(message, stuck)) {
    if (message.type == 'K') key_ = message.body;
    if (message.type == 'S' && reports) reports->push_back(parameter_of(message.body));
    if (message.type == 'Z') return true;
    if (message.type == 'E') {
      error = message;
      break;
    }
  }
  close();
  return false;
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  in_.clear();
  at_ = 0;
}

void Connection::abandon() {
  linger hard{1, 0};
  if (fd_ >= 0) ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

// A connection that ends while we write may still have its last words to be read: it is not closed here.
bool Connection::send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    size_t piece = bytes.size() - sent;
    if (manners_.slice > 0) {
      // Long messages in larger slices: the number of writes is what matters.
      size_t most = static_cast<size_t>(manners_.slice) + bytes.size() / 64;
      piece = std::min(piece, 1 + random_() % most);
    }
    ssize_t n = ::send(fd_, bytes.data() + sent, piece, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<size_t>(n);
    if (manners_.slice > 0 && random_() % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

bool Connection::readable() const {
  pollfd wait{fd_, POLLIN, 0};
  return at_ < in_.size() || ::poll(&wait, 1, 0) > 0;
}

bool Connection::fill(bool* stuck) {
  pollfd wait{fd_, POLLIN, 0};
  int ready = ::poll(&wait, 1, kPatience);
  if (ready == 0) *stuck = true;
  if (ready <= 0) return false;
  if (manners_.pause_reads > 0 && random_() % static_cast<unsigned>(manners_.pause_reads) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + random_() % 20));
  }
  if (at_ > 0) in_.erase(0, at_);
  at_ = 0;
  char buffer[65536];
  ssize_t n = ::recv(fd_, buffer, std::min(sizeof buffer, static_cast<size_t>(manners_.swallow)), 0);
  if (n <= 0) {
    close();
    return false;
  }
  in_.append(buffer, static_cast<size_t>(n));
  return true;
}

bool Connection::receive(Message& message, bool* stuck) {
  for (;;) {
    if (fd_ < 0) return false;
    size_t have = in_.size() - at_;
    if (have >= 5) {
      size_t size = get32(in_.data() + at_ + 1);
      if (size < 4 || size > kLongest) {  // no message at all: the caller calls it wrong
        message = {'?', in_.substr(at_, 5)};
        return true;
      }
      if (have >= size + 1) {
        message.type = in_[at_];
        message.body.assign(in_, at_ + 5, size - 4);
        at_ += size + 1;
        return true;
      }
    }
    if (!fill(stuck)) return false;
  }
}

int Connection::send_cancel(const Options& options) const {
  int fd = dial(options.host, options.port);
  if (fd < 0) return -1;
  std::string packet;
  put32(packet, static_cast<uint32_t>(8 + key_.size()));
  put32(packet, 80877102);
  packet += key_;
  if (::send(fd, packet.data(), packet.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size())) return fd;
  ::close(fd);
  return -1;
}

std::string query(const std::string& sql) {
  return typed('Q', sql + '\0');
}
std::string parse(const std::string& name, const std::string& sql) {
  return typed('P', name + '\0' + sql + '\0' + std::string(2, '\0'));
}
std::string bind(const std::string& portal, const std::string& name, const std::vector<std::string>& values) {
  std::string body = portal + '\0' + name + '\0' + text_values(values);
  put16(body, 0);
  return typed('B', body);
}
std::string describe_portal(const std::string& portal) {
  return typed('D', std::string("P") + portal + '\0');
}
std::string describe_statement(const std::string& name) {
  return typed('D', std::string("S") + name + '\0');
}
std::string execute(const std::string& portal) {
  return typed('E', portal + '\0' + std::string(4, '\0'));
}
std::string close_statement(const std::string& name) {
  return typed('C', std::string("S") + name + '\0');
}
std::string function_call(uint32_t function, const std::vector<std::string>& values) {
  std::string body;
  put32(body, function);
  body += text_values(values);
  put16(body, 0);
  return typed('F', body);
}
std::string copy_data(const std::string& bytes) {
  return typed('d', bytes);
}
std::string copy_done() {
  return typed('c', "");
}
std::string copy_fail(const std::string& why) {
  return typed('f', why + '\0');
}
std::string sync() {
  return typed('S', "");
}
std::string flush() {
  return typed('H', "");
}

bool columns_of(const std::string& body, std::vector<std::string>& columns) {
  columns.clear();
  if (body.size() < 2) return false;
  size_t count = get16(body.data());
  size_t at = 2;
  for (size_t column = 0; column < count; ++column) {
    if (body.size() - at < 4) return false;
    uint32_t size = get32(body.data() + at);
    at += 4;
    if (size == UINT32_MAX) {
      columns.emplace_back();
      continue;
    }
    if (body.size() - at < size) return false;
    columns.emplace_back(body, at, size);
    at += size;
  }
  return at == body.size();
}

std::string error_field(const std::string& body, char field) {
  size_t at = 0;
  while (at < body.size() && body[at] != 0) {
    size_t end = body.find('\0', at);
    if (end == std::string::npos) break;
    if (body[at] == field) return body.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  return "";
}

std::pair<std::string, std::string> parameter_of(const std::string& body) {
  size_t end = body.find('\0');
  if (end == std::string::npos) return {};
  return {body.substr(0, end), body.substr(end + 1, body.find('\0', end + 1) - end - 1)};
}

}  // namespace chaos
