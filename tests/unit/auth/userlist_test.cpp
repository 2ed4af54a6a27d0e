// auth_file: grammar, limits, look-up, files.
#include "auth/userlist.hpp"

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/scram.hpp"

namespace pgweir::auth {
namespace {

using testing::HasSubstr;

std::string shown(ByteView text) {
  UserlistText parsed = parse_userlist(text, "users");
  std::string out;
  for (const UserRecord& record : parsed.records)
    out += "[" + record.name + "=" + std::string(record.secret.text()) + "]";
  for (const Complaint& complaint : parsed.complaints)
    out += " " + describe(complaint);
  return out;
}

TEST(UserlistText, Grammar) {
  EXPECT_EQ(shown(""), "");
  EXPECT_EQ(shown("\n\n  \t\r\n"), "");
  EXPECT_EQ(shown("\"u\" \"p\""), "[u=p]");
  EXPECT_EQ(shown("\"u\" \"p\"\r\n\"v\" \"q\"\r\n"), "[u=p][v=q]");
  EXPECT_EQ(shown("  \"u\"\t\"p\" the rest \"is\" ignored\n\"v\" \"q\""), "[u=p][v=q]");
  EXPECT_EQ(shown("; comment \"x\" \"y\"\n  ; more\n\"u\" \"p\""), "[u=p]");
  EXPECT_EQ(shown(";"), "");
  EXPECT_EQ(shown("\"a\"\"b\" \"p\"\"q\""), "[a\"b=p\"q]");
  EXPECT_EQ(shown("\"u\" \"\"\"\""), "[u=\"]");
  EXPECT_EQ(shown("\"u\" \"line\nbreak\"\n\"v\" \"q\""), "[u=line\nbreak][v=q]");
  EXPECT_EQ(shown("\"u\" junk \"p\""), "[u=p]");
  EXPECT_EQ(shown("\"u\" \"\""), "[u=]");
  EXPECT_EQ(shown("\"u\" \"p # ; \\ % '\""), "[u=p # ; \\ % ']");
}

TEST(UserlistText, ANameMayHaveLines) {
  EXPECT_EQ(shown("\"a\nb\" \"p\"\n"), "[a\nb=p]") << "and no warning: the secret stands on the line where it ends";
}

TEST(UserlistText, SaysWhereEachRecordStands) {
  const ByteView text = "; c\n  \"a\nb\" \"p\"\"\nq\" rest\n\"v\" junk \"w\"";
  UserlistText parsed = parse_userlist(text, "users");
  ASSERT_EQ(parsed.records.size(), 2u);
  auto piece = [&](size_t from, size_t to) { return text.substr(from, to - from); };
  EXPECT_EQ(piece(parsed.records[0].begin, parsed.records[0].fields_end), "\"a\nb\" \"p\"\"\nq\"");
  EXPECT_EQ(piece(parsed.records[0].fields_end, parsed.records[0].end), " rest\n");
  EXPECT_EQ(piece(parsed.records[1].begin, parsed.records[1].fields_end), "\"v\" junk \"w\"");
  EXPECT_EQ(parsed.records[1].end, text.size());
}

TEST(UserlistText, FirstMalformedRecordEndsIt) {
  EXPECT_THAT(shown("\"u\" \"p\"\nuser \"x\"\n\"v\" \"q\""), HasSubstr("[u=p] users:2: broken auth file"));
  EXPECT_THAT(shown("# comment\n"), HasSubstr("users:1: broken auth file"));
  EXPECT_THAT(shown("\"u"), HasSubstr("users:1: broken auth file"));
  EXPECT_THAT(shown("\n\n\"u\""), HasSubstr("users:3: broken auth file"));
  EXPECT_THAT(shown("\"u\" \"p"), HasSubstr("users:1: broken auth file"));
  EXPECT_THAT(shown("\"u\"\"p\""), HasSubstr("users:1: broken auth file"));
  EXPECT_THAT(shown("\"u\" \"secret text\nno end"), testing::Not(HasSubstr("secret text")));
  UserlistText parsed = parse_userlist("\"u\" \"p\"\nbroken", "users");
  ASSERT_EQ(parsed.complaints.size(), 1u);
  EXPECT_TRUE(parsed.complaints[0].skipped);
  EXPECT_THAT(shown(std::string("\"u\0v\" \"p\"", 9)), HasSubstr("broken auth file: NUL"));
  EXPECT_THAT(shown(std::string("\"u\" \"p\0q\"", 9)), HasSubstr("broken auth file: NUL"));
}

TEST(UserlistText, ASecretOnAnotherLineIsTakenWithAWarning) {
  UserlistText parsed = parse_userlist("\"alice\"\n\"bob\" \"pw\"\n\"carol\" \"x\"", "users");
  ASSERT_EQ(parsed.records.size(), 2u);
  EXPECT_EQ(parsed.records[0].secret.text(), "bob");
  ASSERT_EQ(parsed.complaints.size(), 1u);
  EXPECT_FALSE(parsed.complaints[0].skipped);
  EXPECT_THAT(parsed.complaints[0].text, HasSubstr("\"alice\""));
}

TEST(UserlistText, Limits) {
  auto record = [](size_t name, size_t secret) {
    return "\"" + std::string(name, 'n') + "\" \"" + std::string(secret, 's') + "\"";
  };
  EXPECT_EQ(parse_userlist(record(127, 65530), "f").records.size(), 1u);
  EXPECT_THAT(shown(record(128, 1)), HasSubstr("username too long in auth file"));
  EXPECT_THAT(shown(record(1, 65531)), HasSubstr("password too long in auth file"));
  // The limit counts bytes of the name, not the doubled quotes.
  EXPECT_EQ(parse_userlist("\"" + std::string(254, '"') + "\" \"x\"", "f").records.size(), 1u);
}

TEST(Userlist, LastRecordOfANameWins) {
  Userlist users(parse_userlist("\"u\" \"old\"\n\"v\" \"x\"\n\"u\" \"new\"\n\"v\" \"\"", "f").records);
  EXPECT_EQ(users.size(), 2u);
  ASSERT_TRUE(users.find("u"));
  EXPECT_EQ(users.find("u")->text(), "new");
  ASSERT_TRUE(users.find("v"));
  EXPECT_EQ(users.find("v")->kind(), SecretKind::kNone);
  EXPECT_FALSE(users.find("U"));
  EXPECT_FALSE(users.find(""));
}

TEST(Userlist, KnowsTheUsualIterations) {
  auto secret = [](uint32_t iterations) {
    return Secret(format_scram_verifier(derive_scram_verifier("x", "salt", iterations).value()));
  };
  EXPECT_EQ(Userlist().scram_iterations(), 0u);
  std::vector<UserRecord> records;
  records.push_back({"a", secret(10), 1});
  records.push_back({"b", secret(20), 2});
  records.push_back({"c", secret(20), 3});
  records.push_back({"d", Secret(std::string("plain")), 4});
  EXPECT_EQ(Userlist(records).scram_iterations(), 20u);
}

// A file of its own that goes away.
class File {
 public:
  explicit File(const std::string& text, mode_t mode = 0600) {
    const char* dir = std::getenv("TMPDIR");
    path = std::string(dir ? dir : "/tmp") + "/pgweir-auth-XXXXXX";
    int fd = mkstemp(path.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
    std::ofstream(path) << text;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
  }
  ~File() { ::unlink(path.c_str()); }
  std::string path;
};

TEST(UserlistFile, Loads) {
  File file("\"u\" \"p\"\n");
  auto loaded = load_userlist(file.path);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->users->find("u")->text(), "p");
  EXPECT_TRUE(loaded->complaints.empty());
}

TEST(UserlistFile, KeepsWhatIsRightBeforeTheError) {
  File file("\"u\" \"p\"\nbroken\n\"v\" \"q\"");
  auto loaded = load_userlist(file.path);
  ASSERT_TRUE(loaded);
  EXPECT_TRUE(loaded->users->find("u"));
  EXPECT_FALSE(loaded->users->find("v"));
  ASSERT_EQ(loaded->complaints.size(), 1u);
  EXPECT_EQ(loaded->complaints[0].line, 2);
}

TEST(UserlistFile, WorldReadableIsToldWithTheRemedy) {
  File file("\"u\" \"p\"\n", 0644);
  auto loaded = load_userlist(file.path);
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->complaints.size(), 1u);
  EXPECT_FALSE(loaded->complaints[0].skipped);
  EXPECT_THAT(loaded->complaints[0].text, HasSubstr("mode 0644"));
  EXPECT_THAT(loaded->complaints[0].text, HasSubstr("run chmod 600 " + file.path));
  EXPECT_EQ(userlist_mode_warning("f", 0640), "");
  EXPECT_NE(userlist_mode_warning("f", 0604), "");
}

TEST(UserlistFile, MissingOrNotAFile) {
  auto missing = load_userlist("/nonexistent/users");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "could not open auth_file /nonexistent/users: No such file or directory");
  EXPECT_FALSE(load_userlist("/tmp").ok());
  EXPECT_FALSE(load_userlist("/dev/zero").ok());  // endless
  auto empty = load_userlist("/dev/null");
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->users->size(), 0u);
}

}  // namespace
}  // namespace pgweir::auth
