// The process itself: pid file, identity, daemon mode, descriptor limit. Texts: compat/config_file.md section 6.
#pragma once

#include <string>

#include "base/log.hpp"
#include "base/result.hpp"

namespace pgweir::service {

// A pid file that is removed with this object, if this process wrote it and nobody has replaced it since.
class PidFile {
 public:
  PidFile() = default;
  ~PidFile() { remove(); }
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // Error: the file cannot be read, names a process that runs, or does not name one (then nobody knows). A file that a
  // dead process left is removed (logged), even if its number is ours now. An empty path: no pid file, nothing to do.
  static Result<void> check(const std::string& path, Logger& log);
  // Error: it exists, or cannot be written.
  Result<void> write(const std::string& path);
  void remove();

 private:
  std::string path_;
};

// As root: gid, supplementary groups, uid of `name`, for good. Not as root: fine only if that is who we are.
// To be called before there are threads.
Result<void> become(const std::string& name);
// Double fork, setsid, standard streams to /dev/null; directory and umask stay. The parents exit with 0.
// To be called before there are threads or sockets.
Result<void> daemonize();
// The end of main(): its status. With `threads_left` (threads of ours are still inside libraries, because a directory
// or PAM does not answer) it does not come back but ends the process without what runs at an exit: libraries must not
// be cleaned up under who is in them. Whatever has to be written, closed or removed, the caller has.
int leave(int status, bool threads_left);
// Raises the soft limit to the hard one, logs it, and warns when `expected` descriptors do not fit.
void raise_descriptor_limit(long max_client_conn, long expected, Logger& log);

}  // namespace pgweir::service
