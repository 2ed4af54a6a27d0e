#include "service/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>
#include <csignal>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

std::string limit_text(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

}  // namespace

Result<void> PidFile::check(const std::string& path, Logger& log) {
  if (path.empty()) return {};
  std::ifstream in(path);
  if (!in) {
    if (errno == ENOENT) return {};
    return Error{cat("could not open pidfile '", path, "': ", errno_text(errno))};
  }
  long pid = 0;
  in >> pid;  // stays 0 when there is no number
  bool is_pid = pid > 0 && pid <= std::numeric_limits<pid_t>::max();
  // Our own number, before we have written it: that of a process before us, in a container for instance, where the
  // service is number 1 every time.
  bool ours = is_pid && pid == getpid();
  bool running = !is_pid || ::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH;
  if (running && !ours) return Error{cat("pidfile '", path, "' exists, another instance running?")};
  log.log(Event::kProcessUp, "stale pidfile, removing");
  ::unlink(path.c_str());
  return {};
}

Result<void> PidFile::write(const std::string& path) {
  if (path.empty()) return {};
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return Error{cat("could not open pidfile '", path, "': ", errno_text(errno))};
  std::string text = cat(getpid(), "\n");
  bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  path_ = path;
  if (!written) return Error{cat("could not write pidfile '", path, "': ", errno_text(errno))};
  return {};
}

void PidFile::remove() {
  if (path_.empty()) return;
  long pid = 0;
  std::ifstream(path_) >> pid;
  if (pid == getpid()) ::unlink(path_.c_str());  // else somebody has put his own there
  path_.clear();
}

Result<void> become(const std::string& name) {
  const passwd* account = getpwnam(name.c_str());  // NOLINT(concurrency-mt-unsafe): one thread yet
  if (!account) return Error{cat("could not find user '", name, "' to switch to")};
  const uid_t uid = account->pw_uid;
  const gid_t gid = account->pw_gid;
  if (getuid() == uid && geteuid() == uid) return {};
  bool root = geteuid() == 0;
  bool done = (!root || initgroups(name.c_str(), gid) == 0) && setgid(gid) == 0 && setuid(uid) == 0;
  if (!done) return Error{cat("failed to assume identity of user '", name, "': ", errno_text(errno))};
  // There must be no way back.
  if (uid != 0 && (setuid(0) == 0 || getuid() != uid || geteuid() != uid || getegid() != gid))
    return Error{cat("failed to assume identity of user '", name, "': root's rights remain")};
  return {};
}

Result<void> daemonize() {
  for (int round = 0; round < 2; ++round) {
    pid_t child = fork();
    if (child < 0) return Error{cat("fork failed: ", errno_text(errno))};
    if (child > 0) _exit(0);
    if (round == 0) setsid();
  }
  int null = ::open("/dev/null", O_RDWR);
  if (null < 0) return Error{cat("cannot open /dev/null: ", errno_text(errno))};
  for (int fd = 0; fd <= 2; ++fd)
    dup2(null, fd);
  if (null > 2) ::close(null);
  return {};
}

int leave(int status, bool threads_left) {
  if (threads_left) _exit(status);
  return status;
}

void raise_descriptor_limit(long max_client_conn, long expected, Logger& log) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  log.log(Event::kDescriptors,
          cat("kernel file descriptor limit: ", limit_text(limit.rlim_cur), " (hard: ", limit_text(limit.rlim_max),
              "); max_client_conn: ", max_client_conn, ", max expected fd use: ", expected));
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= static_cast<rlim_t>(expected)) return;
  log.warning(
      Event::kDescriptorsFew,
      cat("the file descriptor limit of ", limit_text(limit.rlim_cur), " is less than the ", expected,
          " descriptors that max_client_conn and the pool sizes may need: connections above it will be refused; "
          "raise LimitNOFILE (systemd) or ulimit -n, or lower max_client_conn"));
}

}  // namespace pgweir::service
