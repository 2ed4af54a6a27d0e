#include "net/library.hpp"

#include <event2/event.h>

namespace pgweir::net {

std::string libevent_version() {
  return event_get_version();
}

}  // namespace pgweir::net
