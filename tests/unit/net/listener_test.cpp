#include "net/listener.hpp"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>

#include "net/dial.hpp"
#include "net/task.hpp"
#include "net/wait.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

struct Taker : AcceptHandler {
  void on_accept(int fd, Listener& listener) override {
    taken.emplace_back(fd);
    peers.push_back(listener.last_peer());
    if (pause_after && static_cast<int>(taken.size()) == pause_after) listener.pause();
  }
  void on_accept_failed(int error, Listener&) override { errors.push_back(error); }
  std::vector<Peer> taken;
  std::vector<Address> peers;
  std::vector<int> errors;
  int pause_after = 0;
};

struct ListenerTest : testing::Test {
  std::unique_ptr<Loop> loop = make_loop();
  Taker taker;
  std::string folder;

  void SetUp() override {
    char name[] = "/tmp/pgweir-net-XXXXXX";
    folder = mkdtemp(name);
  }
  void TearDown() override { ASSERT_EQ(0, std::system(("rm -rf " + folder).c_str())); }
  std::unique_ptr<Listener> listen_tcp(const char* host = "127.0.0.1") {
    ListenOptions options;
    auto made = Listener::tcp(*loop, *Address::parse_ip(host, 0), options, taker);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return made.take();
  }
  int dial(const Address& to) {
    auto fd = begin_connect(to, {});
    EXPECT_TRUE(fd.ok()) << (fd.ok() ? "" : fd.error().message);
    return fd.ok() ? *fd : -1;
  }
  bool takes(size_t count) {
    return run_until(*loop, [&] { return taker.taken.size() >= count; });
  }
};

TEST_F(ListenerTest, AcceptsTcpNonBlockingWithNoDelay) {
  auto listener = listen_tcp();
  EXPECT_GT(listener->address().port(), 0);
  Peer client(dial(listener->address()));
  ASSERT_TRUE(takes(1));
  int fd = taker.taken[0].fd();
  EXPECT_TRUE(fcntl(fd, F_GETFL) & O_NONBLOCK);
  EXPECT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  int on = 0;
  socklen_t size = sizeof on;
  getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size);
  EXPECT_TRUE(on);
  EXPECT_EQ("127.0.0.1", taker.peers[0].host());
  Stream stream;
  ASSERT_TRUE(stream.open(*loop, taker.taken[0].release(), taker.peers[0]));
  EXPECT_EQ(taker.peers[0], stream.peer());
}

TEST_F(ListenerTest, AcceptsMoreThanOneBatch) {
  auto listener = listen_tcp();
  std::vector<Peer> clients;
  for (int i = 0; i < kAcceptsPerEvent + 40; ++i)
    clients.emplace_back(dial(listener->address()));
  EXPECT_TRUE(takes(kAcceptsPerEvent + 40));
}

TEST_F(ListenerTest, PauseAndResume) {
  auto listener = listen_tcp();
  taker.pause_after = 1;
  std::vector<Peer> clients;
  for (int i = 0; i < 3; ++i)
    clients.emplace_back(dial(listener->address()));
  ASSERT_TRUE(takes(1));
  run_for(*loop, 20 * kMillisecond);
  EXPECT_EQ(1u, taker.taken.size());
  EXPECT_TRUE(listener->paused());
  taker.pause_after = 0;
  listener->resume();
  EXPECT_TRUE(takes(3));
}

TEST_F(ListenerTest, RestsWhenDescriptorsRunOut) {
  auto listener = listen_tcp();
  Peer first(dial(listener->address()));
  ASSERT_TRUE(takes(1));  // ubsan needs a descriptor when it first checks a type
  Peer client(dial(listener->address()));
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  int next = dup(0);
  close(next);
  rlimit none{static_cast<rlim_t>(next), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);
  const bool refused = run_until(*loop, [&] { return !taker.errors.empty(); });
  run_for(*loop, 20 * kMillisecond);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(refused);
  EXPECT_EQ(std::vector<int>{EMFILE}, taker.errors);  // once
  run_for(*loop, 20 * kMillisecond);
  EXPECT_EQ(1U, taker.taken.size());
  listener->resume();
  EXPECT_TRUE(takes(2));
}

TEST_F(ListenerTest, TellsWhyItCannotListen) {
  auto first = listen_tcp();
  auto second = Listener::tcp(*loop, first->address(), {}, taker);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ("bind(): Address already in use", second.error().message);
  EXPECT_FALSE(Listener::tcp(*loop, *Address::parse_ip("192.0.2.1", 0), {}, taker).ok());
  EXPECT_FALSE(Listener::tcp(*loop, Address(), {}, taker).ok());
}

