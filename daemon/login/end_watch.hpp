// Notices that a client leaves while its login waits for something else and nobody reads it. Bytes are for later; only
// the end counts. The coroutine that waits ends with its client, after the batch.
#pragma once

#include "session/attach.hpp"

namespace pgweir::login {

class EndWatch final : public net::StreamHandler {
 public:
  // Closes the client at once if it has left before.
  EndWatch(session::Hub& hub, session::Client& client) : hub_(hub), client_(client) {
    client_.stream.set_handler(this, nullptr);
    look();
  }
  ~EndWatch() override {
    if (client_.stream.handler() == this) client_.stream.set_handler(nullptr, nullptr);
  }
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  void on_readable(net::Stream&) override { look(); }
  void on_writable(net::Stream&) override {}

 private:
  void look() {
    if (client_.stream.peer_gone()) session::close_client(hub_, client_, session::Reason::kClientEof);
  }
  session::Hub& hub_;
  session::Client& client_;
};

}  // namespace pgweir::login
