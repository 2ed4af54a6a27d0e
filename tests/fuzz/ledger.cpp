// The ledger of answers under any sequence of sent messages and of answers, sane or not: it never breaks, and whoever
// is told of a swallowed or completed entry is told once.
#include <cstdint>
#include <cstdlib>

#include "track/reply_queue.hpp"

namespace pgweir::track {

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void count(void* context, Kind, Action, StatementNote*) {
  ++*static_cast<size_t*>(context);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static constexpr char kAnswers[] = "ZSENACDTtn123IsVWGHdc";
  static constexpr char kStatus[] = "ITEx";
  ReplyQueue queue;
  size_t owed = 0;
  for (size_t at = 0; at < size; ++at) {
    uint8_t byte = data[at];
    if (byte < 128) {
      auto kind = static_cast<Kind>(byte % 10);
      auto action = static_cast<Action>(byte / 10 % 3);
      size_t before = queue.size();
      Expected expected = queue.expect(kind, action, std::make_unique<StatementNote>());
      require(queue.size() == before + (expected == Expected::kOwed ? 1 : 0));
      owed = queue.size();
    } else {
      char type = kAnswers[byte % (sizeof kAnswers - 1)];
      char status = kStatus[byte / 32 % 4];
      size_t dropped = 0;
      Match match = queue.match(type, ByteView(&status, 1), count, &dropped);
      require(queue.size() <= owed);
      require(dropped == 0 || type == 'E');
      if (type == 'Z' && match.verdict != Match::Verdict::kMismatch) require(match.status == status && status != 'x');
      Kind kind;
      NotePtr note;
      while (queue.take_local(&kind, &note))
        require(queue.size() < owed);
      owed = queue.size();
    }
    bool hidden = false;
    require(!queue.takes_row(&hidden) || !queue.empty());
    require(!queue.all_answered() || queue.empty());
  }
  size_t left = queue.size();
  size_t dropped = 0;
  queue.clear(count, &dropped);
  require(dropped == left && queue.all_answered() && !queue.ambiguous());
  return 0;
}

}  // namespace pgweir::track
