// Whole messages, appended to a string. Pooler-made errors have the fields S, C and M only (compat/wire.md).
// Strings must not hold a NUL; they are cut there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace pgweir::wire {

// Opens a message of `type` (0: untyped) in its constructor; finish() fills the length in.
class MessageBuilder {
 public:
  MessageBuilder(std::string& out, char type);
  MessageBuilder& u8(uint8_t value);
  MessageBuilder& u16(uint16_t value);
  MessageBuilder& u32(uint32_t value);
  MessageBuilder& cstring(ByteView text);
  MessageBuilder& bytes(ByteView raw);
  void finish();

 private:
  std::string& out_;
  size_t length_at_;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

// -- to clients --
void append_error(std::string& out, ByteView severity, ByteView sqlstate, ByteView message);
void append_notice(std::string& out, ByteView severity, ByteView sqlstate, ByteView message, ByteView detail = {});
void append_ready_for_query(std::string& out, char status);
void append_parameter_status(std::string& out, ByteView name, ByteView value);
void append_backend_key_data(std::string& out, uint32_t pid, ByteView secret);
void append_authentication_ok(std::string& out);
void append_authentication_cleartext(std::string& out);
void append_authentication_md5(std::string& out, ByteView salt);  // 4 bytes
void append_authentication_sasl(std::string& out, const std::vector<std::string>& mechanisms);
void append_authentication_sasl_continue(std::string& out, ByteView data);
void append_authentication_sasl_final(std::string& out, ByteView data);
void append_negotiate_protocol_version(std::string& out, uint32_t newest, const std::vector<std::string>& unknown);
struct Column {
  std::string name;
  uint32_t oid = 25;
  int16_t typlen = -1;
  uint16_t format = 0;
};
void append_row_description(std::string& out, const std::vector<Column>& columns);
void append_data_row(std::string& out, const std::vector<std::optional<std::string>>& values);
void append_command_complete(std::string& out, ByteView tag);
void append_empty(std::string& out, char type);  // '1', '2', '3', 'n', 's', 'I', 'S', 'H', 'X', 'c'
void append_parameter_description(std::string& out, const std::vector<uint32_t>& oids);

// -- to servers --
void append_startup(std::string& out, uint32_t version, const Pairs& parameters);
void append_ssl_request(std::string& out);
void append_cancel_request(std::string& out, uint32_t pid, ByteView secret);
void append_password(std::string& out, ByteView secret);
void append_sasl_initial(std::string& out, ByteView mechanism, ByteView data);
void append_sasl_response(std::string& out, ByteView data);
void append_query(std::string& out, ByteView sql);
void append_parse(std::string& out, ByteView name, ByteView sql_and_types);  // "sql\0" count oid...
void append_close_statement(std::string& out, ByteView name);
void append_copy_fail(std::string& out, ByteView reason);

}  // namespace pgweir::wire
