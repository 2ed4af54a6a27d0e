// What leaves a worker in a batch: order, one send a socket, memory that lives until the flush, broken and forgotten
// ends.
#include "session/outbox.hpp"

#include <gtest/gtest.h>

#include <deque>

#include "base/text.hpp"
#include "unit/net/support.hpp"

namespace pgweir::session {
namespace {

class OutboxTest : public testing::Test {
 protected:
  End& end() {
    auto [fd, peer] = net::unix_pair();
    peers.push_back(std::move(peer));
    End& made = ends.emplace_back();
    EXPECT_TRUE(made.stream.open(*loop, fd));
    made.stream.set_handler(&seen, nullptr);
    return made;
  }
  std::string got(size_t peer = 0) { return peers.at(peer).read_now(); }

  std::unique_ptr<net::Loop> loop = net::make_loop();
  net::Recorder seen;
  std::deque<net::Peer> peers;
  std::deque<End> ends;
  Outbox outbox;
};

TEST_F(OutboxTest, KeepsOrderAndSendsOncePerSocket) {
  End& first = end();
  End& second = end();
  outbox.add(first, "one ");
  outbox.add(second, "uno ");
  outbox.add_copy(first, "two ");
  outbox.add(second, "due ");
  outbox.add(first, "three");
  EXPECT_TRUE(outbox.pending(first) && outbox.pending(second));
  EXPECT_EQ("", got(0)) << "nothing leaves before the flush";
  outbox.flush();
  EXPECT_EQ("one two three", got(0));
  EXPECT_EQ("uno due ", got(1));
  EXPECT_EQ(2u, outbox.sends());
  EXPECT_EQ(1u, outbox.flushes());
  EXPECT_TRUE(outbox.empty());
  EXPECT_FALSE(outbox.pending(first) || outbox.pending(second));
}

TEST_F(OutboxTest, AnEmptyFlushAndNothingToAddCostNothing) {
  End& to = end();
  outbox.add(to, "");
  outbox.flush();
  EXPECT_FALSE(outbox.pending(to));
  EXPECT_EQ(0u, outbox.sends());
  EXPECT_EQ(0u, outbox.flushes());
}

TEST_F(OutboxTest, MoreThanOneCallTakesInOrder) {
  End& to = end();
  std::string wanted;
  for (int at = 0; at < 1000; ++at) {
    const std::string piece = cat("[", at, "]");
    outbox.add(to, outbox.scribble(piece));
    outbox.scribble("-");  // so that no two pieces lie side by side
    wanted += piece;
  }
  outbox.flush();
  EXPECT_EQ(wanted, got());
  EXPECT_EQ(4u, outbox.sends()) << "1000 pieces, 256 a call";
}

TEST_F(OutboxTest, NeighboursInMemoryAreOnePiece) {
  End& to = end();
  char* at = outbox.slot(Outbox::kSlot);
  for (int piece = 0; piece < 1000; ++piece) {
    std::copy_n("0123456789", 10, at + piece * 10);
    outbox.add(to, ByteView(at + piece * 10, 10));
  }
  outbox.keep(10'000);
  outbox.flush();
  EXPECT_EQ(10'000u, got().size());
  EXPECT_EQ(1u, outbox.sends());
}

TEST_F(OutboxTest, ScribbleLivesUntilTheFlushWhateverItsSize) {
  End& to = end();
  std::string wanted;
  std::vector<std::pair<ByteView, std::string>> copies;
  for (size_t size : {1u, 40'000u, 30'000u, 33'000u, 64u * 1024u, 20'000u, 200'000u, 3u}) {
    const std::string bytes(size, static_cast<char>('a' + copies.size()));
    copies.emplace_back(outbox.scribble(bytes), bytes);
  }
  for (const auto& [view, bytes] : copies) {
    EXPECT_TRUE(view == bytes) << bytes.size();
    outbox.add(to, view);
    wanted += bytes;
  }
  std::string all;
  outbox.flush();
  EXPECT_TRUE(net::run_until(*loop, [&] {
    all += got();
    return all.size() >= wanted.size();
  }));
  EXPECT_TRUE(all == wanted);
}

TEST_F(OutboxTest, AFullArenaFlushesFirst) {
  End& to = end();
  std::string wanted;
  for (size_t read = 0; read < 2 * Outbox::kArena / Outbox::kSlot; ++read) {
    char* at = outbox.slot(Outbox::kSlot);
    std::fill_n(at, 1000, static_cast<char>('a' + read % 26));
    outbox.add(to, ByteView(at, 1000));
    outbox.keep(Outbox::kSlot);
    wanted += std::string(1000, static_cast<char>('a' + read % 26));
  }
  EXPECT_EQ(1u, outbox.flushes());
  outbox.flush();
  EXPECT_EQ(wanted, got());
}

TEST_F(OutboxTest, ReadsDoNotOverwriteWhatIsQueued) {
  End& to = end();
  char* first = outbox.slot(Outbox::kSlot);
  std::fill_n(first, 100, 'x');
  outbox.keep(100);
  outbox.add(to, ByteView(first, 100));
  char* second = outbox.slot(Outbox::kSlot);
  std::fill_n(second, 1000, 'y');
  outbox.flush();
  EXPECT_EQ(std::string(100, 'x'), got());
}

TEST_F(OutboxTest, OneEndAlone) {
  End& hasty = end();
  End& calm = end();
  outbox.add(hasty, "now");
  outbox.add(calm, "later");
  outbox.flush_end(hasty);
  EXPECT_EQ("now", got(0));
  EXPECT_EQ("", got(1));
  EXPECT_FALSE(outbox.pending(hasty));
  outbox.flush_end(hasty);  // nothing there: nothing happens
  outbox.add(hasty, "again");
  outbox.flush();
  EXPECT_EQ("again", got(0));
  EXPECT_EQ("later", got(1));
}

TEST_F(OutboxTest, TheForgottenGetNothingMore) {
  End& gone = end();
  End& stays = end();
  outbox.add(gone, "never");
  outbox.add(stays, "kept");
  outbox.forget(gone);
  EXPECT_FALSE(outbox.pending(gone));
  outbox.add(gone, "of a new life");
  outbox.flush();
  EXPECT_EQ("of a new life", got(0));
  EXPECT_EQ("kept", got(1));
}

TEST_F(OutboxTest, AnEndMayDieBetweenForgetAndFlush) {
  auto mortal = std::make_unique<End>();
  auto [fd, peer] = net::unix_pair();
  ASSERT_TRUE(mortal->stream.open(*loop, fd));
  outbox.add(*mortal, "never");
  outbox.forget(*mortal);
  mortal.reset();
  outbox.flush();
  EXPECT_EQ("", peer.read());
}

TEST_F(OutboxTest, BrokenEndsAreToldAfterTheBatch) {
  End& broken = end();
  End& fine = end();
  peers[0].close();
  for (int turn = 0; turn < 3; ++turn) {
    outbox.add_copy(broken, "lost");
    outbox.add_copy(fine, "sent");
    outbox.flush();
  }
  EXPECT_EQ("sentsentsent", got(1));
  EXPECT_EQ(&broken, outbox.take_broken());
  while (End* again = outbox.take_broken())
    EXPECT_EQ(&broken, again);
}

TEST_F(OutboxTest, ABrokenEndThatIsForgottenIsNotTold) {
  End& broken = end();
  peers[0].close();
  outbox.add(broken, "lost");
  outbox.flush();
  EXPECT_TRUE(broken.stream.broken());
  outbox.forget(broken);
  EXPECT_EQ(nullptr, outbox.take_broken());
}

TEST_F(OutboxTest, WhatASocketRefusesGoesOutInOrderLater) {
  End& slow = end();
  std::string wanted;
  for (int at = 0; at < 40; ++at) {
    const std::string bytes(50'000, static_cast<char>('a' + at % 26));
    outbox.add_copy(slow, bytes);
    outbox.flush();
    wanted += bytes;
  }
  EXPECT_GT(slow.stream.unsent(), 0u);
  std::string all;
  EXPECT_TRUE(net::run_until(*loop, [&] {
    all += got();
    return all.size() >= wanted.size();
  }));
  EXPECT_TRUE(all == wanted);
  EXPECT_EQ(0u, slow.stream.unsent());
}

}  // namespace
}  // namespace pgweir::session
