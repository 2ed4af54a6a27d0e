// From files to a Snapshot: everything is read, checked and cross-checked before anything counts. All or nothing: with
// errors there is no snapshot, and whoever runs keeps the one he has.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "settings/ini.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::settings {

using SnapshotPtr = std::shared_ptr<const Snapshot>;

struct LoadResult {
  SnapshotPtr snapshot;  // null when there are errors
  std::vector<Problem> errors;
  std::vector<Problem> warnings;   // among them missing or broken auth files, which PgBouncer starts with
  bool auth_files_broken = false;  // a reload and --check-config refuse these warnings; a start does not
};

// Reads the ini at `path` and the files that it names. `previous` (may be null): what it holds of them is shared where
// nothing has changed. Values set on the console do not survive this. `verbose`: what that setting is where the ini
// does not name it, the number of -v.
LoadResult load(const std::string& path, const SnapshotPtr& previous, int verbose = 0);
LoadResult load_text(const std::string& text, const std::string& name);  // for tests

// The files that auth_type needs, read into `result`'s warnings and `snapshot` (compat/auth.md, sections 1, 6, 7).
void load_auth_files(Snapshot& snapshot, const SnapshotPtr& previous, LoadResult& result);

// Console SET: a changed copy, or an error. A setting that needs a restart is accepted and changes nothing.
Result<SnapshotPtr> with_setting(const SnapshotPtr& current, const std::string& name, const std::string& value);

// SHOW CONFIG.
struct ConfigRow {
  std::string key;
  std::optional<std::string> value;
  std::optional<std::string> preset;
  bool changeable;
};
std::vector<ConfigRow> show_config(const Snapshot& snapshot);

// Global settings whose new value cannot hold before a restart, by name.
std::vector<std::string> needs_restart(const Snapshot& before, const Snapshot& after);
// The running values of those are kept in a reload.
void keep_restart_settings(const Global& running, Global& loaded);

// What a reload changes, for its log lines.
struct Difference {
  std::vector<std::string> settings;  // global settings with another value
  std::vector<std::string> restart;   // those of them that need a restart
  std::vector<std::string> added;     // databases; "*" is the template
  std::vector<std::string> removed;
  std::vector<std::string> changed;
  std::vector<std::string> recycled;  // those of the changed ones whose servers are of no use any more
  bool users = false;                 // [users] or the userlist
  bool peers = false;
  bool client_tls = false;  // settings, not the contents of files
  bool server_tls = false;
};
Difference diff(const Snapshot& before, const Snapshot& after);

// etc/pgweir.ini, man/pgweir.ini.5 and its part about settings, from the table.
std::string sample_ini();
std::string manual_page();
std::string settings_table();  // in Markdown, for docs/migrating.md
std::string manual_settings();

std::string describe(const Problem& problem);  // "text (file:line)" unless the text names them

}  // namespace pgweir::settings
