// What the Director can do for the console. Arguments have been checked by admin/ (the entry exists, the state allows
// it); an operation that must wait calls `done` later. All on the Director's loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "pool/shared.hpp"

namespace pgweir::admin {

using DatabasePtr = std::shared_ptr<pool::SharedDatabase>;  // null: all
using Done = std::function<void(Result<void>)>;

enum class Shutdown : uint8_t { kImmediate, kWaitForServers, kWaitForClients };

class Operations {
 public:
  virtual ~Operations() = default;
  virtual Result<void> reload() = 0;
  // Error: bad value. *notice: what the operator should know ("TLS settings could not be applied, ...").
  virtual Result<void> set(const std::string& key, const std::string& value, std::string* notice) = 0;
  virtual void pause(DatabasePtr database, Done done) = 0;  // done when no server is left that works
  virtual void suspend(Done done) = 0;
  virtual void resume(DatabasePtr database) = 0;
  virtual void kill(DatabasePtr database, Done done) = 0;
  virtual void kill_client(uint32_t id, Done done) = 0;  // error "client not found"
  virtual void reconnect(DatabasePtr database) = 0;
  virtual void wait_close(DatabasePtr database, Done done) = 0;
  virtual void disable(DatabasePtr database, bool disabled) = 0;
  virtual void shutdown(Shutdown kind) = 0;
};

}  // namespace pgweir::admin
