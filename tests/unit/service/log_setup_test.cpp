// Which sinks hold under which settings, and that a bad log file costs nothing.
#include "service/log_setup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

namespace pgweir::service {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

class Setup : public testing::Test {
 protected:
  Setup() { EXPECT_NE(mkdtemp(directory_.data()), nullptr); }
  ~Setup() override { std::filesystem::remove_all(directory_); }

  std::string stderr_of(const std::function<void()>& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }

  std::string directory_ = "/tmp/pgweir-unit-setup-XXXXXX";
  Logger log_;
  settings::Global global_;
};

TEST_F(Setup, StandardErrorUnlessQuiet) {
  LogSetup loud(log_, true, 0);
  EXPECT_TRUE(loud.apply(nullptr));
  EXPECT_THAT(stderr_of([&] { log_.log(Event::kStats, "hello"); }), EndsWith("LOG hello\n"));
  loud.leave_stderr();
  EXPECT_TRUE(loud.apply(&global_));
  EXPECT_EQ(stderr_of([&] { log_.log(Event::kStats, "hello"); }), "");
  LogSetup quiet(log_, false, 0);
  EXPECT_TRUE(quiet.apply(nullptr));
  EXPECT_EQ(stderr_of([&] { log_.fatal(Event::kStats, "hello"); }), "");
}

// The command line's is the setting's default (settings::load); by itself it counts until there are settings.
TEST_F(Setup, VerbosityOfTheFileBeatsTheCommandLine) {
  LogSetup two(log_, false, 2);
  EXPECT_TRUE(two.apply(nullptr));
  EXPECT_TRUE(log_.wants(Level::kNoise));
  EXPECT_TRUE(two.apply(&global_));
  EXPECT_FALSE(log_.wants(Level::kDebug));
  global_.verbose = 1;
  EXPECT_TRUE(two.apply(&global_));
  EXPECT_TRUE(log_.wants(Level::kDebug));
  EXPECT_FALSE(log_.wants(Level::kNoise));
}

TEST_F(Setup, ABadLogFileKeepsTheOldOne) {
  LogSetup setup(log_, false, 0);
  global_.logfile = directory_ + "/log";
  ASSERT_TRUE(setup.apply(&global_));
  log_.log(Event::kStats, "first");
  settings::Global bad = global_;
  bad.logfile = "/nonexistent/dir/log";
  bad.verbose = 1;
  Result<void> applied = setup.apply(&bad);
  ASSERT_FALSE(applied);
  EXPECT_THAT(applied.error().message, HasSubstr("Cannot open logfile: '/nonexistent/dir/log'"));
  log_.debug("second");
  EXPECT_THAT(slurp(global_.logfile), EndsWith("DEBUG second\n"));
}

TEST_F(Setup, ApplyReopens) {
  LogSetup setup(log_, false, 0);
  global_.logfile = directory_ + "/log";
  ASSERT_TRUE(setup.apply(&global_));
  log_.log(Event::kStats, "first");
  std::filesystem::rename(global_.logfile, global_.logfile + ".1");
  ASSERT_TRUE(setup.apply(&global_));
  log_.log(Event::kStats, "second");
  EXPECT_THAT(slurp(global_.logfile), EndsWith("LOG second\n"));
  EXPECT_THAT(slurp(global_.logfile + ".1"), Not(HasSubstr("second")));
}

TEST_F(Setup, TheFileCanBeTurnedOff) {
  LogSetup setup(log_, false, 0);
  global_.logfile = directory_ + "/log";
  ASSERT_TRUE(setup.apply(&global_));
  settings::Global without = global_;
  without.logfile.clear();
  ASSERT_TRUE(setup.apply(&without));
  log_.log(Event::kStats, "x");
  EXPECT_EQ(slurp(global_.logfile), "");
}

}  // namespace
}  // namespace pgweir::service
