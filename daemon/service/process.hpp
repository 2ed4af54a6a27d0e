// The process itself: pid file, identity, daemon mode, descriptor limit. Texts: compat/config_file.md section 6.
#pragma once

#include <string>

#include "base/log.hpp"
#include "base/result.hpp"

namespace pgweir::service {

// A pid file that is removed with this object, if this process wrote it.
class PidFile {
 public:
  PidFile() = default;
  ~PidFile() { remove(); }
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // Whether another instance runs; a stale file is removed (logged).
  static Result<void> check(const std::string& path, Logger& log);
  Result<void> write(const std::string& path);
  void remove();

 private:
  std::string path_;
};

// As root: gid, supplementary groups, uid of `name`. Not as root: fine only if that is who we are.
Result<void> become(const std::string& name);
// Double fork, setsid, standard streams to /dev/null. The parents exit with 0.
Result<void> daemonize();
// Raises the soft limit to the hard one; the line for the log.
std::string raise_descriptor_limit(long max_client_conn, long expected);

}  // namespace pgweir::service
