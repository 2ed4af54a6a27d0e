// The ledger against a random model of PostgreSQL's message loop.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <string>

#include "track/reply_queue.hpp"
#include "track/statements.hpp"

namespace pgweir::track {
namespace {

using Verdict = Match::Verdict;

Kind kind_of(char letter) {
  static const std::string letters = "QPBDECSFcfW";
  return static_cast<Kind>(letters.find(letter));
}

// PostgreSQL's main loop, as far as its answers go: postgres.c, PostgresMain and its callees.
class Model {
 public:
  explicit Model(std::mt19937& random) : random_(random) {}

  // The answers to one message. `fails`: this message ends in an error.
  std::string take(char type, bool fails) {
    if (copying_) return in_copy(type, fails);
    if (skipping_ && type != 'S') return "";
    open_ = std::string("QFScf").find(type) == std::string::npos || (open_ && type != 'Q' && type != 'F');
    switch (type) {
      case 'Q': return copies_simple(fails);
      case 'F': return fails ? "EZ" : "VZ";
      case 'S': return sync(fails);
      case 'c':
      case 'f': return "";
      default: break;
    }
    if (fails) {
      skipping_ = true;
      return "E";
    }
    switch (type) {
      case 'P': return "1";
      case 'B': return "2";
      case 'C': return "3";
      case 'D': return pick(2) ? "tT" : "n";
      case 'E':
        if (pick(8) == 0) {
          if (pick(4) == 0) {  // a trigger fails before anything has been read
            skipping_ = true;
            return "GE";
          }
          copying_ = true;
          simple_ = false;
          return "G";
        }
        return pick(2) ? "DDC" : pick(2) ? "I" : "Ds";
      default: return "";
    }
  }

 private:
  int pick(int most) { return static_cast<int>(random_() % static_cast<unsigned>(most)); }
  // Its commit can fail only when something was done and nothing has failed yet.
  std::string sync(bool fails) {
    bool commits = open_ && !skipping_;
    skipping_ = open_ = false;
    return commits && fails ? "EZ" : "Z";
  }
  std::string copies_simple(bool fails) {
    if (fails) return "EZ";
    if (pick(8) == 0) {
      if (pick(4) == 0) return "GEZ";
      copying_ = simple_ = true;
      return "G";
    }
    return pick(2) ? "TDCZ" : "CCZ";
  }
  std::string in_copy(char type, bool fails) {
    if (type == 'S') return "";  // ignored
    copying_ = false;
    bool good = type == 'c' && !fails;
    if (good) return simple_ ? "CZ" : "C";
    skipping_ = !simple_;
    return simple_ ? "EZ" : "E";
  }

  std::mt19937& random_;
  bool skipping_ = false;
  bool copying_ = false;
  bool simple_ = false;
  bool open_ = false;  // extended messages since the last Sync
};

// Two ledgers that were told the same owe the same.
std::string saved(const ReplyQueue& queue) {
  std::string bytes;
  queue.save(bytes);
  return bytes;
}

TEST(LedgerModel, MatchesARandomServer) {
  std::mt19937 random(20261124);
  for (int round = 0; round < 3000; ++round) {
    ReplyQueue queue;
    ReplyQueue quick;  // books what it can by passes(): that must come to the same
    Model model(random);
    std::deque<char> in_flight;
    std::string history;
    bool copying = false;
    bool failed_copy = false;
    auto deliver = [&] {  // the server takes the next message, its answers come back
      char type = in_flight.front();
      in_flight.pop_front();
      std::string answers = model.take(type, random() % 6 == 0);
      history += std::string(" ") + type + "->" + answers;
      failed_copy = failed_copy || answers == "GE";
      for (char answer : answers) {
        Match match = queue.match(answer, answer == 'Z' ? ByteView("I") : ByteView());
        ASSERT_NE(match.verdict, Verdict::kMismatch) << answer << " in" << history;
        if (!quick.passes(answer)) quick.match(answer, answer == 'Z' ? ByteView("I") : ByteView());
        ASSERT_EQ(saved(queue), saved(quick)) << answer << " in" << history;
        if (answer == 'G') copying = true;
        if (answer == 'C' || answer == 'E' || answer == 'Z') copying = false;
      }
    };
    auto send = [&](char type) {
      queue.expect(kind_of(type), Action::kForward);
      quick.expect(kind_of(type), Action::kForward);
      in_flight.push_back(type);
    };
    for (int step = 0; step < 60; ++step) {
      if (copying) {
        // A client that knows it is in COPY: ends it, as clients do. What was pipelined goes first.
        while (!in_flight.empty())
          deliver();
        if (!copying) continue;
        send(random() % 4 ? 'c' : 'f');
        deliver();
        send('S');
        continue;
      }
      if (failed_copy) {
        // It cannot know whether its Sync was read by the COPY: it waits, or sends one that certainly counts.
        failed_copy = false;
        if (random() % 2) {
          while (!in_flight.empty())
            deliver();
        }
        send('S');
        continue;
      }
      if (!in_flight.empty() && random() % 2) {
        // Nothing but Sync may be in flight behind a message that may begin a COPY, or the model's client is broken.
        deliver();
        continue;
      }
      bool may_copy = false;
      for (char type : in_flight)
        may_copy = may_copy || type == 'E' || type == 'Q';
      if (may_copy) {
        if (in_flight.back() != 'S') send('S');
        deliver();
        continue;
      }
      send("QPBDECSF"[random() % 8]);
    }
    while (!in_flight.empty() || copying) {
      while (!in_flight.empty())
        deliver();
      if (copying) {
        send('c');
        deliver();
      }
    }
    send('S');
    deliver();
    if (copying) continue;
    ASSERT_TRUE(queue.all_answered()) << history;
  }
}

}  // namespace
}  // namespace pgweir::track
