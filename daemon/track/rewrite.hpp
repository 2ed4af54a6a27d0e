// Names inside Parse, Bind, Describe and Close, and new heads with another statement name. Only the head of a Bind is
// looked at: a body of any size passes without being gathered. The names of one message must end within kMostNames, so
// that nobody has to gather more to find them.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace pgweir::track {

enum class Seen : uint8_t { kOk, kNeedMore, kBroken };

// A name's end is looked for in so many bytes of a body. PostgreSQL tells names apart by 63 of them.
inline constexpr size_t kMostNames = size_t{64} * 1024;

// How much of a body that will be `size` long must be there for kNeedMore not to come again.
constexpr size_t enough_for_names(size_t size) {
  return size < kMostNames ? size : kMostNames;
}

// `body`: so much of the message's body as has come; `size`: how long it will be. The name that a Parse begins with.
Seen read_name(ByteView body, size_t size, ByteView& name);

struct ParseNames {
  ByteView name;
  ByteView rest;  // query text, NUL, parameter types
};
Seen read_parse(ByteView body, size_t size, ParseNames& names);  // needs the whole body

struct BindNames {
  ByteView portal;
  ByteView statement;
  size_t end = 0;  // offset in the body, behind the statement's name
};
Seen read_bind(ByteView body, size_t size, BindNames& names);

struct Target {
  char kind = 'S';  // 'S' statement, 'P' portal
  ByteView name;
};
Seen read_target(ByteView body, size_t size, Target& target);  // Describe, Close; needs the whole body

// Header, portal and new statement name of a Bind whose body was `size` long and named by `names`.
std::string bind_head(const BindNames& names, size_t size, ByteView statement);
// A whole Describe for a statement.
std::string describe_statement(ByteView statement);

}  // namespace pgweir::track
