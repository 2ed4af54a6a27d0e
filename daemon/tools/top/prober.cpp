#include "tools/top/prober.hpp"

#include <algorithm>
#include <regex>

#include "base/text.hpp"

namespace pgweir::tools::top {

namespace {

constexpr std::chrono::seconds kPatience(3);
constexpr std::chrono::seconds kPause(2);

Target door_of(const Database& database) {
  Target out;
  out.probe = true;
  out.parameters = {
      {"dbname", "postgres"}, {"user", "pgweir-top"}, {"passfile", "/dev/null"}, {"gssencmode", "disable"}};
  if (!database.host.empty()) out.parameters.emplace_back("host", database.host);
  if (!database.port.empty()) out.parameters.emplace_back("port", database.port);
  return out;
}

}  // namespace

Probe judge_knock(const std::string& database, bool connected, bool needs_password, const std::string& failure) {
  Probe out{database, true, ""};
  if (connected || needs_password) return out;
  static const std::regex kAnswer(": +([0-9A-Z]{5}): ");  // an error with its SQLSTATE: a server has sent it
  std::smatch found;
  const bool answer = std::regex_search(failure, found, kAnswer);
  if (answer && found[1] != "57P03") return out;
  out.answers = false;
  std::string reason = answer ? found.suffix().str() : failure;
  if (const size_t at = reason.rfind(" failed: "); !answer && at != std::string::npos) reason.erase(0, at + 9);
  out.reason = reason.substr(0, reason.find(';'));
  return out;
}

void Prober::look_at(const Picture& picture) {
  for (const Database& database : picture.databases) {
    Door& door = doors_[database.name];
    if (database.live > 0 || (is_local(database.host) && !local_)) {
      door = Door();
      continue;
    }
    if (door.link || (door.result && Clock::now() < door.last + kPause)) continue;
    door.last = Clock::now();
    door.link = std::make_unique<Link>(door_of(database));
    door.link->connect(Clock::now() + kPatience);
  }
}

bool Prober::step() {
  bool news = false;
  for (auto& [name, door] : doors_) {
    if (!door.link) continue;
    door.link->step();
    const Link::State state = door.link->state();
    if (state == Link::State::kConnecting) continue;
    const Probe result =
        judge_knock(name, state == Link::State::kReady, door.link->needs_password(), door.link->failure());
    news = news || !door.result || door.result->answers != result.answers || door.result->reason != result.reason;
    door.result = result;
    door.link.reset();
  }
  return news;
}

std::vector<Probe> Prober::results() const {
  std::vector<Probe> out;
  for (const auto& [name, door] : doors_)
    if (door.result) out.push_back(*door.result);
  return out;
}

std::vector<pollfd> Prober::wanted() const {
  std::vector<pollfd> out;
  for (const auto& [name, door] : doors_)
    if (door.link) out.push_back(door.link->wanted());
  return out;
}

std::optional<Clock::time_point> Prober::due() const {
  std::optional<Clock::time_point> out;
  for (const auto& [name, door] : doors_)
    if (door.link) out = out ? std::min(*out, door.link->deadline()) : door.link->deadline();
  return out;
}

}  // namespace pgweir::tools::top
