// Shapes of secrets, codecs, digests, preparation of passwords.
#include "auth/secret.hpp"

#include <gtest/gtest.h>

#include "auth/digest.hpp"
#include "auth/password.hpp"
#include "auth/random.hpp"
#include "auth/scram.hpp"
#include "base/text.hpp"

namespace pgweir::auth {
namespace {

const std::string kKey43 = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";  // 32 bytes
const std::string kKeyB = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

TEST(Secret, KindIsDecidedByShape) {
  struct Case {
    std::string text;
    SecretKind kind;
  };
  const std::string digits = "0123456789abcdef0123456789abcdef";
  const Case cases[] = {
      {"", SecretKind::kNone},
      {"hello", SecretKind::kPlain},
      {"md5", SecretKind::kPlain},
      {"md5" + digits, SecretKind::kMd5},
      {"md5" + digits + "0", SecretKind::kPlain},
      {"md5" + digits.substr(1), SecretKind::kPlain},
      {"md5" + digits.substr(1) + "A", SecretKind::kPlain},
      {"MD5" + digits, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kScram},
      {"SCRAM-SHA-256$1:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kScram},
      {"SCRAM-SHA-256$2147483647:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kScram},
      {"SCRAM-SHA-256$2147483648:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$0:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$-1:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096x:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA=$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA==$" + kKey43, SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA==$" + kKey43 + ":c2FsdA==", SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA==$" + kKey43 + ":" + kKeyB + "x", SecretKind::kPlain},
      {"SCRAM-SHA-256$4096:c2FsdA==", SecretKind::kPlain},
      {"SCRAM-SHA-256$", SecretKind::kPlain},
      {"SCRAM-SHA-1$4096:c2FsdA==$" + kKey43 + ":" + kKeyB, SecretKind::kPlain},
  };
  for (const Case& c : cases) {
    Secret secret(c.text);
    EXPECT_EQ(secret.kind(), c.kind) << c.text;
    EXPECT_EQ(secret.text(), c.text);
  }
}

TEST(Secret, VerifierSurvivesFormatting) {
  const std::string text = "SCRAM-SHA-256$4096:c2FsdA==$" + kKey43 + ":" + kKeyB;
  auto verifier = parse_scram_verifier(text);
  ASSERT_TRUE(verifier);
  EXPECT_EQ(verifier->iterations, 4096u);
  EXPECT_EQ(verifier->salt, "salt");
  EXPECT_EQ(verifier->stored_key.size(), 32u);
  EXPECT_EQ(format_scram_verifier(*verifier), text);
}

TEST(Secret, CopiesAndMovesKeepTheText) {
  Secret a(std::string("short"));
  Secret b = a;
  Secret c = std::move(a);
  EXPECT_EQ(b.text(), "short");
  EXPECT_EQ(c.text(), "short");
  b = Secret(std::string(100, 'x'));
  c = b;
  EXPECT_EQ(c.text(), std::string(100, 'x'));
  EXPECT_TRUE(b.same_as(c));
  EXPECT_FALSE(b.same_as(Secret()));
  EXPECT_TRUE(Secret().same_as(Secret()));
}

TEST(Secret, AMovedFromShortSecretLeavesNoBytes) {
  SecretBytes from(std::string("tiny"));
  const char* at = from.view().data();  // inside the object: short strings live there
  SecretBytes to = std::move(from);
  EXPECT_EQ(to.view(), "tiny");
  EXPECT_EQ(std::string(at, 4), std::string(4, '\0'));
}

TEST(Codec, Base64IsStrict) {
  const std::pair<const char*, const char*> good[] = {{"", ""},
                                                      {"Zg==", "f"},
                                                      {"Zm8=", "fo"},
                                                      {"Zm9v", "foo"},
                                                      {"Zm9vYg==", "foob"},
                                                      {"Zm9vYmE=", "fooba"},
                                                      {"+/+/", "\xfb\xff\xbf"}};
  for (auto [text, bytes] : good) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text), std::optional<std::string>(bytes));
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "====", "Z===", "=AAA",
                          "Zg==Zg==", "Zm9*", "\xff\xff\xff\xff"})
    EXPECT_FALSE(base64_decode(bad)) << bad;
  EXPECT_TRUE(base64_decode(base64_encode(std::string(32, 'a')), 32));
  EXPECT_FALSE(base64_decode(base64_encode(std::string(33, 'a')), 32));
  EXPECT_FALSE(base64_decode(std::string(64 * 1024, 'A'), 1024));
}

