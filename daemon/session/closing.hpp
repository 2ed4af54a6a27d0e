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

// Buries the closing servers of a pool whose patience has run out.
void bury_overdue(Hub& hub, LocalPool& pool);

}  // namespace pgweir::session
