// Phase 6: who is kept out, and what lies open. Logs in with wrong passwords (twice: no account is locked by that in
// PostgreSQL, but it is logged).
#include <sys/stat.h>

#include <algorithm>

#include "base/text.hpp"
#include "settings/snapshot.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

namespace {

// The server's words of a refusal, without libpq's about where and with `user` made nameless. Empty: no refusal by the
// server, but some other trouble.
std::string refusal(const std::string& message, const std::string& user) {
  const size_t at = message.find("FATAL:");
  if (at == std::string::npos) return {};
  std::string out = message.substr(at);
  for (size_t found = 0; (found = out.find(user)) != std::string::npos;)
    out.replace(found, user.size(), "?");
  return out;
}

Outcome expect_refused(Context& context, const Where& where, const char* whom) {
  auto session = context.open(where, {{"password", random_word()}});
  if (session) return fail(cat(whom, " gets in with a wrong password"));
  const std::string words = refusal(session.error().message, "\n");
  if (words.empty()) return fail(cat("no refusal came: ", session.error().message));
  return pass(cat("refused: ", words.substr(words.find(':') + 1 + (words.find(':') + 1 < words.size() ? 1 : 0))));
}

std::string user_of(Context& context, const Where& where) {
  auto user = where.find("user");
  if (user != where.end()) return user->second;
  auto session = context.open(where);  // libpq's default
  return session ? session->parameter("session_authorization") : "";
}

}  // namespace

Outcome check_wrong_password(Context& context) {
  return expect_refused(context, context.pool(), "a known user");
}

// Same words, whoever it is: who does not know a user's name must not learn it here.
Outcome check_unknown_user(Context& context) {
  const Where where = context.pool();
  const std::string known = user_of(context, where);
  const std::string stranger = random_word();
  const std::string password = random_word();
  auto one = context.open(where, {{"password", password}});
  auto two = context.open(where, {{"password", password}, {"user", stranger}});
  if (two) return fail("a user whom nobody knows gets in");
  if (one) return fail("a known user gets in with a wrong password, an unknown one does not");
  const std::string of_known = refusal(one.error().message, known);
  const std::string of_stranger = refusal(two.error().message, stranger);
  if (of_known.empty()) return fail(cat("no refusal came: ", one.error().message));
  if (of_known != of_stranger)
    return fail(cat("a known user hears \"", of_known, "\", an unknown one \"", of_stranger, "\""));
  return pass("an unknown user hears what a known one hears");
}

Outcome check_console_password(Context& context) {
  return expect_refused(context, context.console(), "an administrator");
}

// Right is asked before the name is looked up, so a command about a database that is not there changes nothing.
Outcome check_console_rights(Context& context) {
  const Where where = context.pool();
  const std::string user = user_of(context, where);
  const std::string admins = context.setting("admin_users");
  if (list_contains(admins, user))
    return skip(cat("the tests' user ", shown_name(user), " is an administrator: use another for --pool"));
  auto session = context.open(where, {{"dbname", context.console().at("dbname")}});
  if (!session) {
    return refusal(session.error().message, "\n").empty() ? fail(cat("no refusal came: ", session.error().message))
                                                          : pass(cat(shown_name(user), " is refused at the console"));
  }
  auto rows = session->query(cat("ENABLE ", random_word()));
  if (!rows && rows.error().message.find("admin access needed") != std::string::npos)
    return list_contains(context.setting("stats_users"), user)
               ? pass(cat(shown_name(user), " may look at figures, and no more"))
               : fail(cat(shown_name(user), " is in no list and may look at figures"));
  return fail(cat(shown_name(user), ", no administrator by name, has the rights of one"));
}

Outcome check_secret_kinds(Context& context) {
  size_t plain = 0;
  size_t md5 = 0;
  const settings::Snapshot& snapshot = *context.ini().snapshot;
  snapshot.userlist->for_each([&](const std::string& /*name*/, const auth::Secret& secret) {
    plain += secret.kind() == auth::SecretKind::kPlain;
    md5 += secret.kind() == auth::SecretKind::kMd5;
  });
  if (plain > 0 && !context.policy().plain_secrets)
    return fail(cat(plain, " passwords stand in the clear in ", snapshot.global.auth_file));
  if (md5 > 0) return warn(cat(md5, " secrets of the userlist are MD5, by which whoever reads them can log in"));
  return pass(cat("none of ", snapshot.userlist->size(), " secrets of the userlist gives a password away"));
}

Outcome check_secret_modes(Context& context) {
  const settings::Snapshot& snapshot = *context.ini().snapshot;
  std::vector<std::pair<std::string, unsigned>> files = {{snapshot.global.client_tls_key_file, S_IRWXO | S_IWGRP},
                                                         {snapshot.global.server_tls_key_file, S_IRWXO | S_IWGRP}};
  bool secret = false;
  for (const auto& [name, database] : snapshot.databases)
    secret = secret || database->password.has_value();
  files.emplace_back(context.options().ini, secret ? S_IRWXO | S_IWGRP : S_IWOTH | S_IWGRP);
  if (!snapshot.global.auth_hba_file.empty()) files.emplace_back(snapshot.global.auth_hba_file, S_IWOTH | S_IWGRP);
  if (!snapshot.global.auth_file.empty()) files.emplace_back(snapshot.global.auth_file, S_IRWXO | S_IWGRP);
  int looked = 0;
  for (const auto& [path, forbidden] : files) {
    struct stat facts {};
    if (path.empty() || ::stat(path.c_str(), &facts) != 0) continue;
    ++looked;
    if (facts.st_mode & forbidden)
      return fail(cat(path, " has mode ", octal(facts.st_mode & 07777), ": others may ",
                      facts.st_mode & forbidden & (S_IWOTH | S_IWGRP) ? "change" : "read", " it"),
                  cat("chmod ", octal(facts.st_mode & 07777 & ~forbidden), ' ', shown_name(path)));
  }
  return pass(cat("of ", looked, " files with keys, secrets and rules none is open to others"));
}

Outcome check_tls_versions(Context& context) {
  const std::string mode = context.setting("client_tls_sslmode");
  if (mode.empty() || mode == "disable") return skip("TLS for clients is off");
  const std::string protocols = context.setting("client_tls_protocols");
  for (const std::string& word : split_names(protocols))
    for (const char* old : {"tlsv1.0", "tlsv1.1", "all", "legacy"})
      if (equal_ignoring_case(word, old))
        return fail(cat("client_tls_protocols = ", protocols, " lets TLS 1.0 or 1.1 in"));
  const Where where = context.pool();
  auto host = where.find("host");
  if (host == where.end() || !host->second.starts_with('/')) {
    auto session = context.open(
        where,
        {{"sslmode", "require"}, {"ssl_min_protocol_version", "TLSv1"}, {"ssl_max_protocol_version", "TLSv1.1"}});
    if (session) return fail(cat("a client got in by ", session->tls_version()));
  }
  return pass(cat("client_tls_protocols = ", protocols, ", and a client with TLS 1.1 is refused"));
}

}  // namespace pgweir::tools::check