TEST(Codec, Base64RoundTripsEverySize) {
  for (size_t size = 0; size < 80; ++size) {
    auto bytes = random_bytes(size);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(base64_decode(base64_encode(*bytes)), std::optional<std::string>(*bytes));
    EXPECT_EQ(hex_decode(hex_encode(*bytes)), std::optional<std::string>(*bytes));
  }
}

TEST(Codec, HexIsStrict) {
  EXPECT_EQ(hex_decode("00fFA1"), std::optional<std::string>(std::string("\0\xff\xa1", 3)));
  for (const char* bad : {"0", "0g", " 00", "0x00"})
    EXPECT_FALSE(hex_decode(bad)) << bad;
}

TEST(Random, DiffersEveryTime) {
  auto a = random_bytes(16);
  auto b = random_bytes(16);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(*a, *b);
}

TEST(Digest, KnownAnswers) {
  EXPECT_EQ(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(hex_encode(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex_encode(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");  // RFC 4231, case 6
  EXPECT_EQ(hex_encode(hmac_sha256("", "")), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  EXPECT_EQ(hex_encode(pbkdf2_sha256("passwd", "salt", 1)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
  EXPECT_TRUE(pbkdf2_sha256("passwd", "salt", 0).empty());
  EXPECT_TRUE(exclusive_or("ab", "a").empty());
}

TEST(Digest, NothingEqualsNothing) {
  EXPECT_FALSE(same_secret("", ""));
  EXPECT_FALSE(same_secret("a", "ab"));
  EXPECT_FALSE(same_secret("a", "b"));
  EXPECT_TRUE(same_secret("ab", "ab"));
}

TEST(Saslprep, FollowsPostgres) {
  struct Case {
    const char* in;
    const char* out;
  };
  const Case cases[] = {
      {"", ""},
      {"plain ascii \x01\x7f", "plain ascii \x01\x7f"},  // ASCII is never touched
      {"p\xc3\xa4ss", "p\xc3\xa4ss"},                    // a umlaut
      {"a\xc2\xa0"
       "b",
       "a b"},  // no-break space
      {"a\xe3\x80\x80"
       "b",
       "a b"},  // ideographic space
      {"a\xe2\x80\x8b"
       "b",
       "a b"},               // zero width space: a space in C.1.2
      {"I\xc2\xadX", "IX"},  // soft hyphen goes (RFC 4013, example 1)
      {"a\xef\xbb\xbf"
       "b",
       "ab"},                                                    // byte order mark goes
      {"\xc2\xad", "\xc2\xad"},                                  // nothing would be left: raw
      {"\xc3\xa4\x07", "\xc3\xa4\x07"},                          // prohibited control: raw
      {"\xc2\xa0\xee\x80\x80", "\xc2\xa0\xee\x80\x80"},          // private use: raw, so the space stays too
      {"\xc2\xa0\xff", "\xc2\xa0\xff"},                          // not UTF-8: raw
      {"\xc2\xa0\xc0\xaf", "\xc2\xa0\xc0\xaf"},                  // overlong: raw
      {"\xc2\xa0\xed\xa0\x80", "\xc2\xa0\xed\xa0\x80"},          // surrogate: raw
      {"\xc2\xa0\xf4\x90\x80\x80", "\xc2\xa0\xf4\x90\x80\x80"},  // beyond U+10FFFF: raw
      {"\xc2\xa0\xe2\x82", "\xc2\xa0\xe2\x82"},                  // cut: raw
      {"\xf0\x9f\x94\x91\xc2\xa0", "\xf0\x9f\x94\x91 "},         // four bytes
  };
  for (const Case& c : cases)
    EXPECT_EQ(saslprep(c.in), c.out) << hex_encode(c.in);
}

}  // namespace
}  // namespace pgweir::auth
