// Entries as journald reads them, into a socket of our own: fields, nothing that forges one, big ones by a memory file,
// and a journal that stands still.
#include "service/journal.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/event.hpp"
#include "service/log_rate.hpp"
#include "service/message_ids.hpp"

namespace pgweir::service {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// journald's end.
class Journal {
 public:
  Journal() {
    char name[] = "/tmp/pgweir-journal-XXXXXX";
    directory_ = mkdtemp(name);
    path = directory_ + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Journal() {
    close(fd_);
    unlink(path.c_str());
    rmdir(directory_.c_str());
  }
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // The next entry; of a memory file its content. "" when there is none.
  std::string next() {
    iovec piece{room_.data(), room_.size()};
    alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    ssize_t size = recvmsg(fd_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    cmsghdr* head = size >= 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    return head ? content_of(head) : room_.substr(0, size > 0 ? static_cast<size_t>(size) : 0);
  }
  std::vector<std::string> all() {
    std::vector<std::string> entries;
    for (std::string entry = next(); !entry.empty(); entry = next())
      entries.push_back(entry);
    return entries;
  }

  std::string path;
  bool by_file = false;  // whether the last entry came in a memory file

 private:
  std::string content_of(cmsghdr* head) {
    int file = -1;
    std::memcpy(&file, CMSG_DATA(head), sizeof file);
    struct stat info {};
    fstat(file, &info);
    std::string content(static_cast<size_t>(info.st_size), '\0');
    EXPECT_EQ(pread(file, content.data(), content.size(), 0), info.st_size);
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    EXPECT_EQ(fcntl(file, F_GET_SEALS), seals);  // journald takes no other
    close(file);
    by_file = true;
    return content;
  }

  std::string directory_;
  int fd_ = -1;
  std::string room_ = std::string(1 << 20, '\0');
};

LogRecord record(std::string_view text, Level level = Level::kLog) {
  return {level, text, nullptr, 0, name_of(Event::kStats)};
}

TEST(JournalEntry, HasWhatEachEntryHas) {
  const LogField fields[] = {{"CLIENT_ADDR", "::1"}, {"USER", "app"}, {"SQLSTATE", ""}};
  const std::string id(message_id("query_timeout"));
  EXPECT_EQ(journal_entry({Level::kWarning, "closing", fields, 3, "query_timeout"}),
            "MESSAGE=closing\nPRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=pgweir\nPGWEIR_KIND=query_"
            "timeout\nMESSAGE_ID=" +
                id + "\nPGWEIR_CLIENT_ADDR=::1\nPGWEIR_USER=app\n");
}

TEST(JournalEntry, OfNoKindHasNoId) {
  EXPECT_EQ(journal_entry({Level::kDebug, "text", nullptr, 0}),
            "MESSAGE=text\nPRIORITY=7\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=pgweir\n");
}

// A user called "x\nPRIORITY=0" is one value, with its length in front.
TEST(JournalEntry, ALineFeedBringsNoField) {
  const LogField fields[] = {{"USER", "x\nPRIORITY=0"}};
  const std::string entry = journal_entry({Level::kLog, "a\nMESSAGE=b", fields, 1});
  const std::string message = std::string("MESSAGE\n\x0c\0\0\0\0\0\0\0", 16) + "a\n\tMESSAGE=b\n";
  const std::string user = std::string("PGWEIR_USER\n\x0d\0\0\0\0\0\0\0", 20) + "x\n\tPRIORITY=0\n";
  EXPECT_EQ(entry, message + "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=pgweir\n" + user);
}

TEST(JournalEntry, IsTextForEveryReader) {
  EXPECT_THAT(journal_entry({Level::kLog, "\x1b[2J \xc3\xa9 \xff \xc0\xaf \xed\xa0\x80 \xf0\x9f\x90\x98", nullptr, 0}),
              HasSubstr("MESSAGE=?[2J \xc3\xa9 ? ?? ??? \xf0\x9f\x90\x98\n"));
}

TEST(JournalSink, SendsADatagram) {
  Journal journal;
  auto sink = journal_sink(journal.path);
  EXPECT_TRUE(sink->keeps_fields());
  sink->write(record("hello"));
  EXPECT_THAT(journal.next(), HasSubstr("MESSAGE=hello\n"));
  EXPECT_THAT(journal.next(), IsEmpty());
}

TEST(JournalSink, WhatDoesNotFitGoesInASealedFile) {
  Journal journal;
  auto sink = journal_sink(journal.path);
  const std::string long_value(4000, 'v');
  std::vector<LogField> fields(200, LogField{"BIG", long_value});
  sink->write({Level::kLog, "big", fields.data(), fields.size()});
  const std::string entry = journal.next();
  EXPECT_TRUE(journal.by_file);
  EXPECT_GT(entry.size(), 200 * long_value.size());
  EXPECT_THAT(entry.substr(0, 100), HasSubstr("MESSAGE=big\n"));
  EXPECT_THAT(entry, EndsWith("v\n"));
}

// journald stopped: nothing waits, what was lost is counted and told when it goes on.
TEST(JournalSink, AJournalThatStandsStillCostsRecordsNotTime) {
  Journal journal;
  auto sink = journal_sink(journal.path);
  const unsigned long count = 900;  // more than a socket queues (net.unix.max_dgram_qlen), fewer than a storm
  for (unsigned long at = 0; at < count; ++at)
    sink->write(record("x"));
  const unsigned long taken = journal.all().size();
  ASSERT_LT(taken, count);
  sink->write(record("after"));
  const std::vector<std::string> entries = journal.all();
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_THAT(entries[0], HasSubstr("MESSAGE=" + std::to_string(count - taken) + " log lines were lost here"));
  EXPECT_THAT(entries[0], HasSubstr("PGWEIR_KIND=log_lost\n"));
  EXPECT_THAT(entries[0], HasSubstr("PGWEIR_LOST=" + std::to_string(count - taken) + "\n"));
  EXPECT_THAT(entries[1], HasSubstr("MESSAGE=after\n"));
}

// Nobody need log anything for the loss to be told.
TEST(JournalSink, ALossIsToldByTheClock) {
  Journal journal;
  auto sink = journal_sink(journal.path);
  EXPECT_EQ(sink->untold(), 0U);
  for (unsigned long at = 0; at < 900; ++at)
    sink->write(record("x"));
  const unsigned long lost = sink->untold();
  EXPECT_GT(lost, 0U);
  sink->tick();
  EXPECT_EQ(sink->untold(), lost) << "it still stands still";
  EXPECT_EQ(journal.all().size(), 900 - lost);
  sink->tick();
  EXPECT_EQ(sink->untold(), 0U);
  EXPECT_THAT(journal.next(), HasSubstr("PGWEIR_LOST=" + std::to_string(lost) + "\n"));
  EXPECT_THAT(journal.next(), IsEmpty());
}

TEST(JournalSink, NobodyThereIsALossToo) {
  std::string path;
  {
    Journal gone;
    path = gone.path;
  }
  auto sink = journal_sink(path);
  sink->write(record("x"));
  auto hopeless = journal_sink(std::string(200, 'x'));  // longer than an address can be
  hopeless->write(record("x"));
}

// A machine so slow that ten seconds pass meanwhile lets more through; what is missing is told of all the same.
TEST(JournalSink, AStormIsSummedUpAtTheLatestAtTheEnd) {
  Journal journal;
  const Micros begun = monotonic_now();
  auto sink = journal_sink(journal.path);
  unsigned long taken = 0;
  unsigned long summed = 0;
  auto read = [&] {
    for (const std::string& entry : journal.all()) {
      const size_t at = entry.find("PGWEIR_REPEATED=");
      if (at == std::string::npos) {
        ++taken;
        continue;
      }
      summed += std::stoul(entry.substr(at + std::strlen("PGWEIR_REPEATED=")));
      EXPECT_THAT(entry, HasSubstr(" more records like this in 10 seconds: stats\n"));
      EXPECT_THAT(entry, HasSubstr("PGWEIR_REPEATED_KIND=stats\n"));
      EXPECT_THAT(entry, HasSubstr("PGWEIR_KIND=log_repeated\n"));
    }
  };
  for (unsigned long at = 0; at < kMostInWindow + 25; ++at) {
    sink->write(record("x"));
    read();
  }
  const bool quick = monotonic_now() - begun < kWindow;
  EXPECT_TRUE(taken == kMostInWindow || !quick) << taken;
  sink.reset();
  read();
  EXPECT_TRUE(summed == 25 || !quick) << summed;
  EXPECT_EQ(taken + summed, kMostInWindow + 25UL);
}

}  // namespace
}  // namespace pgweir::service
