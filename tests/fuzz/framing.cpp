// A stream of typed messages, cut anywhere, through everything that looks into them: headers, names of statements,
// error fields. No read may leave its message, and a message seen in part never says more than the whole one.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "track/rewrite.hpp"
#include "wire/error_fields.hpp"
#include "wire/framing.hpp"
#include "wire/reader.hpp"

namespace pgweir::wire {

using track::Seen;

namespace {

constexpr uint32_t kMost = 1 << 20;

void require(bool holds) {
  if (!holds) std::abort();
}

bool inside(ByteView part, ByteView whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void look_into(char type, ByteView body) {
  ErrorFields fields = parse_error_fields(body);
  require(inside(fields.message, body) && inside(fields.sqlstate, body) && inside(fields.routine, body));
  track::ParseNames parse;
  if (track::read_parse(body, body.size(), parse) == Seen::kOk) require(inside(parse.rest, body));
  track::BindNames bind;
  if (track::read_bind(body, body.size(), bind) == Seen::kOk) {
    require(bind.end <= body.size());
    std::string message = track::bind_head(bind, body.size(), "PGWEIR_1");
    message.append(body.substr(bind.end));
    Header header;
    require(parse_header(message, UINT32_MAX, header) == Frame::kOk && header.size() == message.size());
    // Seen in part: the same, or not enough.
    track::BindNames part;
    Seen seen = track::read_bind(body.substr(0, body.size() / 2), body.size(), part);
    require(seen == Seen::kNeedMore || (seen == Seen::kOk && part.statement == bind.statement && part.end == bind.end));
  }
  track::Target target;
  if (track::read_target(body, body.size(), target) == Seen::kOk) require(inside(target.name, body));
  if (type != 'S') return;
  Reader reader(body);
  ByteView name = reader.cstring();
  ByteView value = reader.cstring();
  require(inside(name, body) && inside(value, body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView stream(reinterpret_cast<const char*>(data), size);
  for (;;) {
    Header header;
    if (parse_header(stream, kMost, header) != Frame::kOk) return 0;
    require(header.length >= 4 && header.length <= kMost && header.size() == header.body_size() + kHeaderSize);
    ByteView body = stream.substr(kHeaderSize, header.body_size());
    if (body.size() == header.body_size()) look_into(header.type, body);
    if (header.size() >= stream.size()) return 0;
    stream.remove_prefix(header.size());
  }
}

}  // namespace pgweir::wire
