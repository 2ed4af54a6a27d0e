#include "admin/protocol.hpp"

#include "admin/binary.hpp"
#include "admin/commands.hpp"
#include "base/text.hpp"
#include "wire/builder.hpp"
#include "wire/framing.hpp"
#include "wire/reader.hpp"

namespace pgweir::admin {

namespace {

constexpr char kBadFormat[] = "invalid message format";

void append_description(std::string& out, const Columns& columns, const std::vector<uint16_t>& formats) {
  std::vector<wire::Column> described;
  for (size_t at = 0; at < columns.size(); ++at) {
    const Column& column = columns[at];
    described.push_back({std::string(column.name), static_cast<uint32_t>(column.type), typlen_of(column.type),
                         at < formats.size() ? formats[at] : uint16_t{0}});
  }
  wire::append_row_description(out, described);
}

void append_row(std::string& out, const RowCells& row, const Columns& columns, const std::vector<uint16_t>& formats) {
  if (formats.empty()) return wire::append_data_row(out, row);
  RowCells coded = row;
  for (size_t at = 0; at < coded.size() && at < columns.size() && at < formats.size(); ++at) {
    if (formats[at] == 1) coded[at] = to_binary(columns[at].type, row[at]);
  }
  wire::append_data_row(out, coded);
}

void append_notices(std::string& out, const Outcome& outcome) {
  for (const std::string& notice : outcome.notices)
    wire::append_notice(out, "NOTICE", "00000", notice, outcome.detail);
}

// The formats that a Bind asks for, one a column; empty when all are text.
Result<std::vector<uint16_t>> spread(const std::vector<uint16_t>& asked, const Columns* columns) {
  const size_t count = columns ? columns->size() : 0;
  for (uint16_t format : asked) {
    if (format > 1) return Error{cat("unsupported format code: ", format), "22023"};
  }
  if (asked.empty()) return asked;
  if (asked.size() == 1) return asked[0] == 0 ? std::vector<uint16_t>() : std::vector<uint16_t>(count, asked[0]);
  if (asked.size() != count) {
    return Error{cat("bind message has ", asked.size(), " result formats but query has ", count, " columns"),
                 kConsoleError};
  }
  return asked;
}

}  // namespace

void ConsoleProtocol::feed(ByteView bytes) {
  buffer_.erase(0, begin_);
  begin_ = 0;
  buffer_.append(bytes);
}

ConsoleProtocol::Step ConsoleProtocol::next(std::string& out) {
  for (;;) {
    ByteView rest = ByteView(buffer_).substr(begin_);
    wire::Header header;
    const wire::Frame frame = wire::parse_header(rest, kMostMessage, header);
    if (frame == wire::Frame::kBad) {
      fatal_text_ = "bad packet header";
      return Step::kFatal;
    }
    if (frame == wire::Frame::kNeedMore || rest.size() < header.size()) return Step::kNeedBytes;
    begin_ += header.size();
    switch (handle(header.type, rest.substr(wire::kHeaderSize, header.body_size()), out)) {
      case Handled::kGoOn: break;
      case Handled::kRun: return Step::kRun;
      case Handled::kTerminate: return Step::kTerminate;
      case Handled::kFatal: return Step::kFatal;
    }
  }
}

ConsoleProtocol::Handler ConsoleProtocol::handler_of(char type) {
  struct Row {
    char type;
    Handler handler;
  };
  static constexpr Row kRows[] = {
      {'Q', &ConsoleProtocol::on_query},     {'P', &ConsoleProtocol::on_parse},
      {'B', &ConsoleProtocol::on_bind},      {'D', &ConsoleProtocol::on_describe},
      {'E', &ConsoleProtocol::on_execute},   {'C', &ConsoleProtocol::on_close},
      {'S', &ConsoleProtocol::on_sync},      {'H', &ConsoleProtocol::on_nothing},
      {'d', &ConsoleProtocol::on_nothing},   {'c', &ConsoleProtocol::on_nothing},
      {'f', &ConsoleProtocol::on_nothing},   {'F', &ConsoleProtocol::on_function_call},
      {'X', &ConsoleProtocol::on_terminate},
  };
  for (const Row& row : kRows) {
    if (row.type == type) return row.handler;
  }
  return nullptr;
}

// After an error in a batch only its Sync counts, as in PostgreSQL.
ConsoleProtocol::Handled ConsoleProtocol::handle(char type, ByteView body, std::string& out) {
  Handler handler = handler_of(type);
  if (!handler) return fatal("unknown pkt");
  if (skipping_ && type != 'S' && type != 'X') return Handled::kGoOn;
  return (this->*handler)(body, out);
}

ConsoleProtocol::Handled ConsoleProtocol::fatal(std::string text) {
  fatal_text_ = std::move(text);
  return Handled::kFatal;
}

void ConsoleProtocol::error(std::string& out, const Error& what) {
  wire::append_error(out, "ERROR", what.sqlstate.empty() ? kConsoleError : what.sqlstate, what.message);
  errors_.push_back(what.message);
}

ConsoleProtocol::Handled ConsoleProtocol::batch_error(std::string& out, ByteView sqlstate, std::string text) {
  error(out, Error{std::move(text), std::string(sqlstate)});
  skipping_ = true;
  return Handled::kGoOn;
}

Result<ConsoleProtocol::Statement> ConsoleProtocol::prepare(ByteView text) const {
  Result<Command> command = parse_command(text);
  if (!command.ok()) return command.error();
  Result<void> allowed = check(*command, rights_);
  if (!allowed.ok()) return allowed.error();
  const Columns* columns = columns_for(*command);
  return Statement{command.take(), columns};
}

ConsoleProtocol::Handled ConsoleProtocol::on_query(ByteView body, std::string& out) {
  wire::Reader reader(body);
  ByteView text = reader.cstring();
  if (!reader.at_end()) return fatal(reader.ok() ? "bad packet" : "incomplete query");
  statements_.erase("");
  portals_.clear();
  Result<Statement> statement = prepare(text);
  if (!statement.ok()) {
    error(out, statement.error());
    wire::append_ready_for_query(out, 'I');
    return Handled::kGoOn;
  }
  command_ = std::move(statement->command);
  running_ = Running::kSimple;
  return Handled::kRun;
}

ConsoleProtocol::Handled ConsoleProtocol::on_parse(ByteView body, std::string& out) {
  wire::Reader reader(body);
  const std::string name(reader.cstring());
  ByteView text = reader.cstring();
  const uint16_t types = reader.u16();
  reader.bytes(uint64_t{4} * types);
  if (!reader.at_end()) return batch_error(out, kConsoleError, kBadFormat);
  if (!name.empty() && statements_.contains(name))
    return batch_error(out, "42P05", cat("prepared statement \"", name, "\" already exists"));
  if (statements_.size() >= kMostStatements) return batch_error(out, "54000", "too many prepared statements");
  Result<Statement> statement = prepare(text);
  if (!statement.ok()) return batch_error(out, statement.error().sqlstate, statement.error().message);
  statements_.insert_or_assign(name, statement.take());
  wire::append_empty(out, '1');
  return Handled::kGoOn;
}

ConsoleProtocol::Handled ConsoleProtocol::on_bind(ByteView body, std::string& out) {
  wire::Reader reader(body);
  const std::string portal(reader.cstring());
  const std::string name(reader.cstring());
  const uint16_t parameter_formats = reader.u16();
  reader.bytes(uint64_t{2} * parameter_formats);
  const uint16_t parameters = reader.u16();
  auto found = statements_.find(name);
  if (!reader.ok()) return batch_error(out, kConsoleError, kBadFormat);
  if (found == statements_.end())
    return batch_error(out, "26000", cat("prepared statement \"", name, "\" does not exist"));
  if (parameters > 0) {
    return batch_error(
        out, kConsoleError,
        cat("bind message supplies ", parameters, " parameters, but prepared statement \"", name, "\" requires 0"));
  }
  std::vector<uint16_t> asked(reader.u16());
  for (uint16_t& format : asked)
    format = reader.u16();
  if (!reader.at_end()) return batch_error(out, kConsoleError, kBadFormat);
  if (!portal.empty() && portals_.contains(portal))
    return batch_error(out, "42P03", cat("cursor \"", portal, "\" already exists"));
  if (portals_.size() >= kMostPortals) return batch_error(out, "54000", "too many portals");
  Result<std::vector<uint16_t>> formats = spread(asked, found->second.columns);
  if (!formats.ok()) return batch_error(out, formats.error().sqlstate, formats.error().message);
  Portal made;
  made.statement = found->second;
  made.formats = formats.take();
  portals_.insert_or_assign(portal, std::move(made));
  wire::append_empty(out, '2');
  return Handled::kGoOn;
}

ConsoleProtocol::Handled ConsoleProtocol::on_describe(ByteView body, std::string& out) {
  wire::Reader reader(body);
  const char kind = static_cast<char>(reader.u8());
  const std::string name(reader.cstring());
  if (!reader.at_end() || (kind != 'S' && kind != 'P')) return batch_error(out, kConsoleError, kBadFormat);
  const Columns* columns = nullptr;
  std::vector<uint16_t> formats;
  if (kind == 'S') {
    auto found = statements_.find(name);
    if (found == statements_.end())
      return batch_error(out, "26000", cat("prepared statement \"", name, "\" does not exist"));
    columns = found->second.columns;
    wire::append_parameter_description(out, {});
  } else {
    auto found = portals_.find(name);
    if (found == portals_.end()) return batch_error(out, "34000", cat("portal \"", name, "\" does not exist"));
    columns = found->second.statement.columns;
    formats = found->second.formats;
  }
  if (columns) {
    append_description(out, *columns, formats);
  } else {
    wire::append_empty(out, 'n');
  }
  return Handled::kGoOn;
}

ConsoleProtocol::Handled ConsoleProtocol::on_execute(ByteView body, std::string& out) {
  wire::Reader reader(body);
  portal_ = std::string(reader.cstring());
  const int32_t limit = reader.i32();
  if (!reader.at_end()) return batch_error(out, kConsoleError, kBadFormat);
  auto found = portals_.find(portal_);
  if (found == portals_.end()) return batch_error(out, "34000", cat("portal \"", portal_, "\" does not exist"));
  limit_ = limit > 0 ? static_cast<uint32_t>(limit) : 0;
  if (found->second.has_run) {
    send_rows(found->second, out);
    return Handled::kGoOn;
  }
  command_ = found->second.statement.command;
  running_ = Running::kPortal;
  return Handled::kRun;
}

ConsoleProtocol::Handled ConsoleProtocol::on_close(ByteView body, std::string& out) {
  wire::Reader reader(body);
  const char kind = static_cast<char>(reader.u8());
  const std::string name(reader.cstring());
  if (!reader.at_end() || (kind != 'S' && kind != 'P')) return batch_error(out, kConsoleError, kBadFormat);
  if (kind == 'S') {
    statements_.erase(name);
  } else {
    portals_.erase(name);
  }
  wire::append_empty(out, '3');
  return Handled::kGoOn;
}

// Portals do not outlive their batch: it is a transaction of its own.
ConsoleProtocol::Handled ConsoleProtocol::on_sync(ByteView, std::string& out) {
  skipping_ = false;
  portals_.clear();
  wire::append_ready_for_query(out, 'I');
  return Handled::kGoOn;
}

// Flush (everything leaves at once anyway), and COPY data that nobody asked for.
ConsoleProtocol::Handled ConsoleProtocol::on_nothing(ByteView, std::string&) {
  return Handled::kGoOn;
}

ConsoleProtocol::Handled ConsoleProtocol::on_terminate(ByteView, std::string&) {
  return Handled::kTerminate;
}

ConsoleProtocol::Handled ConsoleProtocol::on_function_call(ByteView, std::string& out) {
  error(out, Error{cat("unsupported packet type for admin console: ", int{'F'}), kConsoleError});
  wire::append_ready_for_query(out, 'I');
  return fatal("bad packet");
}

void ConsoleProtocol::send_rows(Portal& portal, std::string& out) {
  const Columns* columns = portal.statement.columns;
  uint32_t sent = 0;
  while (columns && portal.next_row < portal.rows.size()) {
    if (limit_ > 0 && sent == limit_) return wire::append_empty(out, 's');
    append_row(out, portal.rows[portal.next_row++], *columns, portal.formats);
    ++sent;
  }
  portal.rows.clear();
  portal.next_row = 0;
  wire::append_command_complete(out, portal.tag);
}

void ConsoleProtocol::answer(Outcome outcome, std::string& out) {
  const Running running = std::exchange(running_, Running::kNothing);
  append_notices(out, outcome);
  if (!outcome.ok) {
    error(out, Error{outcome.text, outcome.sqlstate});
    skipping_ = running == Running::kPortal;
  } else if (running == Running::kPortal) {
    auto found = portals_.find(portal_);
    if (found == portals_.end()) return;
    found->second.has_run = true;
    found->second.tag = std::move(outcome.tag);
    found->second.rows = std::move(outcome.rows);
    if (const Columns* described = found->second.statement.columns) {
      for (RowCells& row : found->second.rows)
        row.resize(described->size());  // console_old_columns and console_extra_columns are for simple queries
    }
    send_rows(found->second, out);
  } else {
    if (outcome.columns) append_description(out, *outcome.columns, {});
    for (const RowCells& row : outcome.rows)
      wire::append_data_row(out, row);
    wire::append_command_complete(out, outcome.tag);
  }
  if (running == Running::kSimple) wire::append_ready_for_query(out, 'I');
}

}  // namespace pgweir::admin
