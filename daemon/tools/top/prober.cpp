#include "tools/top/prober.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace pgweir::tools::top {

namespace {

constexpr std::chrono::seconds kKnockPatience(3);
constexpr std::chrono::seconds kPause(2);

Target door_of(const Database& database) {
  Target out;
  out.probe = true;
  out.parameters = {
      {"dbname", "postgres"}, {"user", "pgweir-top"}, {"passfile", "/nonexistent"}, {"gssencmode", "disable"}};
  if (!database.host.empty()) out.parameters.emplace_back("host", database.host);
  if (!database.port.empty()) out.parameters.emplace_back("port", database.port);
  return out;
}

// Where the SQLSTATE of ": 57P03: " stands: a server has sent the error. npos: libpq has made it.
size_t sqlstate_at(const std::string& failure) {
  for (size_t at = failure.find(": "); at != std::string::npos; at = failure.find(": ", at + 1)) {
    const size_t first = failure.find_first_not_of(' ', at + 1);
    if (first == std::string::npos || first + 7 > failure.size()) continue;
    const std::string_view word = std::string_view(failure).substr(first, 5);
    const bool state =
        std::all_of(word.begin(), word.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
    const bool digits = word.find_first_of("0123456789") != std::string_view::npos;  // FATAL has none
    if (state && digits && failure.compare(first + 5, 2, ": ") == 0) return first;
  }
  return std::string::npos;
}

}  // namespace

Probe judge_knock(const std::string& database, bool connected, bool needs_password, const std::string& failure) {
  Probe out{database, true, ""};
  if (connected || needs_password) return out;
  const size_t state = sqlstate_at(failure);
  const bool answer = state != std::string::npos;
  if (answer && failure.compare(state, 5, "57P03") != 0) return out;
  out.answers = false;
  std::string reason = answer ? failure.substr(state + 7) : failure;
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
    door.link->connect(Clock::now() + kKnockPatience);
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
