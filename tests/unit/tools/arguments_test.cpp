// The table-driven command line that all tools share.
#include "tools/common/arguments.hpp"

#include <gtest/gtest.h>

namespace pgweir::tools {
namespace {

const OptionShape kTable[] = {{'o', "output", "FILE", "where to"},
                              {'q', "quiet", nullptr, "say less"},
                              {0, "check", nullptr, "look only"},
                              {0, "checksum", "KIND", nullptr}};

Result<Arguments> parse(std::vector<std::string> words) {
  words.insert(words.begin(), "tool");
  std::vector<char*> pointers;
  for (std::string& word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return parse_arguments(kTable, static_cast<int>(words.size()), pointers.data());
}

TEST(Arguments, TakeEveryFormOfGetopt) {
  auto got = parse({"-qo", "a", "--output=b", "x", "--output", "c", "--quiet", "--", "-q"});
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->options.size(), 5u);
  EXPECT_EQ(got->options[0].row, 1u);
  EXPECT_EQ(got->options[1].value, "a");
  EXPECT_EQ(got->options[2].value, "b");
  EXPECT_EQ(got->options[3].value, "c");
  EXPECT_EQ(got->options[4].row, 1u);
  EXPECT_EQ(got->operands, (std::vector<std::string>{"x", "-q"}));
  EXPECT_EQ(parse({"--chec"}).ok(), false) << "an ambiguous beginning";
  auto exact = parse({"--check"});
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->options[0].row, 2u);
}

TEST(Arguments, SayWhatIsWrongAndRepeatNoValue) {
  EXPECT_EQ(parse({"-z"}).error().message, "unknown option '-z'");
  EXPECT_EQ(parse({"-o"}).error().message, "option '-o' needs a value");
  EXPECT_EQ(parse({"--output"}).error().message, "option '--output' needs a value");
  EXPECT_EQ(parse({"--quiet=5"}).error().message, "option '--quiet' takes no value");
  EXPECT_EQ(parse({"--pasword=hunter2"}).error().message, "unknown or ambiguous option '--pasword'");
}

TEST(Arguments, HelpHasALineForEachVisibleOption) {
  EXPECT_EQ(options_help(kTable),
            "  -o, --output=FILE               where to\n"
            "  -q, --quiet                     say less\n"
            "      --check                     look only\n");
}

}  // namespace
}  // namespace pgweir::tools
