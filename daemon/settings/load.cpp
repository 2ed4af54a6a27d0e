#include "settings/load.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.hpp"
#include "settings/connstr.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

bool reserved(const std::string& name) {
  return name == "pgweir" || name == "pgbouncer";
}

class Loader {
 public:
  Loader(LoadResult& result, const SnapshotPtr& previous) : result_(result), previous_(previous) {
    snapshot_->global = default_global();
  }

  void run(Ini ini, const std::string& path) {
    path_ = path;
    result_.errors = std::move(ini.errors);
    for (const IniItem& item : ini.items)
      take(item);
    if (!main_seen_) error({}, "load_init_file: main section missing from config file");
    if (snapshot_->global.conffile.empty()) snapshot_->global.conffile = path;
    load_auth_files();
    cross_check();
    if (result_.errors.empty()) result_.snapshot = snapshot_;
  }

 private:
  void error(const IniItem& at, std::string text) {
    result_.errors.push_back({at.file.empty() ? path_ : at.file, at.line, std::move(text)});
  }
  void warning(const std::string& file, int line, std::string text) {
    result_.warnings.push_back({file, line, std::move(text)});
  }
  void bad_value(const IniItem& item, const std::string& why) {
    error(item, cat("invalid value \"", item.value, "\" for parameter ", item.name, " in configuration (", item.file,
                    ":", item.line, "): ", why));
  }

  void take(const IniItem& item) {
    bool main = item.section == "pgweir" || item.section == "pgbouncer";
    if (item.name.empty()) {
      if (main) return begin_main();
      if (item.section != "databases" && item.section != "users" && item.section != "peers") {
        error(item, cat("invalid section \"", item.section, "\" in configuration (", item.file, ":", item.line, ")"));
      }
      return;
    }
    if (main) return global(item);
    if (item.section == "databases") return database(item);
    if (item.section == "users") return user(item);
    if (item.section == "peers") return peer(item);
  }

  // Every header of the main section begins with the defaults again, for the settings that have one.
  void begin_main() {
    main_seen_ = true;
    for (const Row& row : global_rows()) {
      if (row.preset) (void)assign(snapshot_->global, row, *row.preset).ok();
    }
  }

  void global(const IniItem& item) {
    const Row* row = find_row(item.name);
    if (!row) {
      std::string near = nearest(item.name);
      return error(item, cat("unknown parameter: pgbouncer/", item.name, near.empty() ? "" : ", did you mean ", near));
    }
    Result<void> done = assign(snapshot_->global, *row, item.value);
    if (!done) bad_value(item, done.error().message);
  }

