#include "track/rewrite.hpp"

#include "wire/builder.hpp"
#include "wire/reader.hpp"

namespace pgweir::track {

Seen read_name(ByteView body, size_t size, ByteView& name) {
  ByteView here = body.substr(0, enough_for_names(size));
  size_t end = here.find('\0');
  if (end == ByteView::npos) return here.size() < enough_for_names(size) ? Seen::kNeedMore : Seen::kBroken;
  name = here.substr(0, end);
  return Seen::kOk;
}

Seen read_parse(ByteView body, size_t size, ParseNames& names) {
  if (body.size() < size) return Seen::kNeedMore;
  wire::Reader reader(body.substr(0, size));
  names.name = reader.cstring();
  size_t start = reader.position();
  reader.cstring();
  uint16_t types = reader.u16();
  reader.bytes(uint64_t{4} * types);
  if (!reader.at_end()) return Seen::kBroken;
  names.rest = body.substr(start, size - start);
  return Seen::kOk;
}

Seen read_bind(ByteView body, size_t size, BindNames& names) {
  ByteView here = body.substr(0, enough_for_names(size));
  wire::Reader reader(here);
  names.portal = reader.cstring();
  names.statement = reader.cstring();
  if (!reader.ok()) return here.size() < enough_for_names(size) ? Seen::kNeedMore : Seen::kBroken;
  names.end = reader.position();
  return Seen::kOk;
}

Seen read_target(ByteView body, size_t size, Target& target) {
  if (size > kMostNames) return Seen::kBroken;
  if (body.size() < size) return Seen::kNeedMore;
  wire::Reader reader(body.substr(0, size));
  target.kind = static_cast<char>(reader.u8());
  target.name = reader.cstring();
  return reader.at_end() ? Seen::kOk : Seen::kBroken;
}

std::string bind_head(const BindNames& names, size_t size, ByteView statement) {
  std::string out(1, 'B');
  size_t rest = size - names.end;
  append_be32(out, static_cast<uint32_t>(4 + names.portal.size() + 1 + statement.size() + 1 + rest));
  out.append(names.portal).push_back('\0');
  out.append(statement).push_back('\0');
  return out;
}

std::string describe_statement(ByteView statement) {
  std::string out;
  wire::MessageBuilder(out, 'D').u8('S').cstring(statement).finish();
  return out;
}

}  // namespace pgweir::track
