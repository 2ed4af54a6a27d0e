#include "service/journal.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.hpp"
#include "service/log_rate.hpp"
#include "service/log_sinks.hpp"
#include "service/lossy_sink.hpp"
#include "service/message_ids.hpp"

namespace pgweir::service {

namespace {

// A value with a line feed goes with its length in front (8 bytes, little endian), any other one as it is.
void append_field(std::string& out, std::string_view prefix, std::string_view name, std::string_view value) {
  out.append(prefix).append(name);
  if (value.find('\n') == std::string_view::npos) {
    out.push_back('=');
  } else {
    out.push_back('\n');
    for (unsigned shift = 0; shift < 64; shift += 8)
      out.push_back(static_cast<char>(static_cast<uint64_t>(value.size()) >> shift & 0xFF));
  }
  out.append(value);
  out.push_back('\n');
}

// What does not fit a datagram goes in a sealed memory file whose descriptor is sent instead.
int memory_file(std::string_view entry) {
  int fd = ::memfd_create("pgweir-journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -1;
  size_t written = 0;
  while (written < entry.size()) {
    ssize_t n = ::write(fd, entry.data() + written, entry.size() - written);
    if (n <= 0) break;
    written += static_cast<size_t>(n);
  }
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (written == entry.size() && ::fcntl(fd, F_ADD_SEALS, kSeals) == 0) return fd;
  ::close(fd);
  return -1;
}

class JournalSink final : public LossySink {
 public:
  explicit JournalSink(const std::string& path)
      : rate_([this](std::string_view kind, Level level, unsigned long count) { sum_up(kind, level, count); }) {
    address_.sun_family = AF_UNIX;
    if (path.size() >= sizeof address_.sun_path) return;
    std::memcpy(address_.sun_path, path.data(), path.size());
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
  ~JournalSink() override {
    rate_.settle(monotonic_now(), true);
    if (fd_ >= 0) ::close(fd_);
  }
  JournalSink(const JournalSink&) = delete;
  JournalSink& operator=(const JournalSink&) = delete;

  void write(const LogRecord& record) override {
    if (rate_.admit(record, monotonic_now())) LossySink::write(record);
  }
  void tick() override {
    rate_.settle(monotonic_now());
    LossySink::tick();
  }
  bool keeps_fields() const override { return true; }

 private:
  bool put(const LogRecord& record) override {
    std::string entry = journal_entry(record);
    if (send(entry, -1)) return true;
    if (errno != EMSGSIZE && errno != ENOBUFS) return false;
    int file = memory_file(entry);
    if (file < 0) return false;
    std::string nothing;
    bool sent = send(nothing, file);
    ::close(file);
    return sent;
  }

  // To the address, not to a connection: journald may have been restarted since.
  bool send(std::string& bytes, int file) {
    iovec piece{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_name = &address_;
    message.msg_namelen = sizeof address_;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
    if (file >= 0) {
      message.msg_iovlen = 0;
      message.msg_control = room;
      message.msg_controllen = sizeof room;
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(sizeof file);
      std::memcpy(CMSG_DATA(head), &file, sizeof file);
    }
    return ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  }

  void sum_up(std::string_view kind, Level level, unsigned long count) {
    const std::string text = cat(count, " more records like this in 10 seconds: ", kind);
    const std::string number = std::to_string(count);
    const LogField fields[] = {{"REPEATED_KIND", kind}, {"REPEATED", number}};
    LossySink::write(LogRecord{level, text, fields, 2, name_of(Event::kLogRepeated)});
  }

  sockaddr_un address_{};
  int fd_ = -1;
  LogRate rate_;
};

}  // namespace

std::string journal_entry(const LogRecord& record) {
  std::string out;
  out.reserve(512);
  append_field(out, "", "MESSAGE", plain_text(record.text));
  append_field(out, "", "PRIORITY", std::to_string(syslog_priority(record.level)));
  append_field(out, "", "SYSLOG_FACILITY", "3");  // daemon, as systemd gives to lines on standard error
  append_field(out, "", "SYSLOG_IDENTIFIER", "pgweir");
  if (!record.kind.empty()) {
    append_field(out, "PGWEIR_", "KIND", record.kind);
    std::string_view id = message_id(record.kind);
    if (!id.empty()) append_field(out, "", "MESSAGE_ID", id);
  }
  for (size_t at = 0; at < record.field_count; ++at) {
    const LogField& field = record.fields[at];
    if (!field.value.empty()) append_field(out, "PGWEIR_", field.name, plain_text(field.value));
  }
  return out;
}

std::unique_ptr<LogSink> journal_sink(const std::string& socket) {
  return std::make_unique<JournalSink>(socket);
}

}  // namespace pgweir::service
