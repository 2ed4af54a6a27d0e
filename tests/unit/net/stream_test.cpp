#include "net/stream.hpp"

#include <thread>

#include "net/outbox.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

struct StreamTest : testing::TestWithParam<bool> {
  std::unique_ptr<Loop> loop = make_loop();
  Recorder seen;
  Stream stream;
  Peer peer;

  void SetUp() override {
    auto [fd, other] = GetParam() ? tcp_pair() : unix_pair();
    peer = std::move(other);
    ASSERT_TRUE(stream.open(*loop, fd));
    stream.set_handler(&seen, this);
  }
  std::string drain(size_t size) {
    std::string got;
    EXPECT_TRUE(run_until(*loop, [&] {
      got += peer.read_now();
      return got.size() >= size;
    }));
    return got;
  }
};

INSTANTIATE_TEST_SUITE_P(Sockets, StreamTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Tcp" : "Unix"; });

TEST_P(StreamTest, ReadsAndKnowsWhenItIsDry) {
  EXPECT_FALSE(stream.maybe_readable());
  peer.write("hello");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "hello"; }));
  EXPECT_EQ(1, seen.readable);
  EXPECT_FALSE(stream.maybe_readable());
  EXPECT_EQ(this, stream.owner());
  char buffer[8];
  EXPECT_EQ(IoStatus::kAgain, stream.read(buffer, sizeof buffer).status);
}

TEST_P(StreamTest, ABufferThatWasFilledMayHaveMoreBehindIt) {
  seen.reads = false;
  peer.write("0123456789");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.readable > 0; }));
  char buffer[10];
  EXPECT_EQ(4u, stream.read(buffer, 4).bytes);
  EXPECT_TRUE(stream.maybe_readable());
  EXPECT_EQ(6u, stream.read(buffer, 6).bytes);
  EXPECT_TRUE(stream.maybe_readable());
  EXPECT_EQ(IoStatus::kAgain, stream.read(buffer, 6).status);
  EXPECT_FALSE(stream.maybe_readable());
}

TEST_P(StreamTest, DataAndEndTogetherAreBothRead) {
  peer.write("last words");
  peer.close();
  EXPECT_TRUE(run_until(*loop, [&] { return seen.ended; }));
  EXPECT_EQ("last words", seen.bytes);
  EXPECT_EQ(IoStatus::kEof, seen.last.status);
}

TEST_P(StreamTest, EndAfterDataIsToldByItsOwnEdge) {
  peer.write("a");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "a"; }));
  shutdown(peer.fd(), SHUT_WR);
  EXPECT_TRUE(run_until(*loop, [&] { return seen.ended; }));
  EXPECT_EQ(IoStatus::kEof, seen.last.status);
  EXPECT_TRUE(stream.send("still here"));
  EXPECT_EQ("still here", peer.read());
}

TEST_P(StreamTest, WithoutAHandlerEventsOnlyMark) {
  stream.set_handler(nullptr, nullptr);
  peer.write("x");
  EXPECT_TRUE(run_until(*loop, [&] { return stream.maybe_readable(); }));
  EXPECT_EQ(0, seen.readable);
}

TEST_P(StreamTest, ShortSendsAreKeptAndDrained) {
  const std::string big(8 << 20, 'b');
  ASSERT_TRUE(stream.send(big));
  EXPECT_GT(stream.unsent(), 0u);
  ASSERT_TRUE(stream.send("tail"));
  iovec piece{const_cast<char*>("no"), 2};
  EXPECT_EQ(IoStatus::kAgain, stream.write(&piece, 1).status);
  EXPECT_EQ(0, seen.writable);
  std::string got = drain(big.size() + 4);
  EXPECT_EQ(big + "tail", got);
  EXPECT_TRUE(run_until(*loop, [&] { return seen.writable == 1; }));
  EXPECT_EQ(0u, stream.unsent());
  EXPECT_GT(loop->chunks().kept(), 0u);
  ASSERT_TRUE(stream.send("again"));
  EXPECT_EQ(0u, stream.unsent());
  EXPECT_EQ("again", peer.read());
  run_for(*loop, 5 * kMillisecond);
  EXPECT_EQ(1, seen.writable);
}

TEST_P(StreamTest, ManyPiecesLeaveInOrder) {
  std::string one(3000, '1'), two(1, '2'), three(5 << 20, '3');
  iovec pieces[] = {{one.data(), one.size()}, {nullptr, 0}, {two.data(), two.size()}, {three.data(), three.size()}};
  ASSERT_TRUE(stream.send(pieces, 4));
  EXPECT_EQ(one + two + three, drain(one.size() + two.size() + three.size()));
  EXPECT_TRUE(stream.send(pieces, 0));
}

