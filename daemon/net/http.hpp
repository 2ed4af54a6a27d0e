// A small HTTP server (libevent's own) for figures that a monitor fetches: GET and HEAD of short paths, no bodies, no
// TLS. Answers may come later, in the loop's thread. It is for few and friendly clients: at most kMostRequests at a
// time, short time limits; whoever comes in addition is turned away.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "net/address.hpp"
#include "net/loop.hpp"

struct evhttp;
struct evhttp_request;

namespace pgweir::net {

class HttpServer;

// One request that waits for its answer. Answered once; destroyed without an answer it is answered with 500.
class HttpRequest {
 public:
  HttpRequest(HttpServer* server, evhttp_request* request) : server_(server), request_(request) {}
  ~HttpRequest();
  HttpRequest(const HttpRequest&) = delete;
  HttpRequest& operator=(const HttpRequest&) = delete;

  std::string path() const;                    // decoded, without the query; "" when it is malformed
  std::string header(const char* name) const;  // "" when there is none
  // No effect when the server, or the client, has gone.
  void answer(int status, const std::string& type, const std::string& body);

 private:
  friend class HttpServer;
  HttpServer* server_;
  evhttp_request* request_;  // null: answered, or the server has gone
};

class HttpServer {
 public:
  using Handler = std::function<void(std::shared_ptr<HttpRequest>)>;
  static constexpr size_t kMostRequests = 16;

  // Errors: an address that cannot be bound, by its name and reason.
  static Result<std::unique_ptr<HttpServer>> create(Loop& loop, const std::vector<Address>& addresses, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  friend class HttpRequest;
  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {}
  static void on_request(evhttp_request* request, void* self);

  struct FreeHttp {
    void operator()(evhttp* http) const;
  };
  Handler handler_;
  std::vector<HttpRequest*> waiting_;
  std::unique_ptr<evhttp, FreeHttp> http_;
};

}  // namespace pgweir::net
