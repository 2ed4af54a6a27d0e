#include "net/gather.hpp"

#include <netinet/tcp.h>

#include <thread>

#include "net/dial.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

constexpr size_t kPart = size_t{8} * 1024;

int low_water(int fd) {
  int bytes = -1;
  socklen_t size = sizeof bytes;
  EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &size));
  return bytes;
}

struct GatherTest : testing::Test {
  std::unique_ptr<Loop> loop = make_loop();
  Recorder seen;
  Stream stream;
  Peer peer;
  size_t sent = 0;

  void SetUp() override {
    loop->set_gather(true);
    open(tcp_pair());
  }
  void open(std::pair<int, Peer> pair) {
    peer = std::move(pair.second);
    ASSERT_TRUE(stream.open(*loop, pair.first));
    stream.set_handler(&seen, this);
  }
  void write(size_t bytes) {
    peer.write(std::string(bytes, 'x'));
    sent += bytes;
  }
  bool all_read() {
    return run_until(*loop, [&] { return seen.bytes.size() == sent; });
  }
  // Part for part, each of them read before the next one comes.
  void flow(size_t bytes = Gather::kFlow) {
    for (size_t done = 0; done < bytes; done += kPart) {
      write(kPart);
      ASSERT_TRUE(all_read());
    }
  }
};

TEST_F(GatherTest, BeginsWhenManyBytesHaveComeOneWay) {
  flow(Gather::kFlow - kPart);
  EXPECT_FALSE(stream.flows());
  EXPECT_EQ(1, low_water(stream.fd()));
  flow(kPart);
  EXPECT_TRUE(stream.flows());
  EXPECT_EQ(Gather::kEnough, low_water(stream.fd()));
  EXPECT_EQ(1u, loop->gather()->streams());
}

TEST_F(GatherTest, WhatComesShortOfTheMarkIsReadAllTheSame) {
  flow();
  write(10);
  EXPECT_TRUE(all_read());
  EXPECT_FALSE(stream.flows()) << "so small a read ends the flow";
  EXPECT_EQ(1, low_water(stream.fd()));
}

TEST_F(GatherTest, EndsByItselfWhenNothingMoreComes) {
  flow();
  EXPECT_TRUE(run_until(*loop, [&] { return !stream.flows(); }));
  EXPECT_EQ(1, low_water(stream.fd()));
  EXPECT_EQ(0u, loop->gather()->streams());
  write(kPart);
  EXPECT_TRUE(all_read());
  EXPECT_FALSE(stream.flows()) << "it counts anew";
}

TEST_F(GatherTest, AWordFromHereEndsIt) {
  flow();
  EXPECT_TRUE(stream.send("thanks"));
  EXPECT_FALSE(stream.flows());
  EXPECT_EQ(1, low_water(stream.fd()));
  EXPECT_EQ("thanks", peer.read());
}

TEST_F(GatherTest, AConversationNeverFlowsHoweverLongItGoesOn) {
  for (int turn = 0; turn < 5; ++turn) {
    flow(Gather::kFlow / 2);
    EXPECT_TRUE(stream.send("go on"));
    EXPECT_FALSE(stream.flows());
  }
  EXPECT_EQ(1, low_water(stream.fd()));
}

TEST_F(GatherTest, TheEndIsTold) {
  flow();
  write(kPart);
  peer.close();
  EXPECT_TRUE(run_until(*loop, [&] { return seen.ended; }));
  EXPECT_EQ(sent, seen.bytes.size());
}

TEST_F(GatherTest, ManyBytesAtAFullSpeedArriveAll) {
  const size_t all = size_t{64} * 1024 * 1024;
  std::thread writer([&] {
    std::string part(kPart, 'y');
    for (size_t done = 0; done < all; done += kPart)
      ASSERT_EQ(static_cast<ssize_t>(kPart), ::send(peer.fd(), part.data(), kPart, MSG_NOSIGNAL));
  });
  EXPECT_TRUE(run_until(
      *loop, [&] { return seen.bytes.size() == all; }, 60 * kSecond));
  writer.join();
}