TEST_F(ListenerTest, ReuseportSharesAPort) {
  ListenOptions options;
  options.reuseport = true;
  auto first = Listener::tcp(*loop, *Address::parse_ip("127.0.0.1", 0), options, taker);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(Listener::tcp(*loop, (*first)->address(), options, taker).ok());
}

TEST_F(ListenerTest, DeferAcceptMayBeToggled) {
  auto listener = listen_tcp();
  auto seconds = [&] {
    int value = 0;
    socklen_t size = sizeof value;
    getsockopt(listener->fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &size);
    return value;
  };
  EXPECT_EQ(0, seconds());
  listener->set_defer_accept(true);
  EXPECT_GT(seconds(), 0);
  listener->set_defer_accept(false);
  EXPECT_EQ(0, seconds());
}

TEST_F(ListenerTest, UnixSocketsHaveTheirModeAndReplaceStaleOnes) {
  std::string path = folder + "/.s.PGSQL.6432";
  UnixListenOptions options;
  options.mode = 0620;
  options.group = std::to_string(getgid());
  {
    auto stale = Listener::unix_socket(*loop, path, options, taker);
    ASSERT_TRUE(stale.ok()) << stale.error().message;
    EXPECT_TRUE(unix_socket_in_use(path));
  }
  EXPECT_FALSE(unix_socket_in_use(path));
  auto listener = Listener::unix_socket(*loop, path, options, taker);
  ASSERT_TRUE(listener.ok());
  struct stat status;
  ASSERT_EQ(0, stat(path.c_str(), &status));
  EXPECT_EQ(0620u, status.st_mode & 0777u);
  EXPECT_EQ("unix:" + path, (*listener)->address().text());
  Peer client(dial(*Address::unix_path(path)));
  ASSERT_TRUE(takes(1));
  Stream stream;
  ASSERT_TRUE(stream.open(*loop, taker.taken[0].release(), taker.peers[0]));
  EXPECT_EQ(getpid(), stream.peer().unix_pid());
  (*listener)->remove_file();
  EXPECT_NE(0, stat(path.c_str(), &status));
}

TEST_F(ListenerTest, AbstractNamesWork) {
  std::string name = "@pgweir-test-" + std::to_string(getpid());
  auto listener = Listener::unix_socket(*loop, name, {}, taker);
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(name, (*listener)->address().path());
  EXPECT_TRUE(unix_socket_in_use(name));
  EXPECT_TRUE(takes(1));
}

TEST_F(ListenerTest, UnixErrorsLeaveNothingBehind) {
  std::string path = folder + "/file";
  std::ofstream(path) << "precious";
  EXPECT_FALSE(Listener::unix_socket(*loop, path, {}, taker).ok());
  struct stat status;
  ASSERT_EQ(0, stat(path.c_str(), &status));
  EXPECT_TRUE(S_ISREG(status.st_mode));
  UnixListenOptions options;
  options.group = "no such group";
  auto refused = Listener::unix_socket(*loop, folder + "/socket", options, taker);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ("getgrnam(): no group \"no such group\"", refused.error().message);
  EXPECT_NE(0, stat((folder + "/socket").c_str(), &status));
  EXPECT_FALSE(Listener::unix_socket(*loop, "/nonexistent/dir/socket", {}, taker).ok());
  EXPECT_FALSE(Listener::unix_socket(*loop, std::string(200, 'x'), {}, taker).ok());
}

TEST_F(ListenerTest, AdoptsListeningSocketsOnly) {
  auto original = listen_tcp();
  int copy = dup(original->fd());
  Address address = original->address();
  original.reset();
  auto adopted = Listener::adopt(*loop, copy, taker);
  ASSERT_TRUE(adopted.ok());
  EXPECT_EQ(address, (*adopted)->address());
  Peer client(dial(address));
  EXPECT_TRUE(takes(1));
  EXPECT_FALSE(Listener::adopt(*loop, client.fd(), taker).ok());
  EXPECT_FALSE(Listener::adopt(*loop, -1, taker).ok());
}

TEST(ResolveListen, ItemsBecomeAddresses) {
  auto all = resolve_listen("*", 6432);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(2u, all->size());
  EXPECT_EQ("0.0.0.0:6432", (*all)[0].text());
  EXPECT_EQ("[::]:6432", (*all)[1].text());
  auto one = resolve_listen("::1", 1);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ("[::1]:1", (*one)[0].text());
  auto local = resolve_listen("localhost", 77);
  ASSERT_TRUE(local.ok());
  EXPECT_EQ(77, (*local)[0].port());
  auto none = resolve_listen("no-such-host.invalid", 6432);
  ASSERT_FALSE(none.ok());
  EXPECT_TRUE(none.error().message.starts_with("getaddrinfo('no-such-host.invalid', '6432') = "));
}

