// Reading small files whole.
#include "auth/textfile.hpp"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.hpp"

namespace pgweir::auth {

namespace {
// A descriptor that is closed on every way out.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

Error system_error() {
  return Error{errno_text(errno)};
}
}  // namespace

std::string describe(const Complaint& complaint) {
  if (complaint.line == 0) return cat(complaint.file, ": ", complaint.text);
  return cat(complaint.file, ':', complaint.line, ": ", complaint.text);
}

Result<TextFile> read_text_file(const std::string& path) {
  // Never blocks: a path that names a pipe without a writer reads as empty.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.get() < 0) return system_error();
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return system_error();
  TextFile out;
  out.mode = facts.st_mode & 07777;
  // Sized at once, so that no half-read copy of secrets is left behind by a growing string.
  if (S_ISREG(facts.st_mode) && facts.st_size > 0 && static_cast<uint64_t>(facts.st_size) <= kMaxTextFile)
    out.text.reserve(static_cast<size_t>(facts.st_size) + 1);
  char piece[16 * 1024];
  ssize_t got = 0;
  while ((got = ::read(file.get(), piece, sizeof piece)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      Error error = system_error();
      wipe(out.text);
      wipe(piece, sizeof piece);
      return error;
    }
    if (out.text.size() + static_cast<size_t>(got) > kMaxTextFile) {
      wipe(out.text);
      wipe(piece, sizeof piece);
      return Error{cat("larger than ", kMaxTextFile >> 20, " MB")};
    }
    out.text.append(piece, static_cast<size_t>(got));
  }
  wipe(piece, sizeof piece);
  return out;
}

}  // namespace pgweir::auth
