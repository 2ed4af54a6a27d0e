// The grammar of the ini (compat/config_file.md, section 1), and that iniparser loses nothing.
#include "settings/ini.hpp"

#include "support.hpp"

namespace pgweir::settings {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// "section/name=value@line"; headers have no name.
std::vector<std::string> items(const Ini& ini) {
  std::vector<std::string> all;
  for (const IniItem& item : ini.items) {
    all.push_back(item.section + "/" + (item.name.empty() ? "" : item.name + "=" + item.value) + "@" +
                  std::to_string(item.line));
  }
  return all;
}

std::vector<std::string> parsed(const std::string& text) {
  Ini ini = parse_ini(text, "f");
  EXPECT_THAT(texts(ini.errors), IsEmpty());
  return items(ini);
}

TEST(Ini, SectionsNamesAndValues) {
  EXPECT_THAT(
      parsed("[databases]\na=1\n  b =  two words \t\n\n[pgbouncer]\nc\t=\t3\n"),
      ElementsAre("databases/@1", "databases/a=1@2", "databases/b=two words@3", "pgbouncer/@5", "pgbouncer/c=3@6"));
}

TEST(Ini, KeepsWhatIniparserWouldLose) {
  EXPECT_THAT(parsed("[databases]\nMyDB = host=a password='x#y;z' connect_query='set a=1; set b=2'\n"),
              ElementsAre("databases/@1", "databases/MyDB=host=a password='x#y;z' connect_query='set a=1; set b=2'@2"));
  EXPECT_THAT(parsed("[p]\nA=\"quoted\"\na='single'\nb=back\\\nc=10 ; x\n"),
              ElementsAre("p/@1", "p/A=\"quoted\"@2", "p/a='single'@3", "p/b=back\\@4", "p/c=10 ; x@5"));
  EXPECT_THAT(parsed("[p]\nx==1\ny=:z\n"), ElementsAre("p/@1", "p/x==1@2", "p/y=:z@3"));
}

TEST(Ini, KeepsEveryByteOfLongValuesAndNames) {
  std::string value, name;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte != '\n') value.push_back(static_cast<char>(byte));
    if (byte != '\n' && byte != '\'') name.push_back(static_cast<char>(byte));
  }
  value = "v" + value + std::string(100000, 'x') + "v";
  Ini ini = parse_ini("[s]\n'" + name + "' = " + value + "\n", "f");
  ASSERT_THAT(ini.items, SizeIs(2));
  EXPECT_EQ(ini.items[1].name, name);
  EXPECT_EQ(ini.items[1].value, value);
}

TEST(Ini, KeepsRepeatedNamesAndSections) {
  EXPECT_THAT(parsed("[a]\nx=1\nx=2\n[b]\nx=3\n[a]\nX=4\n"),
              ElementsAre("a/@1", "a/x=1@2", "a/x=2@3", "b/@4", "b/x=3@5", "a/@6", "a/X=4@7"));
}

TEST(Ini, CommentsStandAtTheBeginningOfALine) {
  EXPECT_THAT(parsed("; one\n  # two\n[a] ; three\nx=1 # four\n"), ElementsAre("a/@3", "a/x=1 # four@4"));
}

TEST(Ini, TextBehindASectionIsTheNextItem) {
  EXPECT_THAT(parsed("[a] x=1\n[b][c]\n"), ElementsAre("a/@1", "a/x=1@1", "b/@2", "c/@2"));
}

TEST(Ini, LineEndsAndTheEnd) {
  EXPECT_THAT(parsed("[a]\r\nx=1\r\ny=2"), ElementsAre("a/@1", "a/x=1@2", "a/y=2@3"));
  EXPECT_THAT(parsed(std::string("[a]\nx=1\0\ny=2", 12)), ElementsAre("a/@1", "a/x=1@2"));
  EXPECT_THAT(parsed(""), IsEmpty());
  EXPECT_THAT(parsed("\n\n"), IsEmpty());
}

TEST(Ini, NamesInSingleQuotes) {
  EXPECT_THAT(parsed("[a]\n'my db' = 1\n'x=y'=2\n* = 3\n"), ElementsAre("a/@1", "a/my db=1@2", "a/x=y=2@3", "a/*=3@4"));
}

TEST(Ini, EmptyValuesAreValues) {
  EXPECT_THAT(parsed("[a]\nx=\ny =   \n"), ElementsAre("a/@1", "a/x=@2", "a/y=@3"));
}

