// What the relay does with each message: two tables indexed by the type byte. Everything that needs no look inside is
// one row here and no code elsewhere.
#pragma once

#include <array>
#include <cstdint>

#include "track/reply_queue.hpp"

namespace pgweir::relay {

// From clients. Source: protocol chapter "Message Flow"; compat/wire.md sections 1, 7, 9, 10.
enum class ClientStep : uint8_t {
  kUnknown,  // not allowed after login
  kForward,  // expects a reply of `kind`
  kMark,     // expects none, but the ledger must know of it (CopyDone, CopyFail)
  kPlain,    // expects none (Flush; CopyData)
  kQuery,
  kParse,
  kBind,
  kDescribe,
  kClose,
  kExecute,
  kTerminate,
};

struct ClientRule {
  ClientStep step = ClientStep::kUnknown;
  track::Kind kind = track::Kind::kQuery;
  bool needs_server = false;  // else dropped while no server is attached: late COPY data after an error
  bool named = false;         // is about a statement that may have a name
};

constexpr std::array<ClientRule, 256> make_client_rules() {
  using enum ClientStep;
  std::array<ClientRule, 256> rules{};
  rules['Q'] = {kQuery, track::Kind::kQuery, true};
  rules['P'] = {kParse, track::Kind::kParse, true, true};
  rules['B'] = {kBind, track::Kind::kBind, true, true};
  rules['D'] = {kDescribe, track::Kind::kDescribe, true, true};
  rules['C'] = {kClose, track::Kind::kClose, true, true};
  rules['E'] = {kExecute, track::Kind::kExecute, true};
  rules['S'] = {kForward, track::Kind::kSync, true};
  rules['F'] = {kForward, track::Kind::kFunctionCall, true};
  rules['H'] = {kPlain, track::Kind::kSync, false};
  rules['d'] = {kPlain, track::Kind::kSync, false};
  rules['c'] = {kMark, track::Kind::kCopyDone, false};
  rules['f'] = {kMark, track::Kind::kCopyFail, false};
  rules['X'] = {kTerminate, track::Kind::kSync, false};
  return rules;
}

// From servers: which must be seen whole before they are handled. `must`: at any size; else only when they are small
// (a long ErrorResponse passes through unread).
struct ServerRule {
  bool known = false;
  bool whole = false;
  bool must = false;
};

constexpr std::array<ServerRule, 256> make_server_rules() {
  std::array<ServerRule, 256> rules{};
  for (unsigned char type : {'D', 'T', 't', 'n', '1', '2', '3', 'I', 's', 'V', 'G', 'H', 'W', 'd', 'c', 'N', 'A'}) {
    rules[type] = {true, false, false};
  }
  rules['Z'] = {true, true, true};
  rules['S'] = {true, true, true};
  rules['C'] = {true, true, false};
  rules['E'] = {true, true, false};
  return rules;
}

inline constexpr auto kClientRules = make_client_rules();
inline constexpr auto kServerRules = make_server_rules();

inline const ClientRule& client_rule(char type) {
  return kClientRules[static_cast<unsigned char>(type)];
}
inline const ServerRule& server_rule(char type) {
  return kServerRules[static_cast<unsigned char>(type)];
}

}  // namespace pgweir::relay