Task<> connect_to(Loop& loop, Stream& stream, Address to, int& error) {
  Result<int> fd = begin_connect(to, {});
  error = -1;
  if (!fd) co_return;
  if (!stream.open(loop, *fd)) co_return;
  Waited waited = co_await writable(stream, loop.now() + kSecond);
  error = waited == Waited::kTimeout ? ETIMEDOUT : connect_error(stream.fd());
}

TEST_F(ListenerTest, ConnectsWithoutBlocking) {
  auto listener = listen_tcp();
  Stream stream;
  Spawned root;
  int error = 0;
  root.start(*loop, connect_to(*loop, stream, listener->address(), error));
  EXPECT_TRUE(run_until(*loop, [&] { return !root.active(); }));
  EXPECT_EQ(0, error);
  EXPECT_FALSE(stream.connecting());
  EXPECT_EQ(listener->address(), stream.peer());
  ASSERT_TRUE(stream.send("hi"));
  ASSERT_TRUE(takes(1));
  EXPECT_EQ("hi", taker.taken[0].read());
}

TEST_F(ListenerTest, RefusedConnectsSayWhy) {
  Address closed = listen_tcp()->address();
  Stream stream;
  Spawned root;
  int error = 0;
  root.start(*loop, connect_to(*loop, stream, closed, error));
  EXPECT_TRUE(run_until(*loop, [&] { return !root.active(); }));
  EXPECT_EQ(ECONNREFUSED, error);
  auto missing = begin_connect(*Address::unix_path(folder + "/nobody"), {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ("connect(): No such file or directory", missing.error().message);
  EXPECT_FALSE(begin_connect(Address(), {}).ok());
}

TEST_F(ListenerTest, ABlackHoleTimesOut) {
  // A listener that never accepts, its queue full: SYNs are dropped.
  Peer sink(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage raw;
  socklen_t size = Address::parse_ip("127.0.0.1", 0)->to_sockaddr(raw);
  ASSERT_EQ(0, bind(sink.fd(), reinterpret_cast<sockaddr*>(&raw), size));
  ASSERT_EQ(0, listen(sink.fd(), 0));
  getsockname(sink.fd(), reinterpret_cast<sockaddr*>(&raw), &size);
  Address full = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
  std::vector<Peer> queued;
  for (int i = 0; i < 4; ++i)
    queued.emplace_back(dial(full));
  const auto is_full = [&] {
    tcp_info info{};
    socklen_t length = sizeof info;
    return getsockopt(sink.fd(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_unacked > info.tcpi_sacked;
  };
  ASSERT_TRUE(test::wait_until(is_full));
  Stream stream;
  Spawned root;
  int error = 0;
  root.start(*loop, connect_to(*loop, stream, full, error));
  EXPECT_TRUE(stream.connecting());
  EXPECT_TRUE(stream.send("kept until connected"));
  EXPECT_TRUE(run_until(*loop, [&] { return !root.active(); }));
  EXPECT_EQ(ETIMEDOUT, error);
}

TEST(SocketOptions, AreApplied) {
  auto [fd, peer] = tcp_pair();
  Peer own(fd);
  SocketOptions options;
  options.keepcnt = 3;
  options.keepidle = 40;
  options.keepintvl = 5;
  options.user_timeout = 9000;
  options.socket_buffer = 65536;
  apply_socket_options(fd, options);
  auto value = [fd = fd](int level, int name) {
    int out = -1;
    socklen_t size = sizeof out;
    getsockopt(fd, level, name, &out, &size);
    return out;
  };
  EXPECT_EQ(1, value(SOL_SOCKET, SO_KEEPALIVE));
  EXPECT_EQ(3, value(IPPROTO_TCP, TCP_KEEPCNT));
  EXPECT_EQ(40, value(IPPROTO_TCP, TCP_KEEPIDLE));
  EXPECT_EQ(5, value(IPPROTO_TCP, TCP_KEEPINTVL));
  EXPECT_EQ(9000, value(IPPROTO_TCP, TCP_USER_TIMEOUT));
  EXPECT_EQ(2 * 65536, value(SOL_SOCKET, SO_SNDBUF));
}

}  // namespace
}  // namespace pgweir::net
