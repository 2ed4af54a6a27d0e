// The file that is written: found, locked, read, and replaced as a whole or not at all.
// Promises: whoever opens it sees the old list or the new one, also after a crash; nobody but its owner may ever read
// what is being written; two runs at the same time come one behind the other. A symbolic link is followed only when it
// belongs to root or to us, so that an account that owns the directory cannot have root write elsewhere.
// Does not promise to keep access lists or further hard links.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "auth/secret.hpp"
#include "base/result.hpp"

namespace pgweir::tools::userlist {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

struct Owner {
  uid_t user = 0;
  gid_t group = 0;
};
// "USER", "USER:GROUP", numbers too; without a group the account's own.
Result<Owner> parse_owner(const std::string& text);

// What is found under the name.
struct OldFile {
  auth::SecretBytes text;
  unsigned mode = 0;
  Owner owner;
};

class Target {
 public:
  // Finds the directory and, through links, the name in it. Error: the directory cannot be opened; a link that is not
  // followed.
  static Result<Target> open(const std::string& path);

  // The name behind all links.
  const std::string& path() const { return path_; }

  // Waits for other runs, at most `seconds`. Left out where the file system has no locks.
  Result<void> lock(int seconds);

  // Nothing: there is none. Error: it cannot be read, or is no regular file.
  Result<std::optional<OldFile>> read() const;
  bool exists() const;

  // Writes, gives to `owner` when that is said, and puts in place; the bytes are on the disk when this returns. Needs
  // write permission for the directory. On an error all is as it was.
  Result<void> replace(ByteView text, unsigned mode, const std::optional<Owner>& owner);

 private:
  Result<void> write_all(int fd, ByteView text, unsigned mode, const std::optional<Owner>& owner) const;
  void remove_leavings() const;

  std::string path_;
  std::string name_;
  Descriptor directory_;
  bool locked_ = false;
};

}  // namespace pgweir::tools::userlist
