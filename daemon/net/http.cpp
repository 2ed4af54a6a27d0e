#include "net/http.hpp"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.hpp"

namespace pgweir::net {

namespace {
constexpr int kTimeout = 10;  // seconds, of a request and of a connection that is kept
constexpr int kMostHeader = 8192;
}  // namespace

HttpRequest::~HttpRequest() {
  answer(HTTP_INTERNAL, "text/plain; charset=utf-8", "no answer\n");
}

std::string HttpRequest::path() const {
  if (!request_) return "";
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request_);
  const char* path = uri ? evhttp_uri_get_path(uri) : nullptr;
  return path ? path : "";
}

std::string HttpRequest::header(const char* name) const {
  if (!request_) return "";
  const char* value = evhttp_find_header(evhttp_request_get_input_headers(request_), name);
  return value ? value : "";
}

void HttpRequest::answer(int status, const std::string& type, const std::string& body) {
  if (!request_) return;
  evhttp_request* request = std::exchange(request_, nullptr);
  std::erase(server_->waiting_, this);
  evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type.c_str());
  std::unique_ptr<evbuffer, decltype(&evbuffer_free)> buffer(evbuffer_new(), &evbuffer_free);
  if (buffer) evbuffer_add(buffer.get(), body.data(), body.size());
  evhttp_send_reply(request, buffer ? status : HTTP_INTERNAL, nullptr, buffer.get());
}

void HttpServer::FreeHttp::operator()(evhttp* http) const {
  evhttp_free(http);
}

void HttpServer::on_request(evhttp_request* request, void* self) {
  auto& server = *static_cast<HttpServer*>(self);
  if (server.waiting_.size() >= kMostRequests) return evhttp_send_error(request, HTTP_SERVUNAVAIL, nullptr);
  auto one = std::make_shared<HttpRequest>(&server, request);
  server.waiting_.push_back(one.get());
  server.handler_(std::move(one));
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(Loop& loop, const std::vector<Address>& addresses,
                                                       Handler handler) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(handler)));
  server->http_.reset(evhttp_new(loop.base()));
  if (!server->http_) return Error{"out of memory", ""};
  evhttp* http = server->http_.get();
  evhttp_set_timeout(http, kTimeout);
  evhttp_set_max_headers_size(http, kMostHeader);
  evhttp_set_max_body_size(http, 0);
  evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
  evhttp_set_gencb(http, &HttpServer::on_request, server.get());
  for (const Address& address : addresses) {
    if (evhttp_bind_socket(http, address.host().c_str(), static_cast<uint16_t>(address.port())) == 0) continue;
    return Error{cat("cannot listen on ", address.text(), ": ", std::strerror(errno)), ""};
  }
  return server;
}

HttpServer::~HttpServer() {
  for (HttpRequest* request : waiting_)
    request->request_ = nullptr;
}

}  // namespace pgweir::net