TEST_P(StreamTest, MorePiecesThanTheKernelTakes) {
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i)
    texts.push_back(std::to_string(i) + ",");
  std::vector<iovec> pieces;
  std::string all;
  for (auto& text : texts) {
    pieces.push_back({text.data(), text.size()});
    all += text;
  }
  ASSERT_TRUE(stream.send(pieces.data(), static_cast<int>(pieces.size())));
  EXPECT_EQ(all, drain(all.size()));
}

TEST_P(StreamTest, ExpectWritableTellsOnce) {
  ASSERT_TRUE(stream.expect_writable());
  EXPECT_TRUE(run_until(*loop, [&] { return seen.writable == 1; }));
  run_for(*loop, 5 * kMillisecond);
  EXPECT_EQ(1, seen.writable);
}

TEST_P(StreamTest, ABrokenSendLeavesLastWordsReadable) {
  seen.reads = false;
  peer.write("fatal: goodbye");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.readable > 0; }));
  peer.close();
  EXPECT_TRUE(test::wait_until([&] { return !stream.send("query"); }));
  EXPECT_TRUE(stream.broken());
  EXPECT_EQ(0u, stream.unsent());
  EXPECT_TRUE(stream.maybe_readable());
  char buffer[64];
  IoResult got = stream.read(buffer, sizeof buffer);
  if (GetParam()) {
    EXPECT_EQ(IoStatus::kOk, got.status);
  }
  if (got.status == IoStatus::kOk) {
    EXPECT_EQ("fatal: goodbye", std::string(buffer, got.bytes));
  }
  EXPECT_FALSE(stream.send("more"));
}

TEST_P(StreamTest, BreakingWhileBytesAreKeptIsTold) {
  ASSERT_TRUE(stream.send(std::string(8 << 20, 'x')));
  GetParam() ? peer.reset() : peer.close();
  EXPECT_TRUE(run_until(*loop, [&] { return seen.writable > 0 && seen.ended; }));
  EXPECT_TRUE(stream.broken());
  EXPECT_EQ(0u, stream.unsent());
}

TEST_P(StreamTest, ShutdownWaitsForWhatIsKept) {
  const std::string big(4 << 20, 's');
  ASSERT_TRUE(stream.send(big));
  ASSERT_GT(stream.unsent(), 0u);
  stream.shutdown_write();
  EXPECT_EQ(big.size(), drain(big.size()).size());
  EXPECT_TRUE(run_until(*loop, [&] { return seen.writable == 1; }));
  EXPECT_EQ("", peer.read());
  peer.write("answer");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "answer"; }));
}

TEST_P(StreamTest, CloseIsIdempotentAndReadsFail) {
  stream.close();
  stream.close();
  EXPECT_FALSE(stream.open());
  char buffer[4];
  EXPECT_EQ(IoStatus::kError, stream.read(buffer, 4).status);
  EXPECT_FALSE(stream.send("x"));
  EXPECT_EQ("", peer.read());
  run_for(*loop, 2 * kTick);
}

TEST_P(StreamTest, ReleasedDescriptorsStayOpen) {
  int fd = stream.release_fd();
  ASSERT_GE(fd, 0);
  EXPECT_EQ(-1, stream.release_fd());
  peer.write("y");
  char byte;
  EXPECT_EQ(1, recv(fd, &byte, 1, 0));
  close(fd);
}

TEST_P(StreamTest, AStreamMayBeOpenedAgain) {
  stream.close();
  auto [fd, other] = unix_pair();
  ASSERT_TRUE(stream.open(*loop, fd));
  other.write("second life");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "second life"; }));
}

TEST_P(StreamTest, MovesBetweenLoopsInTwoThreads) {
  const std::string big(4 << 20, 'm');
  ASSERT_TRUE(stream.send(big));
  ASSERT_GT(stream.unsent(), 0u);
  peer.write("came before the move");
  stream.leave_loop();
  Recorder there;
  std::thread other([&] {
    auto second = make_loop();
    ASSERT_TRUE(stream.join_loop(*second));
    stream.set_handler(&there, nullptr);
    EXPECT_TRUE(stream.maybe_readable());
    there.on_readable(stream);
    EXPECT_EQ("came before the move", there.bytes);
    std::string got;
    EXPECT_TRUE(run_until(*second, [&] {
      got += peer.read_now();
      return got.size() == big.size() && there.writable == 1;
    }));
    peer.write(" and after");
    EXPECT_TRUE(run_until(*second, [&] { return there.bytes == "came before the move and after"; }));
    stream.leave_loop();
  });
  other.join();
  ASSERT_TRUE(stream.join_loop(*loop));
  stream.set_handler(&seen, nullptr);
  seen.on_readable(stream);
  peer.write("home");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "home"; }));
}

