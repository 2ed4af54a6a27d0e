// Pid file, identity, daemon mode, descriptor limit. What changes the process runs in a child.
#include "service/process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/text.hpp"
#include "log_capture.hpp"

namespace pgweir::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// Runs `action` in a child with a pipe to write to; everything that was written.
std::string in_child(const std::function<void(int)>& action, int* status = nullptr) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    ::close(ends[0]);
    action(ends[1]);
    _exit(0);
  }
  ::close(ends[1]);
  std::string all;
  char buffer[512];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    all.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  int ended = 0;
  waitpid(child, &ended, 0);
  if (status) *status = ended;
  return all;
}

void say(int fd, const std::string& text) {
  if (::write(fd, text.data(), text.size()) < 0) _exit(9);
}

class PidFileTest : public testing::Test {
 protected:
  PidFileTest() {
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/pid";
    records_ = Capture::attach(log_);
  }
  ~PidFileTest() override { std::filesystem::remove_all(directory_); }

  void hold(const std::string& text) { std::ofstream(path_) << text; }
  std::string refusal() {
    Result<void> checked = PidFile::check(path_, log_);
    return checked ? "" : checked.error().message;
  }

  std::string directory_ = "/tmp/pgweir-unit-pid-XXXXXX";
  std::string path_;
  Logger log_;
  std::shared_ptr<Capture::Records> records_;
};

TEST_F(PidFileTest, IsWrittenAndRemoved) {
  {
    PidFile file;
    ASSERT_TRUE(PidFile::check(path_, log_));
    ASSERT_TRUE(file.write(path_));
    EXPECT_EQ(slurp(path_), cat(getpid(), "\n"));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_THAT(*records_, IsEmpty());
}

TEST_F(PidFileTest, NoPathNoFile) {
  PidFile file;
  EXPECT_TRUE(PidFile::check("", log_));
  EXPECT_TRUE(file.write(""));
}

TEST_F(PidFileTest, OfAProcessThatRuns) {
  hold(cat(getppid(), "\n"));
  EXPECT_EQ(refusal(), cat("pidfile '", path_, "' exists, another instance running?"));
  hold("1\n");
  EXPECT_THAT(refusal(), HasSubstr("exists")) << "whether or not we may signal it";
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(PidFileTest, OfNobodyKnowsWhom) {
  for (const char* text : {"", "\n", "junk\n", "0\n", "-1\n", "99999999999999999999\n", "4294967297\n"}) {
    hold(text);
    EXPECT_THAT(refusal(), HasSubstr("exists, another instance running?")) << text;
  }
}

TEST_F(PidFileTest, OfADeadProcessIsRemoved) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  hold(cat(child, "\n"));
  EXPECT_EQ(refusal(), "");
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "stale pidfile, removing")));
}

TEST_F(PidFileTest, OfADeadProcessWithOurNumberIsRemoved) {
  hold(cat(getpid(), "\n"));
  EXPECT_EQ(refusal(), "");
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "stale pidfile, removing")));
}

TEST_F(PidFileTest, IsNotWrittenOverAnother) {
  hold("something\n");
  {
    PidFile file;
    Result<void> written = file.write(path_);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().message, cat("could not open pidfile '", path_, "': File exists"));
  }
  EXPECT_EQ(slurp(path_), "something\n");
}

TEST_F(PidFileTest, DoesNotFollowALink) {
  std::filesystem::create_symlink(directory_ + "/victim", path_);
  PidFile file;
  EXPECT_FALSE(file.write(path_));
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/victim"));
}

TEST_F(PidFileTest, OfAnotherInstanceStays) {
  {
    PidFile file;
    ASSERT_TRUE(file.write(path_));
    hold("1\n");
  }
  EXPECT_EQ(slurp(path_), "1\n");
}

TEST_F(PidFileTest, InADirectoryThatIsMissing) {
  PidFile file;
  std::string path = directory_ + "/none/pid";
  EXPECT_TRUE(PidFile::check(path, log_));
  Result<void> written = file.write(path);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, cat("could not open pidfile '", path, "': No such file or directory"));
}

TEST(Become, WhoWeAre) {
  EXPECT_TRUE(become(getpwuid(getuid())->pw_name));
}

TEST(Become, NobodyKnown) {
  Result<void> changed = become("no-such-account");
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().message, "could not find user 'no-such-account' to switch to");
}