  static size_t distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    for (size_t at = 0; at <= b.size(); ++at)
      row[at] = at;
    for (size_t i = 1; i <= a.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= b.size(); ++j) {
        size_t above = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
        diagonal = above;
      }
    }
    return row[b.size()];
  }

  static std::string nearest(const std::string& name) {
    std::string best;
    size_t least = 4;
    for (const Row& row : global_rows()) {
      size_t d = distance(name, row.name);
      if (d < least) {
        least = d;
        best = row.name;
      }
    }
    return best;
  }

  void database(const IniItem& item) {
    if (reserved(item.name)) return error(item, cat("database name \"", item.name, "\" is reserved for the console"));
    if (item.name.size() > 63) return error(item, cat("too long database name: ", item.name));
    auto entry = parse_database(item.name, item.value);
    if (!entry) {
      if (item.name != "*") return bad_entry(item, entry.error().message);
      return warning(item.file, item.line, cat("the template \"*\" cannot be used: ", entry.error().message));
    }
    auto shared = std::make_shared<const Database>(entry.take());
    if (item.name == "*") {
      snapshot_->fallback = shared;
    } else {
      snapshot_->databases[item.name] = shared;
    }
  }

  // The line may hold a password: it is not repeated.
  void bad_entry(const IniItem& item, const std::string& why) {
    error(item,
          cat("invalid value for parameter ", item.name, " in configuration (", item.file, ":", item.line, "): ", why));
  }

  void user(const IniItem& item) {
    auto entry = parse_user(item.name, item.value);
    if (!entry) return bad_entry(item, entry.error().message);
    snapshot_->users[item.name] = entry.take();
  }

  void peer(const IniItem& item) {
    auto entry = parse_peer(item.name, item.value);
    if (!entry) return bad_entry(item, entry.error().message);
    int id = entry->id;
    snapshot_->peers[id] = entry.take();
  }

  void complain(const std::vector<auth::Complaint>& complaints) {
    for (const auth::Complaint& complaint : complaints) {
      warning(complaint.file, complaint.line, complaint.text);
      if (complaint.skipped) result_.auth_files_broken = true;
    }
  }

  void missing(const std::string& what, const std::string& path, const Error& error) {
    warning(path, 0, cat("could not open ", what, " ", path, ": ", error.message));
    result_.auth_files_broken = true;
  }

  void load_auth_files() {
    const Global& global = snapshot_->global;
    snapshot_->userlist = std::make_shared<const auth::Userlist>();
    snapshot_->hba = std::make_shared<const auth::HbaRules>();
    snapshot_->ident = std::make_shared<const auth::IdentMaps>();
    bool wants_users = global.auth_type != AuthType::kAny && global.auth_type != AuthType::kPam;
    if (wants_users && !global.auth_file.empty()) {
      auto loaded = auth::load_userlist(global.auth_file);
      if (loaded) {
        snapshot_->userlist = loaded->users;
        complain(loaded->complaints);
      } else {
        missing("auth_file", global.auth_file, loaded.error());
      }
    }
    if (global.auth_type != AuthType::kHba) return;
    if (!global.auth_ident_file.empty()) {
      auto loaded = auth::load_ident(global.auth_ident_file);
      if (loaded) {
        snapshot_->ident = std::make_shared<const auth::IdentMaps>(loaded->maps);
        complain(loaded->complaints);
      } else {
        missing("ident config file", global.auth_ident_file, loaded.error());
      }
    }
    auto loaded = auth::load_hba(global.auth_hba_file, *snapshot_->ident);
    if (loaded) {
      snapshot_->hba = loaded->rules;
      complain(loaded->complaints);
    } else {
      missing("hba config file", global.auth_hba_file, loaded.error());
    }
  }

  void readable(const char* setting, const std::string& path) {
    if (path.empty()) return error({}, cat(setting, " must be set when client TLS is enabled"));
    if (::access(path.c_str(), R_OK) != 0)
      error({}, cat("cannot read ", setting, " ", path, ": ", std::strerror(errno)));
  }

  void cross_check() {
    const Global& global = snapshot_->global;
    if (global.client_tls_sslmode != SslMode::kDisable) {
      readable("client_tls_cert_file", global.client_tls_cert_file);
      readable("client_tls_key_file", global.client_tls_key_file);
    }
    if (global.client_tls_sslmode == SslMode::kVerifyFull && global.client_tls_ca_file.empty()) {
      error({}, "client_tls_sslmode verify-full needs client_tls_ca_file");
    }
    if (global.auth_type == AuthType::kCert && global.client_tls_sslmode != SslMode::kVerifyFull) {
      error({}, "auth_type cert needs client_tls_sslmode verify-full");
    }
    if (reserved(global.auth_dbname)) error({}, "auth_dbname cannot be the console's database");
  }

  LoadResult& result_;
  const SnapshotPtr& previous_;
  std::shared_ptr<Snapshot> snapshot_ = std::make_shared<Snapshot>();
  std::string path_;
  bool main_seen_ = false;
};

}  // namespace

LoadResult load(const std::string& path, const SnapshotPtr& previous) {
  LoadResult result;
  Loader(result, previous).run(read_ini(path), path);
  return result;
}

LoadResult load_text(const std::string& text, const std::string& name) {
  LoadResult result;
  Loader(result, nullptr).run(parse_ini(text, name), name);
  return result;
}

Result<SnapshotPtr> with_setting(const SnapshotPtr& current, const std::string& name, const std::string& value) {
  const Row* row = find_row(name);
  if (!row) return Error{cat("unknown parameter: pgbouncer/", name)};
  auto changed = std::make_shared<Snapshot>(*current);
  Result<void> done = assign(changed->global, *row, value);
  if (!done) return Error{cat("invalid value \"", value, "\" for parameter ", name, ": ", done.error().message)};
  if (!row->reloadable) return current;
  return SnapshotPtr(changed);
}

std::vector<ConfigRow> show_config(const Snapshot& snapshot) {
  std::vector<ConfigRow> rows;
  for (const Row& row : global_rows())
    rows.push_back({row.name, show(snapshot.global, row), row.preset, row.reloadable});
  return rows;
}

std::vector<std::string> needs_restart(const Snapshot& before, const Snapshot& after) {
  std::vector<std::string> names;
  for (const Row& row : global_rows()) {
    if (!row.reloadable && show(before.global, row) != show(after.global, row)) names.push_back(row.name);
  }
  return names;
}

void keep_restart_settings(const Global& running, Global& loaded) {
  for (const Row& row : global_rows()) {
    if (row.reloadable) continue;
    std::visit([&](auto member) { loaded.*member = running.*member; }, row.member);
  }
}

std::string describe(const Problem& problem) {
  if (problem.line == 0 || problem.text.find(cat(problem.file, ":", problem.line)) != std::string::npos)
    return problem.text;
  return cat(problem.text, " (", problem.file, ":", problem.line, ")");
}

}  // namespace pgweir::settings