// Who may not read at the moment comes back by itself; nobody is called for it, and the flow is over.
TEST_F(GatherTest, IsNotPressedUponWhoDoesNotRead) {
  flow();
  seen.reads = false;
  const int before = seen.readable;
  write(size_t{2} * Gather::kEnough);
  EXPECT_TRUE(run_until(*loop, [&] { return !stream.flows(); }));
  EXPECT_TRUE(stream.maybe_readable());
  EXPECT_LE(seen.readable - before, 2);
  seen.reads = true;
  seen.on_readable(stream);
  EXPECT_TRUE(all_read());
}

TEST_F(GatherTest, AnotherLoopGetsAStreamLikeAnyOther) {
  flow();
  auto other = make_loop();
  stream.leave_loop();
  EXPECT_EQ(1, low_water(stream.fd()));
  EXPECT_EQ(0u, loop->gather()->streams());
  ASSERT_TRUE(stream.join_loop(*other));
  write(10);
  EXPECT_TRUE(run_until(*other, [&] { return seen.bytes.size() == sent; }));
  stream.close();
}

TEST_F(GatherTest, ADescriptorThatIsGivenAwayHasNoMark) {
  flow();
  Peer given(stream.release_fd());
  EXPECT_EQ(1, low_water(given.fd()));
}

TEST_F(GatherTest, CanBeSwitchedOffMeanwhile) {
  flow();
  loop->set_gather(false);
  EXPECT_FALSE(stream.flows());
  EXPECT_EQ(1, low_water(stream.fd()));
  flow(2 * Gather::kFlow);
  EXPECT_FALSE(stream.flows());
}

TEST_F(GatherTest, AUnixSocketIsLeftAlone) {
  stream.close();
  open(unix_pair());
  flow(2 * Gather::kFlow);
  EXPECT_FALSE(stream.flows());
}

// The timer calls handlers, and these may close any stream.
TEST_F(GatherTest, AHandlerMayCloseOtherStreamsThatFlow) {
  struct Closer : Recorder {
    Stream* other = nullptr;
    void on_readable(Stream& stream) override {
      if (other) other->close();
      Recorder::on_readable(stream);
    }
  };
  Closer closers[3];
  Stream streams[3];
  Peer peers[3];
  for (int i = 0; i < 3; ++i) {
    auto [fd, other] = tcp_pair();
    peers[i] = std::move(other);
    ASSERT_TRUE(streams[i].open(*loop, fd));
    streams[i].set_handler(&closers[i], nullptr);
    size_t done = 0;
    while (done < Gather::kFlow) {
      peers[i].write(std::string(kPart, 'z'));
      done += kPart;
      ASSERT_TRUE(run_until(*loop, [&] { return closers[i].bytes.size() == done; }));
    }
  }
  for (int i = 0; i < 3; ++i)
    closers[i].other = &streams[(i + 1) % 3];
  peers[0].write(std::string(kPart, 'z'));
  EXPECT_TRUE(run_until(*loop, [&] { return loop->gather()->streams() == 0; }));
  EXPECT_FALSE(streams[1].open());
  for (Stream& each : streams)
    each.close();
}

std::string congestion_control(int fd) {
  char name[16] = {};
  socklen_t size = sizeof name;
  EXPECT_EQ(0, getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size));
  return name;
}

TEST(Pacing, IsLeftToConnectionsThatLeaveThisMachine) {
  EXPECT_TRUE(paces("bbr"));
  EXPECT_TRUE(paces("bbr2"));
  EXPECT_FALSE(paces("cubic"));
  EXPECT_FALSE(paces("reno"));
  auto [fd, peer] = tcp_pair();
  Peer own(fd);
  const std::string before = congestion_control(fd);
  do_not_pace(fd, *Address::parse_ip("192.0.2.1", 5432));
  EXPECT_EQ(before, congestion_control(fd));
  do_not_pace(fd, *Address::parse_ip("127.0.0.1", 5432));
  EXPECT_EQ(paces(before) ? "reno" : before, congestion_control(fd));
}

TEST(Pacing, KnowsWhatStaysHere) {
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"})
    EXPECT_TRUE(Address::parse_ip(text, 1)->is_loopback()) << text;
  for (const char* text : {"128.0.0.1", "10.0.0.1", "::", "::2", "fe80::1", "::ffff:10.0.0.1"})
    EXPECT_FALSE(Address::parse_ip(text, 1)->is_loopback()) << text;
  EXPECT_FALSE(Address::unix_peer(1, 1).is_loopback());
  EXPECT_FALSE(Address().is_loopback());
}

}  // namespace
}  // namespace pgweir::net