TEST(Ini, AllSyntaxErrorsAreCollected) {
  Ini ini = parse_ini(
      "early = 1\n[a]\njust words\n\"dq\" = 1\n'' = 1\n'open = 1\n%includes x\n[open\nok = 1\n= 1\nü=1\n", "f");
  std::vector<std::string> all = texts(ini.errors);
  ASSERT_THAT(all, SizeIs(9));
  EXPECT_THAT(all[0], HasSubstr("syntax error in configuration (f:1), stopping loading"));
  for (int at = 1; at < 7; ++at)
    EXPECT_THAT(all[at], HasSubstr("syntax error in configuration (f:" + std::to_string(at + 2) + ")"));
  EXPECT_THAT(all[7], HasSubstr("(f:10)"));
  EXPECT_THAT(all[8], HasSubstr("(f:11)"));
  EXPECT_THAT(items(ini), ElementsAre("a/@2", "a/ok=1@9"));
}

TEST(Ini, ErrorsDoNotRepeatTheLine) {
  Ini ini = parse_ini("[databases]\nx y = password=planted\n", "f");
  ASSERT_THAT(ini.errors, SizeIs(1));
  EXPECT_THAT(describe(ini.errors[0]), testing::Not(HasSubstr("planted")));
}

TEST(Include, IsReadInPlace) {
  Folder folder;
  std::string inner = folder.write("inner.ini", "x=2\n[b]\ny=3\n");
  Ini ini = read_ini(folder.write("outer.ini", "[a]\nw=1\n%include " + inner + "\nz=4\n"));
  EXPECT_THAT(texts(ini.errors), IsEmpty());
  EXPECT_THAT(items(ini), ElementsAre("a/@1", "a/w=1@2", "a/x=2@1", "b/@2", "b/y=3@3", "b/z=4@4"));
  EXPECT_EQ(ini.items[2].file, inner);
}

TEST(Include, ANameMayHaveBlanksAndNeedsABlankBefore) {
  Folder folder;
  std::string inner = folder.write("two words.ini", "[a]\n");
  Ini ini = parse_ini("%include\t  " + inner + "  \n", "f");
  EXPECT_THAT(items(ini), ElementsAre("a/@1"));
  EXPECT_THAT(parse_ini("%include\n", "f").errors, SizeIs(1));
  EXPECT_THAT(parse_ini("%include" + inner + "\n", "f").errors, SizeIs(1));
}

TEST(Include, MissingFilesAndDirectoriesAreErrorsWithTheirPlace) {
  Folder folder;
  Ini ini = parse_ini("[a]\n%include /nonexistent/x.ini\n%include " + folder.path("") + "\nx=1\n", "f");
  ASSERT_THAT(ini.errors, SizeIs(2));
  EXPECT_EQ(describe(ini.errors[0]), "could not load file \"/nonexistent/x.ini\": No such file or directory (f:2)");
  EXPECT_THAT(describe(ini.errors[1]), HasSubstr("Is a directory (f:3)"));
  EXPECT_FALSE(read_ini("/nonexistent/y.ini").errors.empty());
  EXPECT_TRUE(read_ini("/nonexistent/y.ini").unreadable);
}

TEST(Include, CyclesAndDepthAreBounded) {
  Folder folder;
  std::string self = folder.write(
      "self.ini", "[a]\n%include " + folder.path("self.ini") + "\n%include " + folder.path("self.ini") + "\n");
  Ini ini = read_ini(self);
  ASSERT_THAT(ini.errors, SizeIs(2));
  EXPECT_THAT(describe(ini.errors[0]), HasSubstr("includes itself"));
  for (int at = 0; at < 12; ++at) {
    folder.write(std::to_string(at) + ".ini",
                 "[d" + std::to_string(at) + "]\n%include " + folder.path(std::to_string(at + 1) + ".ini") + "\n");
  }
  Ini deep = read_ini(folder.path("0.ini"));
  ASSERT_THAT(deep.errors, SizeIs(1));
  EXPECT_THAT(describe(deep.errors[0]), HasSubstr("include nesting limit of 10"));
  EXPECT_THAT(deep.items, SizeIs(11));
}

TEST(Include, AnEndlessFileIsRefused) {
  Ini ini = parse_ini("%include /dev/zero\n[a]\n", "f");
  ASSERT_THAT(ini.errors, SizeIs(1));
  EXPECT_THAT(describe(ini.errors[0]), HasSubstr("larger than"));
  EXPECT_THAT(ini.items, SizeIs(1));
}

TEST(Ini, OrderSurvivesManyBatches) {
  std::string text = "[a]\n";
  for (int at = 0; at < 5000; ++at)
    text += "n" + std::to_string(at) + "=" + std::string(at % 700, 'v') + "\n";
  Ini ini = parse_ini(text, "f");
  ASSERT_THAT(ini.items, SizeIs(5001));
  for (int at = 0; at < 5000; ++at) {
    ASSERT_EQ(ini.items[at + 1].name, "n" + std::to_string(at));
    ASSERT_EQ(ini.items[at + 1].value.size(), static_cast<size_t>(at % 700));
    ASSERT_EQ(ini.items[at + 1].line, at + 2);
  }
}

}  // namespace
}  // namespace pgweir::settings
