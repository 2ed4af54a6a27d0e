// Log lines and where they go: layout, forging, full pipes, lost lines, files, syslog, journal.
#include "service/log_sinks.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.hpp"

namespace pgweir::service {
namespace {

using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

LogRecord record(Level level, std::string_view text) {
  return LogRecord{level, text, nullptr, 0};
}

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

struct Directory {
  Directory() { EXPECT_NE(mkdtemp(path.data()), nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path = "/tmp/pgweir-unit-log-XXXXXX";
};

struct Pipe {
  explicit Pipe(int flags = 0) { EXPECT_EQ(pipe2(ends, flags), 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  // What is there now.
  std::string take() {
    std::string all;
    char buffer[8192];
    for (;;) {
      pollfd ready{ends[0], POLLIN, 0};
      if (poll(&ready, 1, 0) <= 0) return all;
      ssize_t n = ::read(ends[0], buffer, sizeof buffer);
      if (n <= 0) return all;
      all.append(buffer, static_cast<size_t>(n));
    }
  }
  int ends[2] = {-1, -1};
};

long elapsed_ms(std::chrono::steady_clock::time_point since) {
  return static_cast<long>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - since).count());
}

TEST(LogLine, HasPgBouncersLayout) {
  EXPECT_THAT(log_line(record(Level::kLog, "hello world")),
              MatchesRegex(cat("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} [A-Z0-9+-]+ \\[",
                               getpid(), "\\] LOG hello world\n")));
  for (auto [level, word] : {std::pair{Level::kFatal, "] FATAL x\n"},
                             {Level::kError, "] ERROR x\n"},
                             {Level::kWarning, "] WARNING x\n"},
                             {Level::kDebug, "] DEBUG x\n"},
                             {Level::kNoise, "] NOISE x\n"}})
    EXPECT_THAT(log_line(record(level, "x")), EndsWith(word));
}

TEST(LogLine, NoTextLooksLikeAnotherLine) {
  EXPECT_THAT(log_line(record(Level::kLog, "a\nb\n\nc")), EndsWith("LOG a\n\tb\n\t\n\tc\n"));
  EXPECT_THAT(log_line(record(Level::kLog, std::string_view("a\r\x1b[2Jb\0\x7f\tc", 11))),
              EndsWith("LOG a??[2Jb??\tc\n"));
}

TEST(LogLine, KeepsEveryOtherCharacter) {
  EXPECT_THAT(log_line(record(Level::kLog, "J\xc3\xbcrgen \xf0\x9f\x90\x98 %s %n")),
              EndsWith("LOG J\xc3\xbcrgen \xf0\x9f\x90\x98 %s %n\n"));
}

TEST(LogLine, IsBounded) {
  for (size_t extra = 0; extra < 5; ++extra) {
    std::string text(extra, 'x');
    while (text.size() < 3 * kLongestLine)
      text += "\xf0\x9f\x90\x98";
    std::string line = log_line(record(Level::kLog, text));
    EXPECT_LE(line.size(), kLongestLine);
    EXPECT_THAT(line, EndsWith("\x98 [cut]\n")) << "not inside a character";
  }
  std::string lines(3 * kLongestLine, '\n');
  EXPECT_LE(journal_line(record(Level::kLog, lines)).size(), kLongestLine);
}

TEST(JournalLine, CarriesThePriorityOfEveryLine) {
  EXPECT_EQ(journal_line(record(Level::kFatal, "x")), "<2>x\n");
  EXPECT_EQ(journal_line(record(Level::kError, "x")), "<3>x\n");
  EXPECT_EQ(journal_line(record(Level::kWarning, "x\n<0>y")), "<4>x\n<4>\t<0>y\n");
  EXPECT_EQ(journal_line(record(Level::kLog, "x")), "<6>x\n");
  EXPECT_EQ(journal_line(record(Level::kDebug, "x")), "<7>x\n");
  EXPECT_EQ(journal_line(record(Level::kNoise, "x")), "<7>x\n");
}

TEST(Journal, IsFoundByDeviceAndInode) {
  struct stat info {};
  ASSERT_EQ(fstat(STDERR_FILENO, &info), 0);
  setenv("JOURNAL_STREAM", cat(info.st_dev, ":", info.st_ino).c_str(), 1);
  EXPECT_TRUE(stderr_is_journal());
  setenv("JOURNAL_STREAM", cat(info.st_dev, ":", info.st_ino + 1).c_str(), 1);
  EXPECT_FALSE(stderr_is_journal());
  for (const char* junk : {"", "x", "1", "1:"}) {
    setenv("JOURNAL_STREAM", junk, 1);
    EXPECT_FALSE(stderr_is_journal()) << junk;
  }
  unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(stderr_is_journal());
}

TEST(Journal, ComplaintsCarryTheirPriorityThere) {
  unsetenv("JOURNAL_STREAM");
  testing::internal::CaptureStderr();
  complain(Level::kError, "plain");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "plain\n");
  testing::internal::CaptureStderr();
  struct stat info {};
  ASSERT_EQ(fstat(STDERR_FILENO, &info), 0);
  setenv("JOURNAL_STREAM", cat(info.st_dev, ":", info.st_ino).c_str(), 1);
  complain(Level::kError, "wrong");
  complain(Level::kWarning, "odd\nin two lines");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "<3>wrong\n<4>odd\n<4>\tin two lines\n");
  unsetenv("JOURNAL_STREAM");
}

TEST(Stream, WritesLines) {
  Pipe pipe;
  auto plain = stream_sink(pipe.ends[1], false);
  auto journal = stream_sink(pipe.ends[1], true);
  plain->write(record(Level::kLog, "one"));
  journal->write(record(Level::kWarning, "two"));
  EXPECT_THAT(pipe.take(), MatchesRegex(".*\\] LOG one\n<4>two\n"));
}

// Standard error of a daemon is often a pipe; its reader may hang. Neither a blocking nor a non-blocking pipe stops us.
TEST(Stream, AFullPipeDoesNotStopTheLogger) {
  for (int flags : {0, O_NONBLOCK}) {
    Pipe pipe(flags);
    auto sink = stream_sink(pipe.ends[1], true);
    auto begin = std::chrono::steady_clock::now();
    std::string text(1000, 'x');
    for (int line = 0; line < 1000; ++line)
      sink->write(record(Level::kLog, text));
    EXPECT_LT(elapsed_ms(begin), 1000);
    std::string before = pipe.take();
    EXPECT_THAT(before, Not(HasSubstr("lost")));
    size_t whole = before.size() / (text.size() + 4);
    EXPECT_EQ(before.size() % (text.size() + 4), 0u) << "only whole lines";
    sink->write(record(Level::kLog, "back"));
    EXPECT_EQ(pipe.take(), cat("<4>", 1000 - whole, " log lines were lost here: nobody took them\n<6>back\n"));
    sink->write(record(Level::kLog, "again"));
    EXPECT_EQ(pipe.take(), "<6>again\n") << "told once";
  }
}

TEST(Stream, AReaderThatIsGoneIsNotFatal) {
  signal(SIGPIPE, SIG_IGN);  // the daemon blocks it
  Pipe pipe;
  ::close(pipe.ends[0]);
  pipe.ends[0] = -1;
  auto sink = stream_sink(pipe.ends[1], false);
  auto begin = std::chrono::steady_clock::now();
  for (int line = 0; line < 1000; ++line)
    sink->write(record(Level::kLog, "x"));
  EXPECT_LT(elapsed_ms(begin), 1000);
}

TEST(LineWriter, EndsATornLineFirst) {
  // A stream socket with a small buffer takes the head of a line.
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  int small = 4608;
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  LineWriter writer(1);
  std::string line(300000, 'x');
  line.back() = '\n';
  EXPECT_FALSE(writer.write(ends[1], line));
  std::string got(400000, '\0');
  ssize_t head = ::read(ends[0], got.data(), got.size());
  ASSERT_GT(head, 0);
  ASSERT_LT(static_cast<size_t>(head), line.size());
  EXPECT_TRUE(writer.write(ends[1], "next\n"));
  EXPECT_EQ(::read(ends[0], got.data(), got.size()), 6);
  EXPECT_EQ(got.substr(0, 6), "\nnext\n");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(File, IsAppendedTo) {
  Directory directory;
  std::string path = directory.path + "/log";
  std::ofstream(path) << "old\n";
  auto sink = file_sink(path);
  ASSERT_TRUE(sink);
  (*sink)->write(record(Level::kLog, "new"));
  EXPECT_THAT(slurp(path), MatchesRegex("old\n[^\n]*\\] LOG new\n"));
}

TEST(File, IsReopened) {
  Directory directory;
  std::string path = directory.path + "/log";
  auto sink = file_sink(path);
  ASSERT_TRUE(sink);
  (*sink)->write(record(Level::kLog, "first"));
  std::filesystem::rename(path, path + ".1");
  (*sink)->write(record(Level::kLog, "second"));
  (*sink)->reopen();
  (*sink)->write(record(Level::kLog, "third"));
  EXPECT_THAT(slurp(path + ".1"), EndsWith("LOG second\n"));
  EXPECT_THAT(slurp(path), MatchesRegex("[^\n]*LOG third\n"));
  // The directory is gone: what is open stays.
  std::filesystem::rename(path, "/tmp/pgweir-unit-kept");
  std::filesystem::remove_all(directory.path);
  (*sink)->reopen();
  (*sink)->write(record(Level::kLog, "fourth"));
  EXPECT_THAT(slurp("/tmp/pgweir-unit-kept"), EndsWith("LOG fourth\n"));
  std::filesystem::remove("/tmp/pgweir-unit-kept");
}

TEST(File, ThatCannotBeOpened) {
  auto sink = file_sink("/nonexistent/dir/log");
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().message, "Cannot open logfile: '/nonexistent/dir/log': No such file or directory");
}

TEST(Syslog, Facilities) {
  EXPECT_EQ(syslog_facility("daemon"), LOG_DAEMON);
  EXPECT_EQ(syslog_facility("auth"), LOG_AUTH);
  EXPECT_EQ(syslog_facility("local7"), LOG_LOCAL7);
  EXPECT_EQ(syslog_facility("nonsense"), LOG_DAEMON);
}

struct SyslogDaemon {
  explicit SyslogDaemon(const std::string& path) : fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ::unlink(path.c_str());
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~SyslogDaemon() { ::close(fd); }
  std::string take() {
    char buffer[8192];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }
  int fd;
};

TEST(Syslog, SendsADatagramALine) {
  Directory directory;
  SyslogDaemon daemon(directory.path + "/log");
  auto sink = syslog_sink("weir", "local3", directory.path + "/log");
  sink->write(record(Level::kWarning, "hello\nthere"));
  EXPECT_THAT(daemon.take(),
              MatchesRegex(cat("<156>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} weir\\[", getpid(), "\\]: hello\n\tthere")));
  sink->write(record(Level::kFatal, "x"));
  EXPECT_THAT(daemon.take(), StartsWith("<154>"));
  sink->write(record(Level::kLog, "x"));
  EXPECT_THAT(daemon.take(), StartsWith("<158>"));
}

TEST(Syslog, NeverDebugNorNoise) {
  Directory directory;
  SyslogDaemon daemon(directory.path + "/log");
  auto sink = syslog_sink("weir", "daemon", directory.path + "/log");
  sink->write(record(Level::kDebug, "secret"));
  sink->write(record(Level::kNoise, "secret"));
  EXPECT_EQ(daemon.take(), "");
}

TEST(Syslog, SurvivesARestartAndAHangOfItsDaemon) {
  Directory directory;
  std::string path = directory.path + "/log";
  auto sink = syslog_sink("weir", "daemon", path);
  sink->write(record(Level::kLog, "nobody is there"));
  {
    SyslogDaemon daemon(path);
    sink->write(record(Level::kLog, "now"));
    EXPECT_THAT(daemon.take(), EndsWith("1 log lines were lost here: nobody took them"));
    EXPECT_THAT(daemon.take(), EndsWith(": now"));
  }
  SyslogDaemon restarted(path);
  sink->write(record(Level::kLog, "once more"));
  EXPECT_THAT(restarted.take(), EndsWith(": once more"));
  auto begin = std::chrono::steady_clock::now();
  for (int line = 0; line < 5000; ++line)
    sink->write(record(Level::kLog, "nobody reads"));
  EXPECT_LT(elapsed_ms(begin), 2000);
}

}  // namespace
}  // namespace pgweir::service
