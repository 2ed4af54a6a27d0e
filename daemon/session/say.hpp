// Log records about a connection: the prefix in front of the text, and what is known of the connection as fields for
// the journal (PGWEIR_CLIENT_ADDR and so on). Costs nothing when the level is off; fields are only made for a sink that
// keeps them.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/event.hpp"
#include "base/log.hpp"
#include "session/hub.hpp"

namespace pgweir::session {

struct Said {
  Level level;
  std::string_view kind;  // name_of(Event), or of a close reason
  std::string_view reason = {};
  std::string_view sqlstate = {};
};
inline Said said(Level level, Event event) {
  return {level, name_of(event)};
}

void say(Hub& hub, const Client& client, const Said& what, std::string_view text,
         std::initializer_list<LogField> more = {});
void say(Hub& hub, const Server& server, const Said& what, std::string_view text);

}  // namespace pgweir::session
