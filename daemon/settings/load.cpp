#include "settings/load.hpp"

#include <unistd.h>

#include <cerrno>
#include <map>

#include "base/bytes.hpp"
#include "base/text.hpp"
#include "settings/check.hpp"
#include "settings/connstr.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

constexpr size_t kMaxDatabaseName = 63;  // bytes

class Loader {
 public:
  Loader(LoadResult& result, const SnapshotPtr& previous, int verbose = 0) : result_(result), previous_(previous) {
    snapshot_->global = default_global();
    snapshot_->global.verbose = verbose;
  }

  void run(Ini ini, const std::string& path) {
    path_ = path;
    result_.errors = std::move(ini.errors);
    if (ini.unreadable) return;
    for (IniItem& item : ini.items) {
      take(item);
      wipe(item.value);
    }
    if (!main_seen_) error(path_, 0, "load_init_file: main section missing from config file");
    if (snapshot_->global.conffile.empty()) snapshot_->global.conffile = path;
    load_auth_files(*snapshot_, previous_, result_);
    place_file_warnings();
    cross_check();
    if (result_.errors.empty()) result_.snapshot = snapshot_;
  }

 private:
  void error(const std::string& file, int line, std::string text) {
    result_.errors.push_back({file, line, std::move(text)});
  }
  void error(const IniItem& at, std::string text) { error(at.file, at.line, std::move(text)); }

  // `shown` is the value as it may be told.
  void bad_value(const IniItem& item, const std::string& shown, const std::string& why) {
    error(item, cat("invalid value \"", shown, "\" for parameter ", item.name, " in configuration (", item.file, ":",
                    item.line, "): ", why));
  }
  // A connect string may hold a password, also where it cannot be parsed: then nothing of it is told.
  void bad_entry(const IniItem& item, const std::string& why) {
    bad_value(item, item.value.find("password") == std::string::npos ? item.value : "...", why);
  }

  void take(const IniItem& item) {
    const bool main = item.section == "pgweir" || item.section == "pgbouncer";
    if (item.name.empty()) {
      main_seen_ = main_seen_ || main;
      if (!main && item.section != "databases" && item.section != "users" && item.section != "peers") {
        error(item, cat("invalid section \"", item.section, "\" in configuration (", item.file, ":", item.line, ")"));
      }
      return;
    }
    if (main) return global(item);
    if (item.section == "databases") return database(item);
    if (item.section == "users") return user(item);
    if (item.section == "peers") return peer(item);
  }

  void global(const IniItem& item) {
    const Row* row = find_row(item.name);
    if (!row) {
      std::string near = nearest_setting(item.name);
      return error(item, cat("unknown parameter: pgbouncer/", item.name,
                             near.empty() ? std::string() : cat(", did you mean ", near, "?")));
    }
    places_[row->name] = {item.file, item.line};
    Result<void> done = assign(snapshot_->global, *row, item.value);
    if (!done) bad_value(item, item.value, done.error().message);
  }

  void database(const IniItem& item) {
    if (reserved_database(item.name)) {
      return error(item, cat("database name \"", item.name, "\" is reserved for the console"));
    }
    if (item.name.size() > kMaxDatabaseName) return error(item, cat("too long database name: ", item.name));
    auto entry = parse_database(item.name, item.value);
    if (!entry && item.name != "*") return bad_entry(item, entry.error().message);
    if (!entry) {  // PgBouncer does not look at the template before it is used: no reason to refuse to start
      result_.warnings.push_back(
          {item.file, item.line, cat("the template \"*\" cannot be used: ", entry.error().message)});
      return;
    }
    auto shared = std::make_shared<const Database>(entry.take());
    if (item.name == "*") {
      snapshot_->fallback = shared;
    } else {
      snapshot_->databases[item.name] = shared;
    }
  }

  void user(const IniItem& item) {
    if (item.name.size() > auth::kMaxUserName) return error(item, cat("too long user name: ", item.name));
    auto entry = parse_user(item.name, item.value);
    if (!entry) return bad_entry(item, entry.error().message);
    snapshot_->users[item.name] = entry.take();
  }

  void peer(const IniItem& item) {
    auto entry = parse_peer(item.name, item.value);
    if (!entry) return bad_entry(item, entry.error().message);
    const int id = entry->id;
    snapshot_->peers[id] = entry.take();
  }

  // An error about a setting, told at the line that set it last; without one at the file as a whole.
  void error_at(const char* setting, std::string text) {
    auto place = places_.find(setting);
    if (place == places_.end()) return error(path_, 0, std::move(text));
    error(place->second.first, place->second.second, std::move(text));
  }

  // A warning about one of these files as a whole is told at the line that names the file.
  void place_file_warnings() {
    const Global& global = snapshot_->global;
    const std::pair<const char*, const std::string&> files[] = {{"auth_file", global.auth_file},
                                                                {"auth_hba_file", global.auth_hba_file},
                                                                {"auth_ident_file", global.auth_ident_file}};
    for (Problem& warning : result_.warnings) {
      for (const auto& [setting, path] : files) {
        auto place = places_.find(setting);
        if (warning.line != 0 || warning.file != path || place == places_.end()) continue;
        warning.file = place->second.first;
        warning.line = place->second.second;
      }
    }
  }

