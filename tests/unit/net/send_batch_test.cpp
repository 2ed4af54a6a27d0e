// Batched sends mean what plain ones mean: nothing lost, nothing twice, order kept, what a socket refuses is kept, a
// broken peer breaks its own stream only. TLS: tls_test.cpp. Without io_uring on this machine only create()'s text is
// tested.
#include "net/send_batch.hpp"

#include <gmock/gmock.h>
#include <poll.h>

#include <deque>
#include <thread>

#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

struct SendBatchTest : testing::Test {
  struct Pair {
    Stream stream;
    Peer peer;
    Recorder seen;
  };
  std::unique_ptr<Loop> loop = make_loop();
  std::unique_ptr<SendBatch> batch;
  std::deque<Pair> pairs;

  bool make(size_t count, bool tcp = true) {
    auto made = SendBatch::create();
    if (!made) {
      EXPECT_THAT(made.error().message, testing::Not(testing::IsEmpty()));
      return false;
    }
    batch = made.take();
    for (size_t i = 0; i < count; ++i) {
      Pair& pair = pairs.emplace_back();
      auto [fd, peer] = tcp ? tcp_pair() : unix_pair();
      EXPECT_TRUE(pair.stream.open(*loop, fd));
      pair.stream.set_handler(&pair.seen, nullptr);
      pair.peer = std::move(peer);
    }
    return true;
  }
  // On a busy machine loopback delivers a little later.
  static std::string arrived(Pair& pair, size_t size) {
    std::string got;
    pollfd asked{pair.peer.fd(), POLLIN, 0};
    while (got.size() < size && poll(&asked, 1, 10000) > 0) {
      std::string part = pair.peer.read();
      if (part.empty()) break;
      got += part;
    }
    return got + pair.peer.read_now();
  }
  // The batch points to the text until it is submitted: never a temporary.
  void add(Pair& pair, std::string_view text) {
    ASSERT_TRUE(SendBatch::suits(pair.stream, text.size()));
    iovec piece{const_cast<char*>(text.data()), text.size()};
    batch->add(pair.stream, &piece, 1);
  }
};

TEST_F(SendBatchTest, EveryStreamGetsItsOwn) {
  for (bool tcp : {true, false}) {
    pairs.clear();
    if (!make(50, tcp)) return;
    std::deque<std::string> texts;
    for (size_t i = 0; i < pairs.size(); ++i)
      add(pairs[i], texts.emplace_back("message for " + std::to_string(i)));
    batch->submit();
    for (size_t i = 0; i < pairs.size(); ++i)
      EXPECT_EQ(texts[i], arrived(pairs[i], texts[i].size()));
    EXPECT_EQ(1u, batch->submissions());
  }
}

TEST_F(SendBatchTest, PiecesGoInTheirOrder) {
  if (!make(2)) return;
  std::string a = "one,", b = "two,", c = "three";
  iovec pieces[] = {{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  batch->add(pairs[0].stream, pieces, 3);
  pieces[0] = {};  // the array was copied
  add(pairs[1], c);
  batch->submit();
  EXPECT_EQ("one,two,three", arrived(pairs[0], 13));
  EXPECT_EQ("three", arrived(pairs[1], 5));
}

TEST_F(SendBatchTest, OneAloneIsAPlainSend) {
  if (!make(1)) return;
  add(pairs[0], "alone");
  batch->submit();
  batch->submit();
  EXPECT_EQ("alone", arrived(pairs[0], 5));
  EXPECT_EQ(0u, batch->submissions());
}

TEST_F(SendBatchTest, MoreThanTheRingHolds) {
  if (!make(8)) return;
  std::string expected;
  for (int round = 0; round < 100; ++round) {  // a stream may come again in the next batch, which add() begins itself
    for (auto& pair : pairs)
      add(pair, "x");
    if (round % 32 == 31) batch->submit();
    expected += "x";
  }
  batch->submit();
  for (auto& pair : pairs)
    EXPECT_EQ(expected, arrived(pair, expected.size()));
}

// A full socket: the rest is kept and goes when there is room; nothing overtakes it.
TEST_F(SendBatchTest, WhatASocketRefusesIsKept) {
  for (bool tcp : {true, false}) {
    pairs.clear();
    if (!make(2, tcp)) return;
    const std::string text(4000, 'r');
    size_t sent = 0;
    while (SendBatch::suits(pairs[0].stream, text.size())) {
      ASSERT_LT(sent, size_t{64} << 20);
      add(pairs[0], text);
      add(pairs[1], "s");
      batch->submit();
      sent += text.size();
      EXPECT_EQ("s", arrived(pairs[1], 1));
    }
    EXPECT_GT(pairs[0].stream.unsent(), 0u);
    ASSERT_TRUE(pairs[0].stream.send("end"));
    std::string got;
    std::thread reader([&] {
      while (got.size() < sent + 3) {
        std::string part = pairs[0].peer.read();
        if (part.empty()) return;
        got += part;
      }
    });
    EXPECT_TRUE(run_until(*loop, [&] { return pairs[0].seen.writable > 0; }));
    reader.join();
    EXPECT_EQ(std::string(sent, 'r') + "end", got);
  }
}

TEST_F(SendBatchTest, ABrokenPeerBreaksItsOwnStreamOnly) {
  if (!make(3)) return;
  pairs[1].peer.reset();
  add(pairs[0], "before");
  iovec piece{const_cast<char*>("lost"), 4};
  batch->add(pairs[1].stream, &piece, 1);
  add(pairs[2], "after");
  batch->submit();
  EXPECT_TRUE(pairs[1].stream.broken());
  EXPECT_FALSE(SendBatch::suits(pairs[1].stream, 1));
  EXPECT_EQ("before", arrived(pairs[0], 6));
  EXPECT_EQ("after", arrived(pairs[2], 5));
  EXPECT_TRUE(batch->works());
}

TEST_F(SendBatchTest, LargeClosedAndBusyStreamsDoNotSuit) {
  if (!make(1)) return;
  EXPECT_TRUE(SendBatch::suits(pairs[0].stream, SendBatch::kMostBytes));
  EXPECT_FALSE(SendBatch::suits(pairs[0].stream, SendBatch::kMostBytes + 1));
  Stream closed;
  EXPECT_FALSE(SendBatch::suits(closed, 1));
}

}  // namespace
}  // namespace pgweir::net
