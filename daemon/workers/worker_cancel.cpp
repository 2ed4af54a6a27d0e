// Cancel requests: found by key on whichever worker has the client, answered there, and the asker told.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "login/cancel.hpp"
#include "session/attach.hpp"
#include "workers/worker.hpp"

namespace pgweir::workers {

using session::CancelOutcome;
using session::Client;
using session::Server;

namespace {

// The first eight bytes of a key; the whole is compared afterwards.
uint64_t head_of(uint32_t pid, ByteView secret) {
  uint32_t first = secret.size() >= 4 ? load_be32(secret.data()) : 0;
  return static_cast<uint64_t>(pid) << 32 | first;
}

bool same_secret(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t at = 0; at < a.size(); ++at)
    difference |= static_cast<unsigned char>(a[at] ^ b[at]);
  return difference == 0;
}

}  // namespace

// OpenSSL's generator; the kernel's, should that fail.
void Worker::draw_random(char* to, size_t size) {
  if (random_.fill(to, size) || getentropy(to, size) == 0) return;
  std::abort();  // no randomness at all: a guessable key would be worse
}

// Eight random bytes as PgBouncer's: the top bit of the first is clear (a positive "process id"); with a peer_id bytes
// 1 and 2 hold it and the low bits of byte 7 the TTL (compat/wire.md, section 6). Longer keys are random beyond.
void Worker::draw_cancel_key(Client& client, size_t secret_size) {
  auto& key = client.cancel_key;
  char* secret = key.reserve(secret_size);
  do {
    char pid[4];
    draw_random(pid, sizeof pid);
    draw_random(secret, secret_size);
    pid[0] = static_cast<char>(pid[0] & 0x7f);
    if (auto peer = snapshot->global.peer_id; peer > 0) {
      pid[1] = static_cast<char>(peer & 0xff);
      pid[2] = static_cast<char>(peer >> 8 & 0xff);
      secret[3] = static_cast<char>(secret[3] | 3);
    }
    key.pid = load_be32(pid);
  } while (key.pid == 0 || keys_.contains(head_of(key.pid, key.view())));
  keys_[head_of(key.pid, key.view())] = &client;
}

void Worker::forget_cancel_key(Client& client) {
  if (client.cancel_key.pid == 0) return;
  auto found = keys_.find(head_of(client.cancel_key.pid, client.cancel_key.view()));
  if (found != keys_.end() && found->second == &client) keys_.erase(found);
  client.cancel_key.pid = 0;
}

Client* Worker::find_by_key(uint32_t pid, ByteView secret) {
  auto found = keys_.find(head_of(pid, secret));
  if (found == keys_.end()) return nullptr;
  Client& client = *found->second;
  return same_secret(client.cancel_key.view(), secret) ? &client : nullptr;
}

std::shared_ptr<session::CancelTicket> Worker::cancel(uint32_t pid, ByteView secret) {
  uint64_t number = next_ticket_++;
  Ticket& ticket = tickets_[number];
  ticket.state = std::make_shared<session::CancelTicket>();
  auto state = ticket.state;
  if (Client* client = find_by_key(pid, secret)) {
    ticket.answers_due = 1;
    start_cancel(*client, [this, number](CancelOutcome outcome) { answer_ticket(number, outcome); });
    return state;
  }
  ticket.answers_due = parts_.fleet.size() - 1;
  if (ticket.answers_due == 0) {
    ticket.answers_due = 1;
    answer_ticket(number, CancelOutcome::kUnknownKey);
    return state;
  }
  for (unsigned other = 0; other < parts_.fleet.size(); ++other) {
    if (other != worker) parts_.fleet.post(other, CancelAsk{pid, std::string(secret), worker, number});
  }
  return state;
}

void Worker::take(const CancelAsk& mail) {
  auto reply = [this, from = mail.from, ticket = mail.ticket](CancelOutcome outcome) {
    parts_.fleet.post(from, CancelAnswer{ticket, outcome});
  };
  if (Client* client = find_by_key(mail.pid, mail.secret)) {
    start_cancel(*client, reply);
  } else {
    reply(CancelOutcome::kUnknownKey);
  }
}

void Worker::take(CancelAnswer mail) {
  answer_ticket(mail.ticket, mail.outcome);
}

// The first answer other than "unknown" counts; when all have said that, it is the answer.
void Worker::answer_ticket(uint64_t number, CancelOutcome outcome) {
  auto found = tickets_.find(number);
  if (found == tickets_.end()) return;
  Ticket& ticket = found->second;
  if (ticket.answers_due > 0) --ticket.answers_due;
  if (outcome == CancelOutcome::kUnknownKey && ticket.answers_due > 0) return;
  ticket.state->outcome = outcome;
  ticket.state->done.open();
  tickets_.erase(found);
}

void Worker::repeat_early_cancels() {
  std::vector<EarlyCancel> due = std::exchange(early_cancels_, {});
  for (EarlyCancel& early : due) {
    auto found =
        std::find_if(clients.begin(), clients.end(), [&](const auto& one) { return one->id == early.client_id; });
    if (found == clients.end()) {
      early.done(CancelOutcome::kNotRunning);
    } else {
      start_cancel(**found, std::move(early.done));
    }
  }
}

void Worker::cancel_abandoned(Server& server) {
  if (server.cancels > 0 || !server.stream.open()) return;
  ++tally.cancels;
  cancels_.push_back(std::make_unique<net::Spawned>());
  cancels_.back()->start(loop, login::forward_cancel(*this, server), [] {});
}

// Only while that client's own query runs is anything sent to its server; one request a server at a time.
bool Worker::start_cancel(Client& client, std::function<void(CancelOutcome)> done) {
  if (client.state() == pool::ClientState::kWaiting) {
    relay_.cancel_waiting(client);
    done(CancelOutcome::kAnsweredHere);
    return true;
  }
  if (client.state() == pool::ClientState::kConsole) {
    parts_.office.cancel_console();
    done(CancelOutcome::kAnsweredHere);
    return true;
  }
  Server* server = client.server;
  // It has just got its server: its request is behind the SETs, or still held. A cancel now would hit those, or
  // nothing; dropped, the request would run on. It waits for the next tick.
  bool soon = server && (server->hidden_set || (client.held && server->replies.all_answered()));
  if (soon) {
    early_cancels_.push_back({client.id, std::move(done)});
    return true;
  }
  if (!server || server->replies.all_answered()) {
    done(CancelOutcome::kNotRunning);
    return false;
  }
  if (server->cancels > 0) {  // one is on its way already: it will do
    done(CancelOutcome::kDelivered);
    return true;
  }
  ++tally.cancels;
  cancels_.push_back(std::make_unique<net::Spawned>());
  cancels_.back()->start(loop, login::forward_cancel(*this, *server), [done] { done(CancelOutcome::kDelivered); });
  return true;
}

}  // namespace pgweir::workers
