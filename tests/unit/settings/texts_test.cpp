// etc/pgweir.ini, man/pgweir.ini.5 and the table in docs/migrating.md are rendered from the table. With
// PGWEIR_REGENERATE=1 this writes them.
#include <cstdlib>

#include "settings/table.hpp"
#include "support.hpp"

namespace pgweir::settings {
namespace {

using testing::HasSubstr;

void same_or_written(const std::string& name, const std::string& text) {
  const std::string path = std::string(PGWEIR_SOURCE_DIR) + "/" + name;
  if (std::getenv("PGWEIR_REGENERATE")) std::ofstream(path, std::ios::binary) << text;
  EXPECT_TRUE(read_file(path) == text)
      << name << " differs from the settings table; run unit_settings with PGWEIR_REGENERATE=1 and commit it";
}

TEST(Texts, TheSampleIniIsTheTables) {
  same_or_written("etc/pgweir.ini", sample_ini());
}

TEST(Texts, TheManualIsTheTables) {
  same_or_written("man/pgweir.ini.5", manual_page());
}

// The part of docs/migrating.md between two marks.
TEST(Texts, TheSettingsInTheMigrationGuideAreTheTables) {
  const std::string name = "docs/migrating.md", begin = "<!-- settings: begin -->\n", end = "<!-- settings: end -->";
  const std::string text = read_file(std::string(PGWEIR_SOURCE_DIR) + "/" + name);
  const size_t from = text.find(begin), to = text.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos && from < to);
  same_or_written(name, text.substr(0, from + begin.size()) + settings_table() + text.substr(to));
}

TEST(Texts, TheSampleLoadsAsItStands) {
  LoadResult result = load_text(sample_ini(), "pgweir.ini");
  EXPECT_THAT(texts(result.errors), testing::IsEmpty());
  ASSERT_TRUE(result.snapshot);
  Global expected = default_global();
  expected.auth_file = "/etc/pgweir/userlist.txt";
  expected.auth_type = AuthType::kScramSha256;
  expected.listen_addr = "localhost";
  expected.unix_socket_dir = "/run/pgweir";
  expected.conffile = "pgweir.ini";
  EXPECT_TRUE(result.snapshot->global == expected);
}

// With every setting's comment mark taken away it is the same configuration: the defaults are what they say.
TEST(Texts, TheSamplesCommentedDefaultsAreTheDefaults) {
  std::istringstream in(sample_ini());
  std::string text, line;
  bool main = false;
  while (std::getline(in, line)) {
    main = main || line == "[pgweir]";
    if (main && line.size() > 1 && line[0] == ';' && line[1] != ';') line.erase(0, 1);
    text += line + "\n";
  }
  LoadResult result = load_text(text, "pgweir.ini");
  EXPECT_THAT(texts(result.errors), testing::IsEmpty());
  ASSERT_TRUE(result.snapshot);
  const Global sample = load_text(sample_ini(), "pgweir.ini").snapshot->global;
  for (const Row& row : global_rows())
    EXPECT_EQ(show(result.snapshot->global, row), show(sample, row)) << row.name;
}

TEST(Texts, NameEverySetting) {
  for (const Row& row : global_rows()) {
    EXPECT_THAT(sample_ini(), HasSubstr(row.name + " ="));
    EXPECT_THAT(manual_page(), HasSubstr(".B " + row.name + "\n"));
  }
  for (const EntryRow& row : entry_rows())
    EXPECT_THAT(manual_page(), HasSubstr(".B " + row.name + "\n"));
}

TEST(Texts, TheSampleHasNoOverlongLines) {
  std::istringstream in(sample_ini());
  for (std::string line; std::getline(in, line);) {
    const bool sql = line.rfind(";auth_query", 0) == 0;
    EXPECT_TRUE(sql || line.size() <= 120u) << line;
  }
}

}  // namespace
}  // namespace pgweir::settings
