// What we say to systemd and what we take from it. Its C calls are replaced at link time (--wrap, see
// tests/CMakeLists.txt).
#include "service/systemd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace pgweir::service {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::NiceMock;
using testing::Return;

struct Systemd {
  Systemd() { current = this; }
  virtual ~Systemd() { current = nullptr; }
  MOCK_METHOD(int, notify, (int unset, std::string state));
  MOCK_METHOD(int, listen_fds, (int unset, char*** names));
  MOCK_METHOD(int, is_socket, (int fd, int family, int type, int listening));
  MOCK_METHOD(int, watchdog, (int unset, uint64_t* usec));
  static Systemd* current;
};

Systemd* Systemd::current = nullptr;

}  // namespace

extern "C" {
int __wrap_sd_notify(int unset, const char* state);
int __wrap_sd_listen_fds_with_names(int unset, char*** names);
int __wrap_sd_is_socket(int fd, int family, int type, int listening);
int __wrap_sd_watchdog_enabled(int unset, uint64_t* usec);

int __wrap_sd_notify(int unset, const char* state) {
  return Systemd::current->notify(unset, state);
}
int __wrap_sd_listen_fds_with_names(int unset, char*** names) {
  return Systemd::current->listen_fds(unset, names);
}
int __wrap_sd_is_socket(int fd, int family, int type, int listening) {
  return Systemd::current->is_socket(fd, family, type, listening);
}
int __wrap_sd_watchdog_enabled(int unset, uint64_t* usec) {
  return Systemd::current->watchdog(unset, usec);
}
}

namespace {

TEST(Notify, TellsEachStep) {
  testing::InSequence order;
  Systemd systemd;
  EXPECT_CALL(systemd, notify(0, "READY=1"));
  EXPECT_CALL(systemd, notify(0, MatchesRegex("RELOADING=1\nMONOTONIC_USEC=[0-9]+")));
  EXPECT_CALL(systemd, notify(0, "READY=1"));
  EXPECT_CALL(systemd, notify(0, "STATUS=stats: 7 xacts/s"));
  EXPECT_CALL(systemd, notify(0, "WATCHDOG=1"));
  EXPECT_CALL(systemd, notify(0, "STOPPING=1"));
  EXPECT_CALL(systemd, notify(0, "EXTEND_TIMEOUT_USEC=10000000"));
  notify_ready();
  notify_reloading();
  notify_ready();
  notify_status("stats: 7 xacts/s");
  notify_alive();
  notify_stopping();
  notify_extend(10 * kSecond);
}

TEST(Notify, ATextCannotBringAVariable) {
  Systemd systemd;
  EXPECT_CALL(systemd, notify(0, "STATUS=a STOPPING=1"));
  EXPECT_CALL(systemd, notify(0, "STATUS=bad file\nERRNO=22"));
  EXPECT_CALL(systemd, notify(0, "STATUS=x READY=1"));
  notify_status("a\nSTOPPING=1");
  notify_failed("bad file", EINVAL);
  notify_failed("x\nREADY=1", 0);
}

TEST(Notify, TheReloadsTimeIsOfTheMonotonicClock) {
  NiceMock<Systemd> systemd;
  std::string said;
  EXPECT_CALL(systemd, notify).WillOnce([&said](int, const std::string& state) {
    said = state;
    return 1;
  });
  timespec before{};
  clock_gettime(CLOCK_MONOTONIC, &before);
  notify_reloading();
  long long usec = std::atoll(said.substr(said.rfind('=') + 1).c_str());
  long long low = before.tv_sec * 1000000LL + before.tv_nsec / 1000;
  EXPECT_GE(usec, low);
  EXPECT_LT(usec, low + 60 * 1000000LL);
}

TEST(Watchdog, IntervalOrNone) {
  Systemd systemd;
  EXPECT_CALL(systemd, watchdog)
      .WillOnce([](int, uint64_t* usec) {
        *usec = 30 * 1000000;
        return 1;
      })
      .WillOnce(Return(0))
      .WillOnce(Return(-22));
  EXPECT_EQ(watchdog_interval(), 30 * 1000000);
  EXPECT_EQ(watchdog_interval(), 0);
  EXPECT_EQ(watchdog_interval(), 0);
}

TEST(PassedSockets, NoneOrAnError) {
  Systemd systemd;
  EXPECT_CALL(systemd, listen_fds).WillOnce(Return(0)).WillOnce(Return(-22));
  std::vector<std::string> unusable;
  EXPECT_THAT(passed_sockets(&unusable), IsEmpty());
  EXPECT_THAT(passed_sockets(&unusable), IsEmpty());
  EXPECT_THAT(unusable, IsEmpty());
}

// Three kinds of listening stream sockets are of use; a datagram socket, a FIFO or anything else is not.
TEST(PassedSockets, OnlyListeningStreamSocketsOfOurFamilies) {
  Systemd systemd;
  EXPECT_CALL(systemd, listen_fds).WillOnce([](int, char*** names) {
    *names = static_cast<char**>(calloc(6, sizeof(char*)));
    for (int at = 0; at < 5; ++at)
      (*names)[at] = strdup(at < 2 ? "pgweir" : "other");
    return 5;
  });
  EXPECT_CALL(systemd, is_socket).WillRepeatedly([](int fd, int family, int type, int listening) {
    if (type != SOCK_STREAM || listening != 1) return -22;
    return (fd == 3 && family == AF_INET) || (fd == 4 && family == AF_INET6) || (fd == 6 && family == AF_UNIX) ? 1 : 0;
  });
  std::vector<std::string> unusable;
  auto passed = passed_sockets(&unusable);
  EXPECT_THAT(passed, ElementsAre(FieldsAre(3, "pgweir"), FieldsAre(4, "pgweir"), FieldsAre(6, "other")));
  EXPECT_THAT(unusable, ElementsAre(HasSubstr("descriptor 5 (other)"), HasSubstr("descriptor 7 (other)")));
}

TEST(ServiceManager, IsThereWhenItWantsToHear) {
  setenv("NOTIFY_SOCKET", "/run/x", 1);
  EXPECT_TRUE(under_service_manager());
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(under_service_manager());
}

}  // namespace
}  // namespace pgweir::service