  void readable(const char* setting, const std::string& path) {
    if (path.empty() || ::access(path.c_str(), R_OK) == 0) return;
    error_at(setting, cat("TLS setup failed: could not read ", setting, " \"", path, "\": ", errno_text(errno)));
  }

  void cross_check() {
    const Global& global = snapshot_->global;
    check_together(global, [this](const char* setting, std::string text) { error_at(setting, std::move(text)); });
    if (global.client_tls_sslmode == SslMode::kDisable) return;
    readable("client_tls_cert_file", global.client_tls_cert_file);
    readable("client_tls_key_file", global.client_tls_key_file);
    readable("client_tls_ca_file", global.client_tls_ca_file);
  }

  LoadResult& result_;
  const SnapshotPtr& previous_;
  std::shared_ptr<Snapshot> snapshot_ = std::make_shared<Snapshot>();
  std::map<std::string, std::pair<std::string, int>> places_;  // where each setting was set last
  std::string path_;
  bool main_seen_ = false;
};

bool same_users(const auth::Userlist& one, const auth::Userlist& other) {
  if (one.size() != other.size()) return false;
  bool same = true;
  one.for_each([&](const std::string& name, const auth::Secret& secret) {
    const auth::Secret* there = other.find(name);
    same = same && there && there->same_as(secret);
  });
  return same;
}

class AuthFiles {
 public:
  AuthFiles(Snapshot& snapshot, LoadResult& result) : snapshot_(snapshot), result_(result) {}

  void load(const SnapshotPtr& previous) {
    const Global& global = snapshot_.global;
    auto users = std::make_shared<const auth::Userlist>();
    auto maps = std::make_shared<const auth::IdentMaps>();
    auto rules = std::make_shared<const auth::HbaRules>();
    const bool asks_nobody = global.auth_type == AuthType::kAny || global.auth_type == AuthType::kPam;
    if (!asks_nobody && !global.auth_file.empty()) {
      if (auto loaded = taken(auth::load_userlist(global.auth_file), global.auth_file)) users = loaded->users;
    }
    if (global.auth_type == AuthType::kHba) {
      if (!global.auth_ident_file.empty()) {
        if (auto loaded = taken(auth::load_ident(global.auth_ident_file), global.auth_ident_file))
          maps = std::make_shared<const auth::IdentMaps>(std::move(loaded->maps));
      }
      if (auto loaded = taken(auth::load_hba(global.auth_hba_file, *maps), global.auth_hba_file)) rules = loaded->rules;
    }
    snapshot_.ldap = global.auth_type == AuthType::kLdap ? ldap_options(global.auth_ldap_options) : nullptr;
    const bool unchanged = previous && previous->userlist && same_users(*users, *previous->userlist);
    snapshot_.userlist = unchanged ? previous->userlist : users;
    snapshot_.ident = maps;
    snapshot_.hba = rules;
  }

 private:
  // The options may hold a password: nothing of them is told but what is wrong.
  std::shared_ptr<const auth::LdapOptions> ldap_options(const std::string& text) {
    auto options = auth::parse_ldap_options(text);
    if (options) return std::make_shared<const auth::LdapOptions>(options.take());
    result_.warnings.push_back({"", 0, cat("auth_ldap_options cannot be used: ", options.error().message)});
    result_.auth_files_broken = true;
    return nullptr;
  }

  // What was loaded, its complaints passed on; nothing when the file cannot be read.
  template <class Load>
  std::optional<Load> taken(Result<Load> loaded, const std::string& path) {
    if (!loaded) {
      result_.warnings.push_back({path, 0, loaded.error().message, true});
      result_.auth_files_broken = true;
      return std::nullopt;
    }
    for (const auth::Complaint& complaint : loaded->complaints) {
      // The second phrase is PgBouncer's, which monitors look for (compat/messages.tsv).
      const bool rule = complaint.skipped && complaint.text.starts_with("hba line ");
      const bool map = complaint.text.starts_with("could not parse ident");  // a warning there, too
      std::string text =
          rule ? cat(complaint.text, "; could not parse hba config line ", complaint.line) : complaint.text;
      result_.warnings.push_back({complaint.file, complaint.line, std::move(text), complaint.skipped && !rule && !map});
      if (complaint.skipped) result_.auth_files_broken = true;
    }
    return loaded.take();
  }

  Snapshot& snapshot_;
  LoadResult& result_;
};

}  // namespace

void load_auth_files(Snapshot& snapshot, const SnapshotPtr& previous, LoadResult& result) {
  AuthFiles(snapshot, result).load(previous);
}

LoadResult load(const std::string& path, const SnapshotPtr& previous, int verbose) {
  LoadResult result;
  Loader(result, previous, verbose).run(read_ini(path), path);
  return result;
}

LoadResult load_text(const std::string& text, const std::string& name) {
  LoadResult result;
  Loader(result, nullptr).run(parse_ini(text, name), name);
  return result;
}

std::string describe(const Problem& problem) {
  if (problem.file.empty()) return problem.text;
  const std::string place = problem.line == 0 ? problem.file : cat(problem.file, ":", problem.line);
  return problem.text.find(place) != std::string::npos ? problem.text : cat(problem.text, " (", place, ")");
}

}  // namespace pgweir::settings
