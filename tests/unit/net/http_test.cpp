// The HTTP server for monitors, over a real socket.
#include "net/http.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace pgweir::net {
namespace {

class Http : public ::testing::Test, public Turn {
 protected:
  void SetUp() override {
    auto made = Loop::create();
    ASSERT_TRUE(made.ok());
    loop = made.take();
    // A port of the kernel's choice: bound and given back.
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(0, bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    socklen_t size = sizeof address;
    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
    close(fd);
  }

  void serve(HttpServer::Handler handler) {
    auto made = HttpServer::create(*loop, {*Address::parse_ip("127.0.0.1", port)}, std::move(handler));
    ASSERT_TRUE(made.ok()) << made.error().message;
    server = made.take();
  }

  // What the server sends for `request` until it closes, or `expected` bytes have come.
  std::string ask(const std::string& request, const std::string& until, int most_turns = 200) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(0, connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    EXPECT_EQ(static_cast<ssize_t>(request.size()), send(fd, request.data(), request.size(), MSG_NOSIGNAL));
    std::string got;
    for (int turns = 0; turns < most_turns && got.find(until) == std::string::npos; ++turns) {
      loop->run_once(*this);
      char bytes[4096];
      ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (size == 0) break;
      if (size > 0) got.append(bytes, static_cast<size_t>(size));
    }
    close(fd);
    return got;
  }

  void after_batch() override {}
  void on_tick(Micros) override {}

  std::unique_ptr<Loop> loop;
  std::unique_ptr<HttpServer> server;
  int port = 0;
};

TEST_F(Http, Answers) {
  std::string path;
  std::string accept;
  serve([&](const std::shared_ptr<HttpRequest>& request) {
    path = request->path();
    accept = request->header("accept");
    request->answer(200, "text/plain", "figures\n");
  });
  std::string got = ask("GET /metrics?x=1 HTTP/1.1\r\nHost: h\r\nAccept: a/b\r\n\r\n", "figures\n");
  EXPECT_EQ("/metrics", path);
  EXPECT_EQ("a/b", accept);
  EXPECT_TRUE(got.starts_with("HTTP/1.1 200 ")) << got;
  EXPECT_NE(std::string::npos, got.find("Content-Type: text/plain\r\n")) << got;
  EXPECT_NE(std::string::npos, got.find("Content-Length: 8\r\n")) << got;
}

TEST_F(Http, AnswersLaterAndNotAtAll) {
  std::shared_ptr<HttpRequest> kept;
  serve([&](const std::shared_ptr<HttpRequest>& request) {
    if (request->path() == "/later") kept = request;
  });
  EXPECT_TRUE(ask("GET /never HTTP/1.1\r\nHost: h\r\n\r\n", "no answer").starts_with("HTTP/1.1 500 "));
  EXPECT_EQ("", ask("GET /later HTTP/1.1\r\nHost: h\r\n\r\n", "nothing", 4));
  ASSERT_TRUE(kept);
  kept->answer(200, "text/plain", "its client has gone");
  kept->answer(200, "text/plain", "twice");
}

TEST_F(Http, OutlivesItsServer) {
  std::shared_ptr<HttpRequest> kept;
  serve([&](const std::shared_ptr<HttpRequest>& request) { kept = request; });
  ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "nothing", 4);
  ASSERT_TRUE(kept);
  server.reset();
  EXPECT_EQ("", kept->path());
  EXPECT_EQ("", kept->header("Host"));
  kept->answer(200, "text/plain", "nobody hears");
}

TEST_F(Http, RefusesOtherMethodsBodiesAndGarbage) {
  serve([](const std::shared_ptr<HttpRequest>& request) { request->answer(200, "text/plain", "done"); });
  EXPECT_FALSE(
      ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_FALSE(ask("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_FALSE(ask("nonsense\r\n\r\n", "\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_FALSE(
      ask("GET / HTTP/1.1\r\nX: " + std::string(10000, 'x') + "\r\n\r\n", "\r\n\r\n").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "done").starts_with("HTTP/1.1 200 "));
}

TEST_F(Http, TellsWhichAddressItCannotHave) {
  serve([](const std::shared_ptr<HttpRequest>&) {});
  auto second = HttpServer::create(*loop, {*Address::parse_ip("127.0.0.1", port)}, [](const auto&) {});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(std::string::npos,
            second.error().message.find("127.0.0.1:" + std::to_string(port) + ": Address already in use"))
      << second.error().message;
}

}  // namespace
}  // namespace pgweir::net
