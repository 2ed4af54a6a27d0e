// The command line: PgBouncer's flags, getopt's rules, what is printed.
#include "service/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pgweir::service {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

CommandLine parse(std::vector<std::string> words) {
  words.insert(words.begin(), "pgweir");
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  return parse_command_line(static_cast<int>(words.size()), argv.data());
}

TEST(CommandLine, AFileAlone) {
  CommandLine line = parse({"/etc/pgweir/pgweir.ini"});
  EXPECT_LT(line.exit_code, 0);
  EXPECT_EQ(line.config, "/etc/pgweir/pgweir.ini");
  EXPECT_FALSE(line.daemon || line.quiet || line.reboot || line.check_config);
  EXPECT_EQ(line.verbose, 0);
  EXPECT_EQ(line.user, "");
}

TEST(CommandLine, ShortFlagsMayBeBundled) {
  CommandLine line = parse({"-dqRvvu", "postgres", "x.ini"});
  EXPECT_LT(line.exit_code, 0);
  EXPECT_TRUE(line.daemon && line.quiet && line.reboot);
  EXPECT_EQ(line.verbose, 2);
  EXPECT_EQ(line.user, "postgres");
  EXPECT_EQ(parse({"-upostgres", "x.ini"}).user, "postgres");
}

TEST(CommandLine, LongFlags) {
  CommandLine line = parse({"--daemon", "--quiet", "--reboot", "--verbose", "--user=postgres", "--check-config", "x"});
  EXPECT_LT(line.exit_code, 0);
  EXPECT_TRUE(line.daemon && line.quiet && line.reboot && line.check_config);
  EXPECT_EQ(line.verbose, 1);
  EXPECT_EQ(line.user, "postgres");
  EXPECT_EQ(parse({"--user", "me", "x"}).user, "me");
  EXPECT_TRUE(parse({"--dae", "x"}).daemon) << "an unambiguous beginning is enough";
}

TEST(CommandLine, OptionsMayFollowTheFile) {
  CommandLine line = parse({"x.ini", "-d", "-v"});
  EXPECT_LT(line.exit_code, 0);
  EXPECT_TRUE(line.daemon);
  EXPECT_EQ(line.config, "x.ini");
}

TEST(CommandLine, TwoDashesEndTheOptions) {
  CommandLine line = parse({"--", "-d"});
  EXPECT_LT(line.exit_code, 0);
  EXPECT_FALSE(line.daemon);
  EXPECT_EQ(line.config, "-d");
}

TEST(CommandLine, VersionNamesUsThePeerAndTheLibraries) {
  for (const char* flag : {"-V", "--version"}) {
    CommandLine line = parse({flag});
    EXPECT_EQ(line.exit_code, 0);
    EXPECT_THAT(line.message, StartsWith("PgBouncer 1.25.2 (pgweir 0.1.0)\nlibevent 2."));
    EXPECT_THAT(line.message, HasSubstr("\ntls: OpenSSL 3."));
    EXPECT_THAT(line.message, EndsWith("\nsystemd: yes\n"));
  }
}

TEST(CommandLine, HelpNamesEveryOption) {
  for (const char* flag : {"-h", "--help"}) {
    CommandLine line = parse({flag});
    EXPECT_EQ(line.exit_code, 0);
    EXPECT_THAT(line.message, StartsWith("Usage: pgweir [OPTION]... CONFIG_FILE\n"));
    for (const char* option : {"--daemon", "--quiet", "--reboot", "--user", "--verbose", "--check-config", "--version"})
      EXPECT_THAT(line.message, HasSubstr(option));
  }
}

TEST(CommandLine, NeedsExactlyOneFile) {
  for (const auto& words : {std::vector<std::string>{}, {"-d"}, {"one", "two"}, {"--"}}) {
    CommandLine line = parse(words);
    EXPECT_EQ(line.exit_code, 1);
    EXPECT_THAT(line.message, EndsWith("\nTry \"pgweir --help\" for more information.\n"));
  }
  EXPECT_THAT(parse({}).message, StartsWith("no configuration file specified\n"));
}

TEST(CommandLine, SaysWhichOptionIsWrong) {
  EXPECT_THAT(parse({"--wrong", "x"}).message, StartsWith("pgweir: unrecognized option '--wrong'\nTry "));
  EXPECT_THAT(parse({"-dz", "x"}).message, StartsWith("pgweir: invalid option -- 'z'\nTry "));
  EXPECT_THAT(parse({"--daemon=yes", "x"}).message,
              StartsWith("pgweir: option '--daemon' doesn't allow an argument\nTry "));
  EXPECT_THAT(parse({"x", "-u"}).message, StartsWith("pgweir: option '-u' requires an argument\nTry "));
  EXPECT_THAT(parse({"x", "--user"}).message, StartsWith("pgweir: option '--user' requires an argument\nTry "));
  EXPECT_THAT(parse({"--ver", "x"}).message, HasSubstr("--ver")) << "verbose or version?";
  for (const char* word : {"--wrong", "-z", "--daemon=yes", "--ver"})
    EXPECT_EQ(parse({word, "x"}).exit_code, 1) << word;
}

TEST(CommandLine, NoNameOfTheProgram) {
  char* argv[] = {nullptr};
  CommandLine line = parse_command_line(0, argv);
  EXPECT_EQ(line.exit_code, 1);
}

}  // namespace
}  // namespace pgweir::service
