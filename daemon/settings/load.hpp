// From files to a Snapshot: everything is read, checked and cross-checked before anything counts. All or nothing: with
// errors there is no snapshot, and whoever runs keeps the one he has.
#pragma once

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
  bool auth_files_broken = false;  // a reload refuses these warnings: the old files stay in force
};

// `previous` (may be null): its auth files are kept where they have not changed.
LoadResult load(const std::string& path, const SnapshotPtr& previous);
LoadResult load_text(const std::string& text, const std::string& name);  // for tests

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

// etc/pgweir.ini and the settings part of man/pgweir.ini.5, from the table.
std::string sample_ini();
std::string manual_settings();

std::string describe(const Problem& problem);  // "text (file:line)" unless the text names them

}  // namespace pgweir::settings
