// Phase 1: what must be right before anybody connects. Reads files and /proc, connects, logs in nowhere.
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>

#include "base/text.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

namespace {

constexpr long kSpareDescriptors = 64;  // listeners, logs, wake-ups, the console

// Whether something speaks the protocol there, without logging in.
bool answers(const std::string& host, const std::string& port, int seconds) {
  const std::string timeout = cat(seconds);
  const char* keys[] = {"host", "port", "connect_timeout", "sslmode", nullptr};
  const char* values[] = {host.c_str(), port.c_str(), timeout.c_str(), "disable", nullptr};
  const PGPing told = PQpingParams(keys, values, 0);
  return told == PQPING_OK || told == PQPING_REJECT;
}

// Who listens there: the process that has bound the unix socket. 0: nobody can tell.
pid_t pid_by_file(const std::string& path) {
  std::ifstream file(path);
  pid_t pid = 0;
  file >> pid;
  return file ? pid : 0;
}

std::string command_of(pid_t pid) {
  std::ifstream file(cat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// Of the line "Max open files"; 0: it cannot be read.
long descriptor_limit(pid_t pid) {
  std::ifstream file(cat("/proc/", pid, "/limits"));
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("Max open files")) continue;
    const auto words = split_names(std::string_view(line).substr(14));
    return words.empty() ? 0 : std::strtol(words.front().c_str(), nullptr, 10);
  }
  return 0;
}

}  // namespace

Outcome check_config_valid(Context& context) {
  const settings::LoadResult& ini = context.ini();
  const std::string& path = context.options().ini;
  if (!ini.errors.empty())
    return fail(cat(settings::describe(ini.errors.front()),
                    ini.errors.size() > 1 ? cat(" (and ", ini.errors.size() - 1, " more)") : ""),
                cat("run: pgweir --check-config ", shown_name(path)));
  if (!ini.snapshot) return fail(cat(path, " cannot be read"));
  // The userlist's mode has a test of its own.
  for (const settings::Problem& problem : ini.warnings)
    if (problem.text.find("chmod") == std::string::npos)
      return warn(settings::describe(problem), cat("run: pgweir --check-config ", shown_name(path)));
  return pass(cat(path, " is valid: ", ini.snapshot->databases.size(), " databases, ", ini.snapshot->userlist->size(),
                  " users in the list"));
}

Outcome check_service_up(Context& context) {
  const Where where = context.pool();
  if (!where.contains("host") && !where.contains("hostaddr"))
    return blocked("it is not known where pgweir listens", "name the ini by --config, or the place by --pool");
  const std::string host = where.contains("host") ? where.at("host") : where.at("hostaddr");
  const std::string port = where.contains("port") ? where.at("port") : "6432";
  if (answers(host, port, context.options().timeout)) return pass(cat("answers at ", place(where)));
  return fail(cat("nothing answers at ", place(where)));
}

Outcome check_sockets(Context& context) {
  const std::string port = cat(context.ini().snapshot->global.listen_port);
  std::string silent;
  std::string heard;
  for (const std::string& address : context.addresses()) {
    std::string& list = answers(address, port, context.options().timeout) ? heard : silent;
    list += cat(list.empty() ? "" : ", ", address);
  }
  if (!silent.empty()) return fail(cat("no answer at port ", port, " of ", silent));
  if (heard.empty()) return fail("the ini names no address to listen at", "set listen_addr or unix_socket_dir");
  return pass(cat("every address of the ini answers: ", heard));
}

Outcome check_userlist(Context& context) {
  const settings::Snapshot& snapshot = *context.ini().snapshot;
  const std::string& path = snapshot.global.auth_file;
  if (path.empty()) {
    return snapshot.global.auth_query.empty() || snapshot.global.auth_user.empty()
               ? fail("auth_file names no file, and there is no auth_user for auth_query", "set auth_file in the ini")
               : skip("there is no userlist: users come from auth_query");
  }
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0)
    return fail(cat(path, ": ", errno_text(errno)), errno == EACCES
                                                        ? "run pgweir-check as root or as the service's account"
                                                        : "write it: pgweir-userlist(1)");
  const unsigned mode = facts.st_mode & 07777;
  const unsigned most = context.policy().userlist_mode;
  if (mode & ~most)
    return fail(cat(path, " has mode ", octal(mode), ", policy ", octal(most)),
                cat("chmod ", octal(most), ' ', shown_name(path)));
  if (snapshot.userlist->size() == 0 && snapshot.global.auth_type != settings::AuthType::kTrust)
    return warn(cat(path, " has no entry"), "write it: pgweir-userlist(1)");
  return pass(cat(path, " has mode ", octal(mode), " and ", snapshot.userlist->size(), " entries"));
}

Outcome check_descriptors(Context& context) {
  const settings::Snapshot& snapshot = *context.ini().snapshot;
  if (snapshot.global.pidfile.empty()) return skip("pidfile is not set: it is not known which process to look at");
  const pid_t pid = pid_by_file(snapshot.global.pidfile);
  if (pid <= 0)
    return fail(cat("no process id can be read from ", snapshot.global.pidfile),
                "start pgweir, or correct pidfile in the ini");
  const long limit = descriptor_limit(pid);
  if (limit == 0)
    return fail(cat("process ", pid, " of ", snapshot.global.pidfile, " does not live"),
                "start pgweir; the file is a dead one's");
  const long clients = std::strtol(context.setting("max_client_conn").c_str(), nullptr, 10);
  long servers = 0;
  for (const auto& [name, database] : snapshot.databases) {
    const int cap = settings::max_db_connections(snapshot, *database);
    servers += cap > 0 ? cap : settings::pool_size(snapshot, *database, "");
  }
  const long needed = clients + servers + kSpareDescriptors;
  const std::string sum =
      cat(needed, " (", clients, " clients, at least ", servers, " servers, ", kSpareDescriptors, " others)");
  if (limit < needed)
    return fail(cat("process ", pid, " (", command_of(pid), ") may open ", limit, " descriptors and may need ", sum),
                cat("LimitNOFILE=", needed * 2, " in the unit, or a smaller max_client_conn"));
  return pass(cat("may open ", limit, " descriptors, may need ", sum));
}

}  // namespace pgweir::tools::check
