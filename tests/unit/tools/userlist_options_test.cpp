// Options, the configuration file, patterns and who is left out.
#include "tools/userlist/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "tools/userlist/report.hpp"
#include "tools/userlist/roles.hpp"

namespace pgweir::tools::userlist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<Loaded> loaded(std::vector<std::string> words, const std::string& default_config = "/no/such/file") {
  words.insert(words.begin(), "pgweir-userlist");
  std::vector<char*> pointers;
  for (std::string& word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return load(static_cast<int>(words.size()), pointers.data(), default_config);
}

class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) {
    char path[] = "/tmp/pgweir-userlist-test-XXXXXX";
    const int fd = ::mkstemp(path);
    if (fd >= 0) ::close(fd);
    path_ = path;
    std::ofstream(path_) << text;
  }
  ~ConfigFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(UserlistOptions, DefaultsNeedNothing) {
  auto got = loaded({});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->settings.output, "/etc/pgweir/userlist.txt");
  EXPECT_EQ(got->settings.mode, 0600u);
  EXPECT_EQ(got->settings.on_failure, OnFailure::kFail);
  EXPECT_EQ(loaded({"--if-configured"})->settings.on_failure, OnFailure::kKeep);
  EXPECT_FALSE(got->configured);
}

TEST(UserlistOptions, TheCommandLineBeatsTheFileAndReplacesItsLists) {
  const ConfigFile file(
      "[userlist]\nconnection = service=x\ninclude = a, b\ninclude = c;d\nexclude = e\nmode = 0640\n"
      "on_failure = keep\nno_superusers = yes\n");
  auto got = loaded({"-c", file.path(), "-i", "f", "--include", "g", "--mode=0400"});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(got->settings.include, ElementsAre("f", "g"));
  EXPECT_THAT(got->settings.exclude, ElementsAre("e"));
  EXPECT_EQ(got->settings.mode, 0400u);
  EXPECT_EQ(got->settings.on_failure, OnFailure::kKeep);
  EXPECT_TRUE(got->settings.no_superusers);
  EXPECT_TRUE(got->configured);
  auto whole = loaded({}, file.path());
  ASSERT_TRUE(whole);
  EXPECT_THAT(whole->settings.include, ElementsAre("a, b", "c;d")) << "the whole rest of the line is one item";
  auto none = loaded({"--no-config"}, file.path());
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->settings.include.empty());
}

TEST(UserlistOptions, EveryComplaintIsToldWithItsPlace) {
  const ConfigFile file("[userlist]\nmode = 0666\nfoo = 1\n");
  auto got = loaded({"-c", file.path(), "--on-failure=pray", "--include=/[/"});
  ASSERT_FALSE(got.ok());
  for (const std::string& part : {file.path() + ":2: mode: \"0666\"", file.path() + ":3: unknown setting foo",
                                  std::string("--on-failure: \"pray\""), std::string("pattern /[/")})
    EXPECT_THAT(got.error().message, HasSubstr(part));
}

TEST(UserlistOptions, NoPasswordInTheListOfProcesses) {
  for (const char* bad : {"host=x password=sec", "postgresql://u:sec@h/d"}) {
    auto got = loaded({"-d", bad});
    ASSERT_FALSE(got.ok());
    EXPECT_THAT(got.error().message, HasSubstr("seen by every user"));
    EXPECT_THAT(got.error().message, testing::Not(HasSubstr("sec@")));
  }
  EXPECT_TRUE(loaded({"-d", "host=x passfile=/x"}));
}

TEST(UserlistOptions, EverySettingOfTheFileIsAnOptionOfTheSameName) {
  for (const Row& row : rows()) {
    EXPECT_TRUE((row.list != nullptr) != (row.apply != nullptr)) << row.shape.name;
    if (!row.key) continue;
    std::string name = row.key;
    std::replace(name.begin(), name.end(), '_', '-');
    EXPECT_EQ(name, row.shape.name);
  }
}

bool fits(const std::string& pattern, const std::string& name) {
  auto compiled = Patterns::compile({pattern});
  EXPECT_TRUE(compiled);
  return compiled->match(name);
}

