// The sample ini, the manual page and the table of the migration guide, rendered from the table: none can fall behind
// it.
#include <algorithm>

#include "base/text.hpp"
#include "settings/load.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

// What a new installation starts with; everything else stands in the sample as a comment.
constexpr std::pair<const char*, const char*> kSampleValues[] = {
    {"auth_file", "/etc/pgweir/userlist.txt"},
    {"auth_type", "scram-sha-256"},
    {"listen_addr", "localhost"},
    {"unix_socket_dir", "/run/pgweir"},  // /tmp is the service's own under PrivateTmp=
};

// What the sample shows as an example above an empty default.
constexpr std::pair<const char*, const char*> kSampleExamples[] = {
    {"metrics_listen", "127.0.0.1:9127"},
};

constexpr const char* kSampleHead =
    R"(;; pgweir.ini: the configuration of pgweir, see pgweir.ini(5).
;;
;; Lines that begin with ; or # are comments; a comment cannot stand behind a value. Settings that are commented out
;; here show their defaults. Times are seconds, or have a unit (500ms, 30s, 5min, 1h, 1d); sizes are bytes, or have a
;; unit (64kB, 16MB, 1GB). After a change: systemctl reload pgweir, or RELOAD on the console. A file with an error
;; changes nothing; pgweir --check-config FILE tells errors beforehand.

;; ---- Databases ----
;; name = key=value key=value ... ; values with blanks stand in 'quotes'.
[databases]

;; The database "app" on a server of this machine, reached by its unix socket:
;app = host=/run/postgresql

;; Another name, another machine, one login for all clients, and limits of its own:
;reports = host=db1.example.net port=5432 dbname=warehouse user=reporter pool_size=5 pool_mode=session

;; Several servers, tried in turn:
;reading = host=db2.example.net,db3.example.net dbname=app

;; Every name that is not listed:
;* = host=/run/postgresql

;; ---- Limits of single users ----
[users]
;nightly = pool_mode=session max_user_connections=4 query_timeout=1h

;; ---- Other processes behind the same address, by their peer_id ----
[peers]
;1 = host=/run/pgweir/1
;2 = host=/run/pgweir/2

)";

constexpr const char* kManualHead =
    R"(.\" Rendered from daemon/settings/table_rows.cpp; change it there and run unit_settings with PGWEIR_REGENERATE=1.
.TH PGWEIR.INI 5 "" pgweir
.SH NAME
pgweir.ini \- configuration file of pgweir
.SH DESCRIPTION
The file is read at start and at every reload (SIGHUP, the console's RELOAD).
A file with an error changes nothing, and every error is told with its file and line;
.B pgweir \-\-check\-config
.I FILE
tells them without starting.
.PP
A line is empty, a comment, a section's name in brackets, or
.IR "name " = " value" .
Comments begin with
.B ;
or
.B #
as the first character of a line; behind a value they are part of it.
A value is the rest of its line.
Names of databases and users that have other characters than letters, digits and
.B _ . \- *
stand in single quotes.
Sections may come in any order and more than once; what stands last counts.
.PP
.B %include
.I FILE
reads another file at that place, relative to the directory that the process works in, up to ten deep.
.SS Values
A
.I time
is a number of seconds, or a number with one of the units us, ms, s, min, h, d.
A
.I size
is a number of bytes, or a number with one of the units B, kB, MB, GB.
A
.I number
may be decimal, hexadecimal (0x) or octal (0).
.I On or off
may be 1 or 0, on or off, yes or no, true or false.
.SH SECTION [pgweir]
The section may be called
.B [pgbouncer]
as well.
)";

constexpr const char* kManualDatabases =
    R"(.SH SECTION [databases]
Lines of
.IR "name " = " key" = "value key" = "value ..." .
A value with blanks stands in single quotes, a quote within is doubled.
Names have up to 63 bytes;
.B pgweir
and
.B pgbouncer
are the console's.
The name
.B *
is the template for all names that are not listed.
)";

constexpr const char* kManualUsers =
    R"(.SH SECTION [users]
Limits of single users, in lines of the same form. A user is not made known by a line here: secrets are in auth_file.
)";

constexpr const char* kManualPeers =
    R"(.SH SECTION [peers]
Other processes behind the same address, by their peer_id, to which cancel requests are sent on that belong to them.
Each process has its peer_id and may have all of them in its list, itself included. A key of a client carries the number
of its process; a request whose key has another's number is sent on to that one, at most three times. Processes that share
a port by so_reuseport are told apart by an address that is only theirs, such as the directory of a unix socket. Peers may
be PgBouncer's.
)";

constexpr const char* kManualFoot =
    R"(.SH SEE ALSO
.BR pgweir (8),
.BR pgweir_hba.conf (5)
)";

