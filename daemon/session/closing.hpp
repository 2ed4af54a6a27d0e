// What a server in the closing list does: everything it still says is thrown away until the end of its stream.
#pragma once

#include "session/attach.hpp"

namespace pgweir::session {

class ClosingHandler final : public net::StreamHandler {
 public:
  explicit ClosingHandler(Hub& hub) : hub_(hub) {}
  void on_readable(net::Stream& stream) override;
  void on_writable(net::Stream& stream) override { on_readable(stream); }

 private:
  Hub& hub_;
};

// What should have ended by itself and has not, of this pool: closing servers are buried, servers that are still busy
// with their login, an errand or a cancel request are closed (Reason::kServerStuck).
void end_overdue(Hub& hub, LocalPool& pool);

}  // namespace pgweir::session