TEST(Become, RootBecomesAnother) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string seen = in_child([](int out) {
    gid_t root_group = 0;
    setgroups(1, &root_group);
    Result<void> changed = become("nobody");
    gid_t groups[64];
    int count = getgroups(64, groups);
    bool in_root_group = false;
    for (int at = 0; at < count; ++at)
      in_root_group = in_root_group || groups[at] == 0;
    const passwd* account = getpwnam("nobody");
    say(out, cat(changed.ok() ? "ok " : "failed ", getuid() == account->pw_uid && geteuid() == account->pw_uid,
                 getgid() == account->pw_gid && getegid() == account->pw_gid, in_root_group, setuid(0) == 0));
  });
  EXPECT_EQ(seen, "ok 1100");
}

TEST(Become, OthersMayNot) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string seen = in_child([](int out) {
    if (!become("nobody")) _exit(1);
    Result<void> changed = become("root");
    say(out, changed.ok() ? "became root" : changed.error().message);
  });
  EXPECT_EQ(seen, "failed to assume identity of user 'root': Operation not permitted");
}

TEST(Daemonize, LeavesTheTerminalAndKeepsTheRest) {
  std::string directory = std::filesystem::current_path();
  int status = -1;
  std::string seen = in_child(
      [](int out) {
        umask(027);
        pid_t before = getpid();
        Result<void> gone = daemonize();
        char target[256] = {};
        std::string streams;
        for (const char* fd : {"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"}) {
          ssize_t n = readlink(fd, target, sizeof target - 1);
          streams += std::string(target, static_cast<size_t>(n < 0 ? 0 : n)) + " ";
        }
        mode_t mask = umask(0);
        say(out, cat(gone.ok(), getpid() != before, getsid(0) != getpid(), getsid(0) != before, " ", mask, " ", streams,
                     std::filesystem::current_path().string()));
      },
      &status);
  // Not the leader of its session: it can never get a terminal again.
  EXPECT_EQ(seen, cat("1111 ", 027, " /dev/null /dev/null /dev/null ", directory));
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the first process ends well";
}

class Limit : public testing::Test {
 protected:
  Limit() {
    getrlimit(RLIMIT_NOFILE, &before_);
    records_ = Capture::attach(log_);
  }
  ~Limit() override { setrlimit(RLIMIT_NOFILE, &before_); }

  rlimit before_{};
  Logger log_;
  std::shared_ptr<Capture::Records> records_;
};

TEST_F(Limit, IsRaisedToTheHardOne) {
  rlimit low = before_;
  low.rlim_cur = 64;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  raise_descriptor_limit(10, 30, log_);
  rlimit after{};
  getrlimit(RLIMIT_NOFILE, &after);
  EXPECT_EQ(after.rlim_cur, before_.rlim_max);
  std::string hard = before_.rlim_max == RLIM_INFINITY ? "unlimited" : std::to_string(before_.rlim_max);
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, cat("kernel file descriptor limit: ", hard, " (hard: ", hard,
                                                           "); max_client_conn: 10, max expected fd use: 30"))));
}

TEST_F(Limit, ThatIsTooLowIsWarnedOf) {
  if (before_.rlim_max == RLIM_INFINITY) GTEST_SKIP() << "nothing is too much";
  raise_descriptor_limit(1, static_cast<long>(before_.rlim_max) + 1, log_);
  ASSERT_THAT(*records_, SizeIs(2));
  EXPECT_EQ((*records_)[1].first, Level::kWarning);
  EXPECT_THAT((*records_)[1].second, StartsWith("the file descriptor limit of"));
}

// As a library's clean-up would see it.
int told_at_exit = -1;
void tell_of_exit() {
  say(told_at_exit, "cleaned up");
}

std::string end_of_main(bool threads_left, int* status) {
  return in_child(
      [threads_left](int out) {
        told_at_exit = out;
        std::atexit(tell_of_exit);
        std::exit(leave(7, threads_left));  // NOLINT(concurrency-mt-unsafe): the child has one thread
      },
      status);
}

TEST(Leave, NothingRunsUnderThreadsThatAreLeft) {
  int status = 0;
  EXPECT_EQ("cleaned up", end_of_main(false, &status));
  EXPECT_EQ(7, WEXITSTATUS(status));
  EXPECT_EQ("", end_of_main(true, &status));
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(7, WEXITSTATUS(status));
}

}  // namespace
}  // namespace pgweir::service