// The text in lines of at most `width` bytes, each beginning with `lead`.
std::string wrap(const std::string& text, const std::string& lead, size_t width) {
  std::string out;
  std::string line = lead;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(' ', start), text.size());
    if (line.size() > lead.size() && line.size() + 1 + (end - start) > width) {
      out += line + "\n";
      line = lead;
    }
    if (line.size() > lead.size()) line += ' ';
    line.append(text, start, end - start);
    start = end + 1;
  }
  return out + line + "\n";
}

std::string roff(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out.push_back(c);
  }
  if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out.insert(0, "\\&");
  return out;
}

std::string preset_text(const Row& row) {
  if (!row.preset) return "unset";
  return row.preset->empty() ? "empty" : *row.preset;
}

// "on or off; needs a restart; ..."; nothing to say of a plain text.
std::string facts(const Row& row) {
  std::string out = row.kind == Kind::kText ? "" : describe_kind(row.kind);
  auto add = [&out](const char* fact) { out += cat(out.empty() ? "" : "; ", fact); };
  if ((row.range.least != 0 || row.range.most != 0) && row.range.least >= 0 && row.range.most < INT32_MAX)
    out += cat(", ", row.range.least, " to ", row.range.most);
  if (!row.reloadable()) add("needs a restart");
  if (row.flags & kNoEffect) add("accepted, has no effect");
  return out;
}

std::string in_brackets(const std::string& text, const char* before) {
  return text.empty() ? "" : cat(before, "(", text, ")");
}

const char* sample_value(const std::string& name) {
  for (const auto& [setting, value] : kSampleValues) {
    if (name == setting) return value;
  }
  return nullptr;
}

std::string sample_row(const Row& row) {
  std::string out = "\n" + wrap(cat(row.help, in_brackets(facts(row), " ")), ";; ", 120);
  const char* value = sample_value(row.name);
  if (value && row.preset) out += cat(";; Default: ", preset_text(row), "\n");
  if (value) return out + cat(row.name, " = ", value, "\n");
  for (const auto& [setting, example] : kSampleExamples) {
    if (row.name == setting) out += cat(";; For example: ", row.name, " = ", example, "\n");
  }
  return out + cat(";", row.name, " =", row.preset && !row.preset->empty() ? " " : "", row.preset.value_or(""), "\n");
}

std::string manual_row(const std::string& name, const std::string& facts, const std::string& help,
                       const std::string& preset) {
  return cat(".TP\n.B ", roff(name), "\n", roff(help), in_brackets(roff(facts), "\n.br\n"),
             "\n.br\nDefault: ", roff(preset), "\n");
}

std::string manual_entries(Scope scope) {
  std::string out;
  for (const EntryRow& row : entry_rows()) {
    if (row.scope != scope) continue;
    const std::string kind = row.kind == Kind::kText ? "" : describe_kind(row.kind);
    out += manual_row(row.name, kind, row.help, row.preset);
  }
  return out;
}

template <class Function>
void for_each_of(Group group, Function&& visit) {
  for (const Row& row : global_rows()) {
    if (row.group == group) visit(row);
  }
}

}  // namespace

std::string sample_ini() {
  std::string out = cat(kSampleHead, "[pgweir]\n");
  for (int at = 0; at < kGroups; ++at) {
    const Group group = static_cast<Group>(at);
    out += cat("\n;; ---- ", group_title(group), " ----\n");
    for_each_of(group, [&](const Row& row) { out += sample_row(row); });
  }
  return out;
}

std::string manual_settings() {
  std::string out;
  for (int at = 0; at < kGroups; ++at) {
    const Group group = static_cast<Group>(at);
    out += cat(".SS ", group_title(group), "\n");
    for_each_of(group, [&](const Row& row) { out += manual_row(row.name, facts(row), row.help, preset_text(row)); });
  }
  return out;
}

// Of one row: name, what it takes, default, when a change takes effect, and what else is to be said.
std::string settings_table() {
  std::string out =
      "| setting | value | default | a change holds from | notes |\n"
      "|---|---|---|---|---|\n";
  for (const Row& row : global_rows()) {
    const std::string preset = !row.preset ? "unset" : row.preset->empty() ? "empty" : cat("`", *row.preset, "`");
    const char* notes = row.flags & kOwn ? "pgweir's own" : row.flags & kNoEffect ? "accepted, without effect" : "";
    out += cat("| `", row.name, "` | ", describe_kind(row.kind), " | ", preset, " | ",
               row.reloadable() ? "the next reload" : "the next start", " | ", notes, " |\n");
  }
  return out;
}

std::string manual_page() {
  return cat(kManualHead, manual_settings(), kManualDatabases, manual_entries(Scope::kDatabase), kManualUsers,
             manual_entries(Scope::kUser), kManualPeers, manual_entries(Scope::kPeer), kManualFoot);
}

}  // namespace pgweir::settings