TEST_P(StreamTest, KnowsWhoIsWho) {
  if (GetParam()) {
    EXPECT_EQ("127.0.0.1", stream.peer().host());
    EXPECT_GT(stream.peer().port(), 0);
    EXPECT_EQ("127.0.0.1", stream.local().host());
    EXPECT_FALSE(stream.local() == stream.peer());
  } else {
    EXPECT_EQ(getpid(), stream.peer().unix_pid());
    EXPECT_EQ(getuid(), stream.peer().unix_uid());
    EXPECT_TRUE(stream.local().is_unix());
  }
}

// libevent reports an error that comes with bytes as readable only, and edge triggering does not repeat it.
TEST(StreamEdge, ResetTogetherWithDataIsFoundByTheTick) {
  auto loop = make_loop();
  Recorder seen;
  Stream stream;
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(stream.open(*loop, fd));
  stream.set_handler(&seen, nullptr);
  peer.write("half a row");
  peer.reset();
  EXPECT_TRUE(run_until(
      *loop, [&] { return seen.ended; }, 2 * kSecond));
}

// Urgent data stops a read short of what is there.
TEST(StreamEdge, UrgentDataDoesNotHideTheRest) {
  auto loop = make_loop();
  Recorder seen;
  Stream stream;
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(stream.open(*loop, fd));
  stream.set_handler(&seen, nullptr);
  ASSERT_EQ(1, send(peer.fd(), "a", 1, 0));
  ASSERT_EQ(1, send(peer.fd(), "!", 1, MSG_OOB));
  ASSERT_EQ(1, send(peer.fd(), "b", 1, 0));
  EXPECT_TRUE(run_until(
      *loop, [&] { return seen.bytes == "ab"; }, 2 * kSecond));
}

// Descriptors passed along a unix socket stop a read, too; they must not pile up in our process either.
TEST(StreamEdge, PassedDescriptorsAreDropped) {
  auto loop = make_loop();
  Recorder seen;
  Stream stream;
  auto [fd, peer] = unix_pair();
  ASSERT_TRUE(stream.open(*loop, fd));
  stream.set_handler(&seen, nullptr);
  char control[CMSG_SPACE(sizeof(int))] = {};
  iovec piece{const_cast<char*>("a"), 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  int passed = 0;
  memcpy(CMSG_DATA(header), &passed, sizeof passed);
  int before = dup(0);
  close(before);
  ASSERT_EQ(1, sendmsg(peer.fd(), &message, 0));
  peer.write("b");
  EXPECT_TRUE(run_until(
      *loop, [&] { return seen.bytes == "ab"; }, 2 * kSecond));
  int after = dup(0);
  close(after);
  EXPECT_EQ(before, after);
}

TEST(StreamEdge, StreamsThatDieBeforeTheTickAreForgotten) {
  auto loop = make_loop();
  Recorder seen;
  auto [fd, peer] = tcp_pair();
  auto stream = std::make_unique<Stream>();
  ASSERT_TRUE(stream->open(*loop, fd));
  stream->set_handler(&seen, nullptr);
  peer.write("x");
  EXPECT_TRUE(run_until(*loop, [&] { return seen.bytes == "x"; }));
  stream.reset();
  run_for(*loop, 2 * kTick);
}

TEST(StreamEdge, ALongStreamArrivesWholeOverManyTurns) {
  auto loop = make_loop();
  Recorder seen;
  Stream stream;
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(stream.open(*loop, fd));
  stream.set_handler(&seen, nullptr);
  const std::string big(16 << 20, 'z');
  std::thread writer([&, to = peer.fd()] {
    for (size_t at = 0; at < big.size();) {
      ssize_t sent = send(to, big.data() + at, std::min<size_t>(big.size() - at, 100'000), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      at += static_cast<size_t>(sent);
    }
    shutdown(to, SHUT_WR);
  });
  EXPECT_TRUE(run_until(*loop, [&] { return seen.ended; }));
  writer.join();
  EXPECT_EQ(big.size(), seen.bytes.size());
}

TEST(Chunks, AppendGatherConsume) {
  ChunkPool pool;
  Outbox box;
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    std::string part = std::to_string(i) + std::string(static_cast<size_t>(i % 97), '.');
    ASSERT_TRUE(box.append(part.data(), part.size(), pool));
    all += part;
  }
  EXPECT_EQ(all.size(), box.size);
  std::string got;
  while (box.size > 0) {
    iovec pieces[2];
    int count = box.gather(pieces, 2);
    ASSERT_GT(count, 0);
    size_t take = std::min<size_t>(pieces[0].iov_len, 1 + got.size() % 5000);
    got.append(static_cast<char*>(pieces[0].iov_base), take);
    box.consume(take, pool);
  }
  EXPECT_EQ(all, got);
  ASSERT_TRUE(box.append(all.data(), all.size(), pool));
  for (int i = 0; i < 300; ++i)
    ASSERT_TRUE(box.append(all.data(), all.size(), pool));
  box.clear(&pool);
  EXPECT_EQ(64u, pool.kept());
}

}  // namespace
}  // namespace pgweir::net