TEST(UserlistPatterns, GlobsFitWholeNamesRegularExpressionsParts) {
  EXPECT_TRUE(fits("app_*", "app_1"));
  EXPECT_FALSE(fits("app_*", "my_app_1"));
  EXPECT_TRUE(fits("*", ""));
  EXPECT_TRUE(fits("[a-c]?", "b\n"));
  EXPECT_TRUE(fits("a\\*", "a*"));
  EXPECT_FALSE(fits("a\\*", "ab"));
  EXPECT_FALSE(fits("App", "app"));
  EXPECT_TRUE(fits("a/b", "a/b")) << "a slash is nothing special to a glob";
  EXPECT_TRUE(fits("/^(app|web)_[0-9]+$/", "web_12"));
  EXPECT_TRUE(fits("/pp/", "app_1"));
  EXPECT_FALSE(fits("/^pp/", "app_1"));
  EXPECT_TRUE(fits("/", "/")) << "one slash is a glob";
  EXPECT_FALSE(Patterns::compile({"/(/"}).ok());
}

Role role(const std::string& name) {
  Role out;
  out.name = name;
  out.secret = auth::Secret("secret");
  out.can_login = true;
  return out;
}

TEST(UserlistChoice, SaysWhyEachIsLeftOut) {
  Settings settings;
  settings.include = {"a*"};
  settings.exclude = {"*z"};
  settings.no_superusers = true;
  std::vector<Role> all;
  auto add = [&](const std::string& name) -> Role& {
    all.push_back(role(name));
    return all.back();
  };
  add("a9");
  add("b");
  add("az");
  add("a2").member = false;
  add("a3").may_connect = false;
  add("a4").superuser = true;
  add("a5").can_login = false;
  add("a6").expired = true;
  add("a7").secret = auth::Secret();
  add(std::string(128, 'a'));
  add("a1");
  const Choice choice = choose_roles(std::move(all), settings);
  ASSERT_EQ(choice.roles.size(), 2u);
  EXPECT_EQ(choice.roles[0].name, "a1") << "sorted";
  std::vector<std::string> why;
  for (const auto& [name, reason] : choice.left_out)
    why.push_back(name.substr(0, 2) + " " + left_out_word(reason));
  EXPECT_THAT(why, ElementsAre("a2 membership", "a3 database", "a4 superuser", "a5 no login", "a6 expired",
                               "a7 no password", "aa too long", "az name", "b name"));
}

TEST(UserlistChoice, EmptySecretsOnDemand) {
  Settings settings;
  settings.empty_secrets = true;
  std::vector<Role> all = {role("a")};
  all[0].secret = auth::Secret();
  EXPECT_EQ(choose_roles(std::move(all), settings).roles.size(), 1u);
}

TEST(UserlistReport, TellsNamesAndCounts) {
  Report report;
  report.file = "/x";
  report.status = Status::kWritten;
  report.plan.added = {"new"};
  report.plan.changed = {"odd name"};
  report.plan.removed = {"gone\n"};
  report.plan.kept = {"hand"};
  report.plan.unchanged = 7;
  report.left_out = {{"old", LeftOut::kExpired}, {"pg_monitor", LeftOut::kNoLogin}};
  EXPECT_EQ(as_text(report, false, false),
            "+ new\n~ \"odd name\"\n- \"gone\\n\"\n"
            "/x: written: 1 added, 1 changed, 1 removed, 7 unchanged, 1 kept by hand; "
            "left out: 1 expired\n");
  EXPECT_THAT(as_text(report, true, true),
              testing::AllOf(HasSubstr("\x1b[32m+ new\x1b[0m\n"), HasSubstr("  pg_monitor: left out, no login\n")));
  EXPECT_THAT(as_json(report), testing::AllOf(HasSubstr("\"status\":\"written\",\"exit\":0,\"added\":[\"new\"]"),
                                              HasSubstr("{\"role\":\"old\",\"reason\":\"expired\"}"),
                                              HasSubstr("\"server\":null,\"error\":null}\n")));
}

}  // namespace
}  // namespace pgweir::tools::userlist
