#include "service/log_sinks.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

constexpr int kPipePatience = 20;  // ms

int priority_of(Level level) {
  static constexpr int kPriorities[] = {LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG};
  return kPriorities[static_cast<int>(level)];
}

std::string one_text(std::string_view text) {
  std::string out;
  for (char c : text) {
    out.push_back(c);
    if (c == '\n') out.push_back('\t');
  }
  return out;
}

// Does not wait for a reader that has stopped reading.
void write_line(int fd, const std::string& line) {
  size_t sent = 0;
  while (sent < line.size()) {
    ssize_t n = ::write(fd, line.data() + sent, line.size() - sent);
    if (n > 0) {
      sent += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      if (::poll(&wait, 1, kPipePatience) <= 0) return;
    } else if (n < 0 && errno != EINTR) {
      return;
    }
  }
}

class StderrSink final : public LogSink {
 public:
  explicit StderrSink(bool to_journal) : to_journal_(to_journal) {}
  void write(const LogRecord& record) override {
    write_line(STDERR_FILENO, to_journal_ ? journal_line(record) : log_line(record));
  }

 private:
  bool to_journal_;
};

class FileSink final : public LogSink {
 public:
  FileSink(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~FileSink() override { ::close(fd_); }
  FileSink(const FileSink&) = delete;
  FileSink& operator=(const FileSink&) = delete;
  void write(const LogRecord& record) override { write_line(fd_, log_line(record)); }
  void reopen() override {
    int fresh = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fresh < 0) return;
    ::close(fd_);
    fd_ = fresh;
  }

 private:
  std::string path_;
  int fd_;
};

int facility_of(const std::string& name) {
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

// openlog keeps the pointer to the name: the sink keeps the name.
class SyslogSink final : public LogSink {
 public:
  SyslogSink(std::string ident, int facility) : ident_(std::move(ident)) { openlog(ident_.c_str(), LOG_PID, facility); }
  ~SyslogSink() override { closelog(); }
  SyslogSink(const SyslogSink&) = delete;
  SyslogSink& operator=(const SyslogSink&) = delete;
  void write(const LogRecord& record) override {
    if (record.level >= Level::kDebug) return;
    syslog(priority_of(record.level), "%.*s", static_cast<int>(record.text.size()), record.text.data());
  }

 private:
  std::string ident_;
};

}  // namespace

std::string log_line(const LogRecord& record) {
  timeval now{};
  gettimeofday(&now, nullptr);
  tm parts{};
  localtime_r(&now.tv_sec, &parts);
  char date[64];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
  char head[128];
  std::snprintf(head, sizeof head, "%s.%03d %s [%d] ", date, static_cast<int>(now.tv_usec / 1000), parts.tm_zone,
                static_cast<int>(getpid()));
  return cat(head, level_name(record.level), " ", one_text(record.text), "\n");
}

std::string journal_line(const LogRecord& record) {
  return cat("<", priority_of(record.level), ">", one_text(record.text), "\n");
}

bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  if (!stream) return false;
  unsigned long long device = 0;
  unsigned long long inode = 0;
  struct stat info {};
  if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &info) != 0) return false;
  return info.st_dev == device && info.st_ino == inode;
}

std::unique_ptr<LogSink> stderr_sink(bool to_journal) {
  return std::make_unique<StderrSink>(to_journal);
}

Result<std::unique_ptr<LogSink>> file_sink(const std::string& path) {
  int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return Error{cat("Cannot open logfile: '", path, "': ", std::strerror(errno))};
  return std::unique_ptr<LogSink>(std::make_unique<FileSink>(path, fd));
}

std::unique_ptr<LogSink> syslog_sink(const std::string& ident, const std::string& facility) {
  return std::make_unique<SyslogSink>(ident, facility_of(facility));
}

}  // namespace pgweir::service
