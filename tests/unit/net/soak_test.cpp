// Streams that move between two loops in two threads while bytes flow: what a hand-over of a server between workers is.
#include <atomic>
#include <deque>
#include <mutex>
#include <random>
#include <thread>

#include "net/tls.hpp"
#include "net/wakeup.hpp"
#include "unit/net/certificates.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

struct Traveller {
  Stream stream;
  uint64_t echoed = 0;
  bool moving = false;
  bool ended = false;
};

// A worker that echoes and sends each stream over after every few reads. The move is done after the batch.
class Worker : public StreamHandler, public Turn {
 public:
  Worker() : loop_(make_loop()) {
    wakeup_ = Wakeup::create(*loop_, [this] { take_in(); }).take();
  }
  void give(Traveller* traveller) {
    {
      std::lock_guard lock(mutex_);
      mailbox_.push_back(traveller);
    }
    wakeup_->notify();
  }
  void run(Worker& other, std::atomic<int>& living) {
    other_ = &other;
    living_ = &living;
    while (living > 0)
      loop_->run_once(*this);
    other.wakeup_->notify();
  }

  void on_readable(Stream& stream) override {
    auto& traveller = *static_cast<Traveller*>(stream.owner());
    char buffer[5000];
    int reads = 0;
    while (stream.maybe_readable() && reads++ < 4) {
      if (stream.unsent() > 0) return;  // back-pressure
      IoResult got = stream.read(buffer, sizeof buffer);
      if (got.status == IoStatus::kAgain) break;
      if (got.status != IoStatus::kOk) {
        traveller.ended = true;
        break;
      }
      traveller.echoed += got.bytes;
      EXPECT_TRUE(stream.send(ByteView(buffer, got.bytes)));
    }
    if (!traveller.moving) ready_.push_back(&traveller);
    traveller.moving = true;
  }
  void on_writable(Stream& stream) override { on_readable(stream); }

  void after_batch() override {
    for (Traveller* traveller : std::exchange(ready_, {})) {
      traveller->moving = false;
      if (traveller->ended) {
        traveller->stream.close();
        --*living_;
        continue;
      }
      traveller->stream.leave_loop();
      other_->give(traveller);
    }
  }
  void on_tick(Micros) override {}

 private:
  void take_in() {
    std::deque<Traveller*> came;
    {
      std::lock_guard lock(mutex_);
      came.swap(mailbox_);
    }
    for (Traveller* traveller : came) {
      EXPECT_TRUE(traveller->stream.join_loop(*loop_));
      traveller->stream.set_handler(this, traveller);
      on_readable(traveller->stream);
    }
  }

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Wakeup> wakeup_;
  Worker* other_ = nullptr;
  std::atomic<int>* living_ = nullptr;
  std::mutex mutex_;
  std::deque<Traveller*> mailbox_;
  std::vector<Traveller*> ready_;
};

TEST(Soak, StreamsTravelBetweenLoopsAndLoseNothing) {
  constexpr int kStreams = 6;
  constexpr size_t kBytes = 400'000;
  std::vector<std::unique_ptr<Traveller>> travellers;
  std::vector<Peer> peers;
  auto start = make_loop();
  for (int i = 0; i < kStreams; ++i) {
    auto [fd, peer] = i % 2 ? tcp_pair() : unix_pair();
    travellers.push_back(std::make_unique<Traveller>());
    ASSERT_TRUE(travellers.back()->stream.open(*start, fd));
    travellers.back()->stream.leave_loop();
    peers.push_back(std::move(peer));
  }
  std::atomic<int> living{kStreams};
  Worker one, two;
  for (auto& traveller : travellers)
    one.give(traveller.get());
  std::thread first([&] { one.run(two, living); });
  std::thread second([&] { two.run(one, living); });
  std::vector<std::thread> clients;
  for (int i = 0; i < kStreams; ++i)
    clients.emplace_back([&, i] {
      std::minstd_rand random(static_cast<unsigned>(i) + 1);
      std::string sent, got;
      while (got.size() < kBytes) {
        if (sent.size() < kBytes && sent.size() - got.size() < 100'000) {
          std::string part(1 + random() % 9000, static_cast<char>('a' + random() % 26));
          peers[static_cast<size_t>(i)].write(part);
          sent += part;
        } else {
          got += peers[static_cast<size_t>(i)].read(1 + random() % 20'000);
        }
      }
      while (got.size() < sent.size())
        got += peers[static_cast<size_t>(i)].read();
      EXPECT_EQ(sent, got);
      peers[static_cast<size_t>(i)].close();
    });
  for (auto& client : clients)
    client.join();
  first.join();
  second.join();
  for (auto& traveller : travellers)
    EXPECT_GE(traveller->echoed, kBytes);
}

// Handshakes on one context in many threads.
TEST(Soak, AContextIsSharedByThreads) {
  Certificates files;
  Identity ca = files.make("ca", "", nullptr);
  Identity who = files.make("db.example.com", "DNS:db.example.com", &ca);
  TlsOptions options;
  options.cert_file = who.cert_file;
  options.key_file = who.key_file;
  options.ca_file = ca.cert_file;
  options.mode = TlsMode::kPrefer;
  auto serving = TlsContext::server(options).take();
  options.mode = TlsMode::kVerifyFull;
  auto asking = TlsContext::client(options).take();
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      auto loop = make_loop();
      for (int i = 0; i < 10; ++i) {
        Stream server, client;
        auto [fd, peer] = unix_pair();
        ASSERT_TRUE(server.open(*loop, fd));
        ASSERT_TRUE(client.open(*loop, peer.release()));
        ASSERT_TRUE(server.start_tls_server(serving));
        ASSERT_TRUE(client.start_tls_client(asking, "db.example.com"));
        EXPECT_TRUE(run_until(*loop, [&] {
          IoResult one = client.handshake();
          IoResult two = server.handshake();
          EXPECT_NE(IoStatus::kError, one.status);
          EXPECT_NE(IoStatus::kError, two.status);
          return client.tls_ready() && server.tls_ready();
        }));
        EXPECT_TRUE(server.tls_peer_name_matches("db.example.com"));
      }
    });
  for (auto& thread : threads)
    thread.join();
}

}  // namespace
}  // namespace pgweir::net
