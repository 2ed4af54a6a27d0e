#include "session/slow.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/text.hpp"
#include "session/say.hpp"

namespace pgweir::session {

namespace {

constexpr size_t kMostName = 64;  // of an application
constexpr std::string_view kNotShown = "(not shown: it may hold a secret)";

// Words beside which secrets stand: ALTER ROLE ... PASSWORD, options of user mappings and subscriptions, connection
// strings and URLs, pgcrypto. With U& a word may be written in escapes, so that it is not seen.
constexpr std::array<std::string_view, 6> kSecretWords = {"passw", "secret", "://", "crypt", "digest(", "u&"};

bool same_letter(char one, char other) {
  return one == other || (one >= 'A' && one <= 'Z' && one - 'A' + 'a' == other);
}

bool may_hold_secret(ByteView sql) {
  return std::any_of(kSecretWords.begin(), kSecretWords.end(), [&](std::string_view word) {
    return std::search(sql.begin(), sql.end(), word.begin(), word.end(), same_letter) != sql.end();
  });
}

std::string cut(ByteView text, size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80)
    --most;  // not inside a letter
  return cat(text.substr(0, most), "...");
}

// Thousandths are kept, so that the parts add up.
std::string milliseconds(Micros time) {
  char text[40];
  std::snprintf(text, sizeof text, "%lld.%03lld ms", static_cast<long long>(time / kMillisecond),
                static_cast<long long>(time % kMillisecond));
  return text;
}

std::string causes(const pool::WaitLog::Shares& shares, const char* equals, std::string (*value)(Micros)) {
  std::string all;
  for (size_t cause = 0; cause < shares.size(); ++cause) {
    if (shares[cause] > 0)
      all += cat(all.empty() ? "" : ", ", pool::kCauseRows[cause].name, equals, value(shares[cause]));
  }
  return all;
}

struct Slow {
  Event event;
  const char* what;
  const char* waited;  // in the words of a time that includes the wait, or does not
  Micros took;
  const SlowNotes::Wait* wait;  // null: it has not waited
  std::string text;
};

void tell(Hub& hub, Client& client, const Slow& slow) {
  LocalPool& pool = *client.local_pool;
  settle_slow(hub, pool, hub.now());
  if (!pool.slow_rate.admit(hub.now())) return;
  static constexpr auto number = [](Micros time) { return std::to_string(time); };
  const track::Value name = client.parameters.value("application_name");
  const std::string application = name ? cut(*name, kMostName) : std::string();
  const Micros waited = slow.wait ? slow.wait->until - slow.wait->from : 0;
  std::string line = cat(slow.what, ": ", milliseconds(slow.took));
  if (waited > 0)
    line +=
        cat(slow.waited, milliseconds(waited), " for a server (", causes(slow.wait->shares, " ", milliseconds), ")");
  if (client.server) line += cat(", server pid ", client.server->backend_pid);
  if (!application.empty()) line += cat(", application_name '", application, "'");
  if (!slow.text.empty()) line += cat(": ", slow.text);
  const std::string duration = number(slow.took), wait = number(waited);
  const std::string why = slow.wait ? causes(slow.wait->shares, "=", number) : std::string();
  say(hub, client, said(Level::kLog, slow.event), line,
      {{"DURATION_US", duration},
       {"WAITED_US", wait},
       {"WAITS", why},
       {"APPLICATION_NAME", application},
       {"QUERY", slow.text}});
}

SlowNotes* notes_of(const Client& client) {
  return client.extras ? client.extras->slow.get() : nullptr;
}

SlowNotes& notes_for(Client& client) {
  auto& slow = client.more().slow;
  if (!slow) slow = std::make_unique<SlowNotes>();
  return *slow;
}

}  // namespace

std::string query_text(ByteView sql) {
  return may_hold_secret(sql) ? std::string(kNotShown) : cut(sql, kMostQueryText);
}

void note_wait(Client& client, Micros start, const pool::WaitLog::Shares& shares, Micros took) {
  notes_for(client).wait = {start, start + took, shares};
}

void note_text(Client& client, ByteView sql) {
  SlowNotes& notes = notes_for(client);
  if (notes.open.empty()) notes.open = query_text(sql);
}

// Texts and answers go in step from a moment on at which nothing runs; a reload in a pipeline may have begun, or ended,
// the noting in its midst.
void note_message(Hub& hub, Client& client, bool alone, bool fresh) {
  SlowNotes& notes = notes_for(client);
  if (alone || notes.since != hub.snapshot.get()) {
    notes.running.clear();
    notes.open.clear();
    notes.in_step = alone;
  }
  if (fresh && notes.running.empty()) notes.in_step = true;
  notes.since = hub.snapshot.get();
}

void note_sent(Client& client) {
  SlowNotes& notes = notes_for(client);
  if (!notes.in_step) return;
  notes.running.push_back(std::move(notes.open));
  notes.open.clear();
}

void slow_answer(Hub& hub, Client& client, Micros query_took, Micros transaction_took) {
  const pool::Rules& rules = client.local_pool->rules();
  SlowNotes* notes = notes_of(client);
  std::string text;
  if (notes && rules.slow_texts && !notes->running.empty()) {
    text = std::move(notes->running.front());
    notes->running.pop_front();
    if (query_took > notes->slowest_took) {
      notes->slowest_took = query_took;
      notes->slowest = text;
    }
  }
  const Micros now = hub.now();
  Counters& counters = client.local_pool->counters;
  if (query_took >= rules.slow_query) {
    ++counters.slow_queries;
    const bool waited = notes && notes->wait.until > 0 && notes->wait.from >= now - query_took;
    tell(hub, client,
         {Event::kSlowQuery, "slow query", ", of which it waited ", query_took, waited ? &notes->wait : nullptr,
          std::move(text)});
  }
  if (transaction_took < 0) return;
  if (transaction_took >= rules.slow_transaction) {
    ++counters.slow_xacts;
    const bool waited = notes && notes->wait.until > 0 && notes->wait.until >= now - transaction_took;
    tell(hub, client,
         {Event::kSlowTransaction, "slow transaction", ", after it had waited ", transaction_took,
          waited ? &notes->wait : nullptr, notes && rules.slow_texts ? std::move(notes->slowest) : std::string()});
  }
  if (notes) {
    notes->slowest.clear();
    notes->slowest_took = -1;
  }
}

void settle_slow(Hub& hub, LocalPool& pool, Micros now) {
  const unsigned long count = pool.slow_rate.untold(now);
  if (count == 0) return;
  const std::string name = cat(pool.shared().database->name, "/", pool.shared().user->name);
  hub.log.write(Level::kLog, Event::kSlowQuery,
                cat(name, ": ", count, " more slow queries and transactions in ", kSlowWindow / kSecond,
                    " seconds were not told one by one"),
                {{"POOL", name}, {"DATABASE", pool.shared().database->name}, {"USER", pool.shared().user->name}});
}

}  // namespace pgweir::session
