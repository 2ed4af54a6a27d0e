#include "wire/builder.hpp"

namespace pgweir::wire {

MessageBuilder::MessageBuilder(std::string& out, char type) : out_(out) {
  if (type != 0) out_.push_back(type);
  length_at_ = out_.size();
  out_.append(4, '\0');
}

MessageBuilder& MessageBuilder::u8(uint8_t value) {
  out_.push_back(static_cast<char>(value));
  return *this;
}

MessageBuilder& MessageBuilder::u16(uint16_t value) {
  append_be16(out_, value);
  return *this;
}

MessageBuilder& MessageBuilder::u32(uint32_t value) {
  append_be32(out_, value);
  return *this;
}

MessageBuilder& MessageBuilder::cstring(ByteView text) {
  out_.append(text.substr(0, text.find('\0')));
  out_.push_back('\0');
  return *this;
}

MessageBuilder& MessageBuilder::bytes(ByteView raw) {
  out_.append(raw);
  return *this;
}

void MessageBuilder::finish() {
  store_be32(out_.data() + length_at_, static_cast<uint32_t>(out_.size() - length_at_));
}

namespace {

void append_fields(std::string& out, char type, ByteView severity, ByteView sqlstate, ByteView message,
                   ByteView detail) {
  MessageBuilder builder(out, type);
  builder.u8('S').cstring(severity).u8('C').cstring(sqlstate).u8('M').cstring(message);
  if (!detail.empty()) builder.u8('D').cstring(detail);
  builder.u8(0).finish();
}

void append_authentication(std::string& out, uint32_t kind, ByteView data) {
  MessageBuilder(out, 'R').u32(kind).bytes(data).finish();
}

}  // namespace

void append_error(std::string& out, ByteView severity, ByteView sqlstate, ByteView message) {
  append_fields(out, 'E', severity, sqlstate, message, {});
}

void append_notice(std::string& out, ByteView severity, ByteView sqlstate, ByteView message, ByteView detail) {
  append_fields(out, 'N', severity, sqlstate, message, detail);
}

void append_ready_for_query(std::string& out, char status) {
  MessageBuilder(out, 'Z').u8(static_cast<uint8_t>(status)).finish();
}

void append_parameter_status(std::string& out, ByteView name, ByteView value) {
  MessageBuilder(out, 'S').cstring(name).cstring(value).finish();
}

void append_backend_key_data(std::string& out, uint32_t pid, ByteView secret) {
  MessageBuilder(out, 'K').u32(pid).bytes(secret).finish();
}

void append_authentication_ok(std::string& out) {
  append_authentication(out, 0, {});
}

void append_authentication_cleartext(std::string& out) {
  append_authentication(out, 3, {});
}

void append_authentication_md5(std::string& out, ByteView salt) {
  append_authentication(out, 5, salt);
}

void append_authentication_sasl(std::string& out, const std::vector<std::string>& mechanisms) {
  MessageBuilder builder(out, 'R');
  builder.u32(10);
  for (const auto& mechanism : mechanisms)
    builder.cstring(mechanism);
  builder.u8(0).finish();
}

void append_authentication_sasl_continue(std::string& out, ByteView data) {
  append_authentication(out, 11, data);
}

void append_authentication_sasl_final(std::string& out, ByteView data) {
  append_authentication(out, 12, data);
}

void append_negotiate_protocol_version(std::string& out, uint32_t newest, const std::vector<std::string>& unknown) {
  MessageBuilder builder(out, 'v');
  builder.u32(newest).u32(static_cast<uint32_t>(unknown.size()));
  for (const auto& name : unknown)
    builder.cstring(name);
  builder.finish();
}

void append_row_description(std::string& out, const std::vector<Column>& columns) {
  MessageBuilder builder(out, 'T');
  builder.u16(static_cast<uint16_t>(columns.size()));
  for (const auto& column : columns) {
    builder.cstring(column.name).u32(0).u16(0).u32(column.oid).u16(static_cast<uint16_t>(column.typlen));
    builder.u32(UINT32_MAX).u16(column.format);
  }
  builder.finish();
}

void append_data_row(std::string& out, const std::vector<std::optional<std::string>>& values) {
  MessageBuilder builder(out, 'D');
  builder.u16(static_cast<uint16_t>(values.size()));
  for (const auto& value : values) {
    if (value) {
      builder.u32(static_cast<uint32_t>(value->size())).bytes(*value);
    } else {
      builder.u32(UINT32_MAX);
    }
  }
  builder.finish();
}

void append_command_complete(std::string& out, ByteView tag) {
  MessageBuilder(out, 'C').cstring(tag).finish();
}

void append_empty(std::string& out, char type) {
  MessageBuilder(out, type).finish();
}

void append_parameter_description(std::string& out, const std::vector<uint32_t>& oids) {
  MessageBuilder builder(out, 't');
  builder.u16(static_cast<uint16_t>(oids.size()));
  for (uint32_t oid : oids)
    builder.u32(oid);
  builder.finish();
}

void append_startup(std::string& out, uint32_t version, const Pairs& parameters) {
  MessageBuilder builder(out, 0);
  builder.u32(version);
  for (const auto& [name, value] : parameters)
    builder.cstring(name).cstring(value);
  builder.u8(0).finish();
}

void append_ssl_request(std::string& out) {
  MessageBuilder(out, 0).u32(80877103).finish();
}

void append_cancel_request(std::string& out, uint32_t pid, ByteView secret) {
  MessageBuilder(out, 0).u32(80877102).u32(pid).bytes(secret).finish();
}

void append_password(std::string& out, ByteView secret) {
  MessageBuilder(out, 'p').cstring(secret).finish();
}

void append_sasl_initial(std::string& out, ByteView mechanism, ByteView data) {
  MessageBuilder(out, 'p').cstring(mechanism).u32(static_cast<uint32_t>(data.size())).bytes(data).finish();
}

void append_sasl_response(std::string& out, ByteView data) {
  MessageBuilder(out, 'p').bytes(data).finish();
}

void append_query(std::string& out, ByteView sql) {
  MessageBuilder(out, 'Q').cstring(sql).finish();
}

void append_parse(std::string& out, ByteView name, ByteView sql_and_types) {
  MessageBuilder(out, 'P').cstring(name).bytes(sql_and_types).finish();
}

void append_close_statement(std::string& out, ByteView name) {
  MessageBuilder(out, 'C').u8('S').cstring(name).finish();
}

void append_copy_fail(std::string& out, ByteView reason) {
  MessageBuilder(out, 'f').cstring(reason).finish();
}

}  // namespace pgweir::wire
