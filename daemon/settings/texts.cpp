// The sample ini and the manual's list of settings, rendered from the table.
#include "base/text.hpp"
#include "settings/load.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

std::string wrap(const std::string& text, const std::string& lead, size_t width) {
  std::string out;
  std::string line = lead;
  size_t start = 0;
  while (start < text.size()) {
    size_t end = std::min(text.find(' ', start), text.size());
    std::string word = text.substr(start, end - start);
    if (line.size() > lead.size() && line.size() + 1 + word.size() > width) {
      out += line + "\n";
      line = lead;
    }
    if (line.size() > lead.size()) line += ' ';
    line += word;
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

}  // namespace

std::string sample_ini() {
  std::string out =
      ";; pgweir.ini - every setting with its default. Lines that begin with ; or # are comments; a comment cannot "
      "stand\n"
      ";; behind a value. See pgweir.ini(5). After a change: systemctl reload pgweir\n\n"
      "[databases]\n"
      ";; name = key=value ...   (host, port, dbname, user, password, pool_size, pool_mode, ...)\n"
      ";app = host=127.0.0.1 port=5432 dbname=app\n"
      ";; every other name, on the same server:\n"
      ";* = host=127.0.0.1\n\n"
      "[users]\n"
      ";; name = key=value ...   (pool_mode, pool_size, max_user_connections, query_timeout, ...)\n\n"
      "[peers]\n"
      ";; id = host=... port=...\n\n"
      "[pgweir]\n";
  for (const Row& row : global_rows()) {
    out += "\n" + wrap(row.help, ";; ", 110);
    if (!row.reloadable) out += ";; Needs a restart.\n";
    out += cat(";", row.name, " = ", row.preset.value_or(""), "\n");
  }
  return out;
}

std::string manual_settings() {
  std::string out;
  for (const Row& row : global_rows()) {
    out += cat(".TP\n.B ", roff(row.name), "\n", roff(row.help), "\n");
    if (!row.reloadable) out += "Needs a restart.\n";
    std::string preset = row.preset ? (row.preset->empty() ? "empty" : *row.preset) : "unset";
    out += cat(".br\nDefault: ", roff(preset), "\n");
  }
  const char* const kSections[] = {"", "[databases]", "[users]", "[peers]"};
  Scope last = Scope::kGlobal;
  for (const EntryRow& row : entry_rows()) {
    if (row.scope != last) out += cat(".SS Keys of ", kSections[static_cast<size_t>(row.scope)], "\n");
    last = row.scope;
    out += cat(".TP\n.B ", roff(row.name), "\n", roff(row.help), "\n.br\nDefault: ", roff(row.preset), "\n");
  }
  return out;
}

}  // namespace pgweir::settings
