#include "service/log_sinks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/text.hpp"
#include "service/lossy_sink.hpp"

namespace pgweir::service {

namespace {

constexpr std::string_view kCut = " [cut]";

// Of the character in front; 0: it is none of UTF-8.
size_t utf8_length(std::string_view text) {
  auto byte = [text](size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return 0;
  for (size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool beyond = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return overlong || beyond ? 0 : length;
}

// `head` before the first line of `text`, `next` and a tab before every other one.
std::string compose(std::string_view head, std::string_view text, std::string_view next) {
  std::string out(head);
  for (char c : text) {
    if (out.size() > kLongestLine - kCut.size() - 16) {
      // Not inside a character of several bytes.
      while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xC0) == 0x80)
        out.pop_back();
      if (!out.empty() && (static_cast<unsigned char>(out.back()) & 0x80)) out.pop_back();
      out.append(kCut);
      return out;
    }
    auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out.push_back('\n');
      out.append(next);
      out.push_back('\t');
    } else {
      out.push_back((byte < 0x20 && c != '\t') || byte == 0x7F ? '?' : c);
    }
  }
  return out;
}

class StreamSink final : public LossySink {
 public:
  StreamSink(int fd, bool to_journal) : fd_(fd), format_(to_journal ? journal_line : log_line) {}

 private:
  bool put(const LogRecord& record) override { return writer_.write(fd_, format_(record)); }

  int fd_;
  std::string (*format_)(const LogRecord&);
  LineWriter writer_;
};

class FileSink final : public LossySink {
 public:
  FileSink(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~FileSink() override { ::close(fd_); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  void reopen() override {
    int fresh = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fresh < 0) return;
    ::close(fd_);
    fd_ = fresh;
  }

 private:
  bool put(const LogRecord& record) override { return writer_.write(fd_, log_line(record)); }

  std::string path_;
  int fd_;
  LineWriter writer_;
};

// Datagrams of its own instead of syslog(3): that one blocks when the daemon does, and keeps state for the whole
// process.
class SyslogSink final : public LossySink {
 public:
  SyslogSink(std::string ident, int facility, std::string path)
      : ident_(std::move(ident)), facility_(facility), path_(std::move(path)) {}
  ~SyslogSink() override { disconnect(); }
  SyslogSink(const SyslogSink&) = delete;
  SyslogSink& operator=(const SyslogSink&) = delete;
  void write(const LogRecord& record) override {
    if (record.level < Level::kDebug) LossySink::write(record);
  }

 private:
  bool put(const LogRecord& record) override {
    std::string line = syslog_line(record, ident_, facility_);
    // A daemon that has restarted listens on a new socket: once more.
    for (int round = 0; round < 2; ++round) {
      if (fd_ < 0 && !connect()) return false;
      if (::send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
      if (errno == EAGAIN) return false;
      disconnect();
    }
    return false;
  }

  bool connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return false;
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
    disconnect();
    return false;
  }

  void disconnect() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  std::string ident_;
  int facility_;
  std::string path_;
  int fd_ = -1;
};

}  // namespace

bool LineWriter::write(int fd, std::string_view line) {
  std::string with_end;  // of the torn line
  if (torn_) line = with_end = cat("\n", line);
  size_t sent = 0;
  while (sent < line.size()) {
    pollfd wait{fd, POLLOUT, 0};
    int ready = ::poll(&wait, 1, stuck_ ? 0 : patience_);
    if (ready < 0 && errno == EINTR) continue;
    ssize_t n = ready > 0 ? ::write(fd, line.data() + sent, line.size() - sent) : -1;
    if (n >= 0) {
      sent += static_cast<size_t>(n);
      if (n > 0) torn_ = sent < line.size();
      if (n > 0) continue;
    } else if (ready > 0 && errno == EINTR) {
      continue;
    }
    stuck_ = true;
    return false;
  }
  stuck_ = false;
  return true;
}

int syslog_priority(Level level) {
  static constexpr int kPriorities[] = {LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};
  return kPriorities[static_cast<int>(level)];
}

std::string plain_text(std::string_view text) {
  std::string out = compose("", text, "");
  for (size_t at = 0; at < out.size();) {
    size_t length = utf8_length(std::string_view(out).substr(at));
    if (length == 0) out[at] = '?';
    at += std::max<size_t>(length, 1);
  }
  return out;
}

std::string log_line(const LogRecord& record) {
  timeval now{};
  gettimeofday(&now, nullptr);
  tm parts{};
  localtime_r(&now.tv_sec, &parts);
  char date[64];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
  char head[160];
  std::snprintf(head, sizeof head, "%s.%03d %.40s [%d] %s ", date, static_cast<int>(now.tv_usec / 1000), parts.tm_zone,
                static_cast<int>(getpid()), level_name(record.level));
  return compose(head, record.text, "") + '\n';
}

std::string journal_line(const LogRecord& record) {
  std::string head = cat("<", syslog_priority(record.level), ">");
  return compose(head, record.text, head) + '\n';
}

std::string syslog_line(const LogRecord& record, std::string_view ident, int facility) {
  time_t now = time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  char date[64];
  std::strftime(date, sizeof date, "%b %e %H:%M:%S", &parts);
  std::string head = cat("<", facility | syslog_priority(record.level), ">", date, " ", ident, "[", getpid(), "]: ");
  return compose(head, record.text, "");
}

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): nobody sets any
  if (!stream) return false;
  unsigned long long device = 0;
  unsigned long long inode = 0;
  struct stat info {};
  if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &info) != 0) return false;
  return info.st_dev == device && info.st_ino == inode;
}

void complain(Level level, std::string_view text) {
  const std::string line = stderr_is_journal() ? journal_line(LogRecord{level, text, nullptr, 0}) : cat(text, "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int syslog_facility(const std::string& name) {
  static constexpr struct {
    const char* name;
    int value;
  } kFacilities[] = {{"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"daemon", LOG_DAEMON},
                     {"user", LOG_USER},     {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1},
                     {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},     {"local4", LOG_LOCAL4},
                     {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7}};
  for (const auto& facility : kFacilities) {
    if (name == facility.name) return facility.value;
  }
  return LOG_DAEMON;
}

std::unique_ptr<LogSink> stream_sink(int fd, bool to_journal) {
  return std::make_unique<StreamSink>(fd, to_journal);
}

Result<std::unique_ptr<LogSink>> file_sink(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Error{cat("Cannot open logfile: '", path, "': ", errno_text(errno))};
  return std::unique_ptr<LogSink>(std::make_unique<FileSink>(path, fd));
}

std::unique_ptr<LogSink> syslog_sink(const std::string& ident, const std::string& facility, const std::string& socket) {
  return std::make_unique<SyslogSink>(ident, syslog_facility(facility), socket);
}

}  // namespace pgweir::service
