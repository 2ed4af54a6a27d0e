// What a client checks. Nothing that a server says is taken on trust.
#include "client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>

namespace chaos {

namespace {

const char* const kZones[] = {"UTC",          "Europe/Berlin", "Asia/Tokyo",       "America/New_York", "Africa/Cairo",
                              "Asia/Kolkata", "Europe/Lisbon", "Pacific/Auckland", "America/Lima",     "Asia/Tehran"};

// Errors that no client has asked for but that the storm brings. Anything else means that something went wrong.
struct Fine {
  const char* code;
  const char* text;   // a part of the message
  bool corrupt_only;  // only when the proxy breaks the framing
};
constexpr Fine kFine[] = {
    {"57P01", "terminating connection due to administrator command", false},
    {"08P01", "terminating connection due to administrator command", false},
    {"08P01", "server conn crashed?", false},
    {"08P01", "server login has been failing", false},
    {"08P01", "query timeout", false},
    {"08P01", "query_timeout", false},
    {"08P01", "query_wait_timeout", false},
    {"08P01", "idle transaction timeout", false},
    {"08P01", "client_login_timeout", false},
    {"08P01", "unknown pkt", true},
    {"08P01", "bad pkt header", true},
    {"08P01", "server answered out of order", true},
};

std::string database_of(const Options& options, char mode) {
  return options.database + (mode == 's' ? "_session" : mode == 'x' ? "_statement" : "");
}

}  // namespace

Client::Client(const Options& options, Tally& tally, int number)
    : options_(options),
      tally_(tally),
      id_("c" + std::to_string(number)),
      mode_(options.modes[static_cast<size_t>(number) % options.modes.size()]),
      random_(options.seed * 1000 + static_cast<uint64_t>(number)) {}

Client::~Client() {
  for (int fd : cancels_)
    ::close(fd);
  for (int fd : orphans_)
    ::close(fd);
}

void Client::run(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
    if (connection_.alive() && (soiled_ || --turns_left_ <= 0)) connection_.close();
    if (!connection_.alive() && !connect()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    turn();
  }
  connection_.close();  // a session that waits for a server must get one
}

bool Client::connect() {
  Manners manners;
  manners.seed = random_();
  if (options_.slow && pick(4) == 0) manners.slice = 1 + pick(9);
  if (options_.slow && pick(6) == 0) {
    manners.swallow = 1 + pick(300);
    manners.pause_reads = 100;
    manners.narrow = true;
  }
  application_ = "app-" + id_ + "-" + std::to_string(pick(4));
  zone_ = kZones[pick(std::size(kZones))];
  zones_ = {zone_};
  orphans_.insert(orphans_.end(), cancels_.begin(), cancels_.end());
  cancels_.clear();
  for (; orphans_.size() > 8; orphans_.pop_front())
    ::close(orphans_.front());
  soiled_ = false;
  prepared_.clear();
  owed_.clear();
  playing_ = "login";
  // A client of a pool of sessions keeps its server: it must make room for others.
  turns_left_ = mode_ == 's' ? 1 + pick(20) : 1 + pick(2000);
  Message error;
  Parameters reports;
  bool stuck = false;
  if (!connection_.open(options_, options_.user, database_of(options_, mode_),
                        {{"application_name", application_}, {"TimeZone", zone_}}, manners, error, &reports, &stuck)) {
    tally_.refused.fetch_add(1);
    if (stuck) {
      tally_.stuck.fetch_add(1);
      std::fprintf(stderr, "STUCK: %s waits for its login\n", id_.c_str());
    }
    if (error.type == 'E' && !allowed(error)) wrong("refused: " + error_field(error.body, 'M'), error);
    return false;
  }
  tally_.connects.fetch_add(1);
  for (const auto& [name, value] : reports) {
    if (!check_parameter(name, value)) return false;
  }
  return true;
}

void Client::turn() {
  owed_.clear();
  batch_.clear();
  row_ = 0;
  auto weight = [this](const Turn& turn) {
    if (!std::strchr(turn.modes, mode_)) return 0;
    return turn.rude ? turn.weight * options_.rude : turn.weight;
  };
  int total = 0;
  for (const Turn* turn = kTurns; turn->weight > 0; ++turn)
    total += weight(*turn);
  int left = pick(total);
  const Turn* turn = kTurns;
  for (;; ++turn) {
    if ((left -= weight(*turn)) < 0) break;
  }
  playing_ = turn->name;
  (this->*turn->play)();
}

bool Client::wrong(const std::string& what, const Message& message) {
  tally_.wrong.fetch_add(1);
  std::fprintf(stderr, "WRONG ANSWER for %s (%s, mode %c, seed %llu): %s (message '%c', %zu bytes)\n", id_.c_str(),
               playing_, mode_, static_cast<unsigned long long>(options_.seed), what.c_str(), message.type,
               message.body.size());
  connection_.close();
  return false;
}

// Whether a cancel request of ours may still hit something: pgweir closes its connection when it is through.
bool Client::cancels_under_way() {
  for (size_t at = 0; at < cancels_.size();) {
    pollfd wait{cancels_[at], POLLIN, 0};
    char end;
    if (::poll(&wait, 1, 0) > 0 && ::recv(cancels_[at], &end, 1, MSG_DONTWAIT) <= 0) {
      ::close(cancels_[at]);
      cancels_.erase(cancels_.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      ++at;
    }
  }
  return !cancels_.empty();
}

// Sends the batch and checks every reply that is owed. False: the connection ended.
bool Client::settle() {
  may_be_cancelled_ = cancels_under_way() || may_be_cancelled_;
  // A cancel that comes while the server waits for CopyData is only noticed when some of it has come.
  bool copying = !owed_.empty() && owed_.back().kind == Kind::kCopyStart;
  if (!batch_.empty()) connection_.send(batch_);  // if that fails, the reason is still to be read
  batch_.clear();
  bool stuck = false;
  Message message;
  while (!owed_.empty()) {
    if (!connection_.receive(message, &stuck)) {
      if (stuck) {
        tally_.stuck.fetch_add(1);
        std::fprintf(stderr, "STUCK: %s (%s, mode %c, seed %llu) waits for %zu answers\n", id_.c_str(), playing_, mode_,
                     static_cast<unsigned long long>(options_.seed), owed_.size());
        connection_.close();
      }
      tally_.lost.fetch_add(1);
      may_be_cancelled_ = false;
      return false;
    }
    if (!check(message)) {
      may_be_cancelled_ = false;
      return false;
    }
  }
  may_be_cancelled_ = may_be_cancelled_ && copying;
  return true;
}

bool Client::check(const Message& message) {
  const Owed& owed = owed_.front();
  switch (message.type) {
    case 'N': return true;
    case 'S': {
      auto [name, value] = parameter_of(message.body);
      return check_parameter(name, value);
    }
    case 't':
      if (owed.kind != Kind::kDescribe) return wrong("ParameterDescription out of order", message);
      return true;
    case 'T':
      if (owed.kind == Kind::kDescribe)
        owed_.pop_front();
      else if (owed.kind != Kind::kRows || row_ > 0)
        return wrong("RowDescription out of order", message);
      return true;
    case '1': return expect(Kind::kParse, message);
    case '2': return expect(Kind::kBind, message);
    case '3': return expect(Kind::kClose, message);
    case 'n': return expect(Kind::kDescribe, message);
    case 'G':
    case 'H': return expect(Kind::kCopyStart, message);
    case 'd': return check_line(message);
    case 'c':
      if (owed.kind != Kind::kLines || row_ != owed.rows) return wrong("CopyDone out of order", message);
      return true;
    case 'D': return check_row(message);
    case 'V': {
      std::string value = message.body.size() < 4 ? "" : message.body.substr(4);
      if (owed.kind == Kind::kFunction && value != owed.third) return wrong("function value " + value, message);
      return expect(Kind::kFunction, message);
    }
    case 'C': return check_complete(message);
    case 'E': return check_error(message);
    case 'Z': return check_ready(message);
    default: return wrong("unexpected message", message);
  }
}

bool Client::expect(Kind kind, const Message& message) {
  if (owed_.front().kind != kind) return wrong("completion out of order", message);
  tally_.replies.fetch_add(1);
  owed_.pop_front();
  return true;
}

bool Client::check_ready(const Message& message) {
  const Owed& owed = owed_.front();
  if (owed.kind != Kind::kReady) return wrong("ReadyForQuery before its answers", message);
  if (message.body.size() != 1) return wrong("malformed ReadyForQuery", message);
  if (!owed.third.empty() && message.body != owed.third)
    return wrong("transaction status " + message.body + " instead of " + owed.third, message);
  owed_.pop_front();
  return true;
}

bool Client::check_complete(const Message& message) {
  const Owed& owed = owed_.front();
  std::string tag = owed.tag;
  if (owed.kind == Kind::kRows) tag = "SELECT " + std::to_string(owed.rows);
  if (owed.kind == Kind::kLines) tag = "COPY " + std::to_string(owed.rows);
  bool counts = owed.kind == Kind::kRows || owed.kind == Kind::kLines;
  if (!counts && owed.kind != Kind::kCommand) return wrong("CommandComplete out of order", message);
  if (counts && row_ != owed.rows) return wrong("wrong number of rows: " + std::to_string(row_), message);
  if (message.body != tag + '\0') return wrong("tag " + message.body + " instead of " + tag, message);
  row_ = 0;
  tally_.replies.fetch_add(1);
  owed_.pop_front();
  return true;
}

bool Client::check_row(const Message& message) {
  if (owed_.front().kind != Kind::kRows) return wrong("row out of order", message);
  std::vector<std::string> columns;
  if (!columns_of(message.body, columns) || columns.size() != 3) return wrong("malformed row", message);
  return check_columns(columns, message);
}

bool Client::check_line(const Message& message) {
  if (owed_.front().kind != Kind::kLines) return wrong("line out of order", message);
  std::vector<std::string> columns;
  std::string line = message.body.substr(0, message.body.size() - 1);
  for (size_t at = 0; at <= line.size();) {
    size_t end = std::min(line.find('\t', at), line.size());
    columns.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  if (columns.size() != 3) return wrong("malformed line", message);
  return check_columns(columns, message);
}

bool Client::check_columns(const std::vector<std::string>& columns, const Message& message) {
  const Owed& owed = owed_.front();
  ++row_;
  if (columns[0] != id_) return wrong("row of client " + columns[0], message);
  if (columns[1] != owed.nonce) return wrong("row of another query: " + columns[1] + " not " + owed.nonce, message);
  std::string third = owed.third.empty()     ? std::to_string(row_)
                      : owed.third[0] == '=' ? owed.third.substr(1)
                                             : columns[2];
  if (owed.third == "*first") remembered_ = columns[2];
  if (owed.third == "*same") third = remembered_;
  if (columns[2] != third)
    return wrong("third column " + columns[2].substr(0, 200) + " instead of " + third.substr(0, 200), message);
  tally_.rows.fetch_add(1);
  return true;
}

// Reports of settings: only values that this client has asked for itself.
bool Client::check_parameter(const std::string& name, const std::string& value) {
  bool fine = true;
  if (name == "application_name") fine = value.rfind("app-" + id_ + "-", 0) == 0;
  if (name == "TimeZone") {
    fine = false;
    for (const std::string& zone : zones_)
      fine = fine || value == zone;
  }
  if (!fine) return wrong("setting of another client: " + name + " = " + value, {'S', value});
  return true;
}

bool Client::allowed(const Message& message) const {
  std::string code = error_field(message.body, 'C');
  std::string text = error_field(message.body, 'M');
  for (const Fine& fine : kFine) {
    if (fine.corrupt_only && !options_.corrupt) continue;
    if (code == fine.code && text.find(fine.text) != std::string::npos) return true;
  }
  return false;
}

// An error ends everything up to the next ReadyForQuery. Those that were not asked for come from kills, cancels and
// timeouts, and are known by their texts; anything else is wrong.
bool Client::check_error(const Message& message) {
  std::string code = error_field(message.body, 'C');
  std::string text = error_field(message.body, 'M');
  const Owed& owed = owed_.front();
  bool asked = owed.kind == Kind::kError && code == owed.third;
  tally_.errors.fetch_add(1);
  tally_.replies.fetch_add(1);
  row_ = 0;
  if (!asked && code == "57014" && text == "canceling statement due to user request") {
    if (!may_be_cancelled_) return wrong("cancelled by somebody else's request", message);
    tally_.cancelled.fetch_add(1);
    // The rest of what was sent may be cancelled too or not: enough to see that the connection still answers.
    while (!owed_.empty() && owed_.front().kind != Kind::kReady)
      owed_.pop_front();
    if (!owed_.empty()) owed_.front().third.clear();
    while (owed_.size() > 1)
      owed_.pop_back();
    soiled_ = true;
    return true;
  }
  if (!asked && !allowed(message)) return wrong("an error nobody asked for: " + code + " " + text, message);
  if (!asked) {
    if (text.find("timeout") != std::string::npos) tally_.timed_out.fetch_add(1);
    tally_.lost.fetch_add(1);
    connection_.close();
    return false;
  }
  while (!owed_.empty() && owed_.front().kind != Kind::kReady)
    owed_.pop_front();
  return true;
}

}  // namespace chaos
