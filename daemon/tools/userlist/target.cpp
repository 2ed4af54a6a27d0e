#include "tools/userlist/target.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "auth/random.hpp"
#include "auth/textfile.hpp"
#include "base/text.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::userlist {

namespace {

constexpr int kMostLinks = 8;
constexpr const char* kTemporary = ".pgweir-userlist-";  // NAME + this + random digits, hidden
constexpr std::chrono::milliseconds kLockPause{20};

Error failed(const std::string& what, const std::string& path) {
  return Error{cat("could not ", what, ' ', shown_name(path), ": ", errno_text(errno))};
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// The target of a link; error when the link belongs to somebody else.
Result<std::string> follow(const std::string& path, const struct stat& facts) {
  if (facts.st_uid != 0 && facts.st_uid != ::geteuid())
    return Error{cat(shown_name(path), " is a symbolic link of another account: not followed")};
  std::string aim(4096, '\0');
  const ssize_t size = ::readlink(path.c_str(), aim.data(), aim.size());
  if (size <= 0 || static_cast<size_t>(size) == aim.size()) return failed("read the link", path);
  aim.resize(static_cast<size_t>(size));
  return aim[0] == '/' ? aim : cat(directory_of(path), '/', aim);
}

template <class Entry>
std::optional<Entry> by_name(Entry* found) {
  return found ? std::optional<Entry>(*found) : std::nullopt;
}

std::optional<unsigned> number(const std::string& text) {
  unsigned value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    std::swap(fd_, other.fd_);
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Owner> parse_owner(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  Owner out;
  const auto account = by_name(::getpwnam(user.c_str()));  // NOLINT(concurrency-mt-unsafe): one thread
  if (account) {
    out = {account->pw_uid, account->pw_gid};
  } else if (auto id = number(user)) {
    const auto numbered = by_name(::getpwuid(*id));  // NOLINT(concurrency-mt-unsafe)
    out = {*id, numbered ? numbered->pw_gid : *id};
  } else {
    return Error{cat("owner: there is no account ", shown_name(user))};
  }
  if (colon == std::string::npos) return out;
  const std::string group = text.substr(colon + 1);
  if (const auto entry = by_name(::getgrnam(group.c_str()))) {  // NOLINT(concurrency-mt-unsafe)
    out.group = entry->gr_gid;
  } else if (auto id = number(group)) {
    out.group = *id;
  } else {
    return Error{cat("owner: there is no group ", shown_name(group))};
  }
  return out;
}

Result<Target> Target::open(const std::string& path) {
  Target out;
  out.path_ = path;
  struct stat facts {};
  for (int links = 0; ::lstat(out.path_.c_str(), &facts) == 0 && S_ISLNK(facts.st_mode); ++links) {
    if (links == kMostLinks) return Error{cat(shown_name(path), ": too many symbolic links")};
    auto next = follow(out.path_, facts);
    if (!next) return next.error();
    out.path_ = next.take();
  }
  out.name_ = out.path_.substr(out.path_.rfind('/') + 1);
  if (out.name_.empty() || out.name_ == "." || out.name_ == "..")
    return Error{cat(shown_name(path), " is no name of a file")};
  const std::string directory = directory_of(out.path_);
  out.directory_ = Descriptor(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (out.directory_.get() < 0) return failed("open the directory", directory);
  return out;
}

Result<void> Target::lock(int seconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(seconds);
  while (::flock(directory_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return {};
    if (Clock::now() > deadline)
      return Error{cat("another run has held the directory of ", shown_name(path_), " for ", seconds, " s")};
    std::this_thread::sleep_for(kLockPause);
  }
  locked_ = true;
  return {};
}

bool Target::exists() const {
  struct stat facts {};
  return ::fstatat(directory_.get(), name_.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(facts.st_mode);
}

Result<std::optional<OldFile>> Target::read() const {
  const Descriptor file(
      ::openat(directory_.get(), name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) return std::optional<OldFile>();
    return failed("read", path_);
  }
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return failed("read", path_);
  if (!S_ISREG(facts.st_mode)) return Error{cat(shown_name(path_), " is no regular file")};
  if (static_cast<uint64_t>(facts.st_size) > auth::kMaxTextFile) return Error{cat(shown_name(path_), " is too large")};
  std::string text(static_cast<size_t>(facts.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path_);
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  text.resize(have);
  OldFile out;
  out.text = auth::SecretBytes(std::move(text));
  out.mode = facts.st_mode & 07777;
  out.owner = {facts.st_uid, facts.st_gid};
  return std::optional<OldFile>(std::move(out));
}

// What runs left that were killed: nobody else writes while we hold the lock.
void Target::remove_leavings() const {
  if (!locked_) return;
  struct Close {
    void operator()(DIR* listing) const { ::closedir(listing); }
  };
  const int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  const std::unique_ptr<DIR, Close> listing(::fdopendir(copy));
  if (!listing) {
    ::close(copy);
    return;
  }
  const std::string head = cat('.', name_, kTemporary);
  while (const dirent* entry = ::readdir(listing.get()))  // NOLINT(concurrency-mt-unsafe)
    if (std::string_view(entry->d_name).starts_with(head)) ::unlinkat(directory_.get(), entry->d_name, 0);
}

Result<void> Target::write_all(int fd, ByteView text, unsigned mode, const std::optional<Owner>& owner) const {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return failed("write", path_);
  if (owner && (facts.st_uid != owner->user || facts.st_gid != owner->group) &&
      ::fchown(fd, owner->user, owner->group) != 0)
    return Error{cat("could not give ", shown_name(path_), " to its owner (", owner->user, ':', owner->group,
                     "): ", errno_text(errno), ": run this as that account or as root")};
  if (::fchmod(fd, mode) != 0) return failed("change the mode of", path_);
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return failed("write", path_);
    text.remove_prefix(static_cast<size_t>(put));
  }
  if (::fsync(fd) != 0) return failed("write", path_);
  return {};
}

Result<void> Target::replace(ByteView text, unsigned mode, const std::optional<Owner>& owner) {
  remove_leavings();
  auto random = auth::random_bytes(8);
  if (!random) return random.error();
  const std::string temporary = cat('.', name_, kTemporary, auth::hex_encode(*random));
  const Descriptor file(::openat(directory_.get(), temporary.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (file.get() < 0) return failed("make a file beside", path_);
  auto written = write_all(file.get(), text, mode, owner);
  if (written && ::renameat(directory_.get(), temporary.c_str(), directory_.get(), name_.c_str()) != 0)
    written = failed("replace", path_);
  if (!written) {
    ::unlinkat(directory_.get(), temporary.c_str(), 0);
    return written;
  }
  if (::fsync(directory_.get()) != 0 && errno != EINVAL) return failed("secure the directory of", path_);
  return {};
}

}  // namespace pgweir::tools::userlist
