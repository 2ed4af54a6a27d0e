// Names inside Parse, Bind, Describe and Close, and new heads with another statement name. Only the head of a Bind is
// looked at: a body of any size passes without being gathered.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace pgweir::track {

enum class Seen : uint8_t { kOk, kNeedMore, kBroken };

// `body`: so much of the message's body as has come; `size`: how long it will be.
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
