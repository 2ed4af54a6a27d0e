// md5 challenge and cleartext comparison.
#include "auth/password.hpp"

#include <gtest/gtest.h>

#include "auth/md5.hpp"
#include "auth/scram.hpp"

namespace pgweir::auth {
namespace {

const std::string kSalt("\x01\x02\x03\xff", 4);
const std::string kStored = "md521f3163f8f86fa10bdefbfbd502a8f06";
const std::string kResponse = "md5b54184d151d043b5711f3bb3cd385110";

Secret plain() {
  return Secret(std::string("secret"));
}

Secret scram(const char* password = "secret") {
  auto verifier = derive_scram_verifier(password, "0123456789abcdef", 100);
  return Secret(format_scram_verifier(verifier.value()));
}

TEST(Md5, KnownAnswers) {
  EXPECT_EQ(md5_secret("secret", "bob"), kStored);
  EXPECT_EQ(md5_response(plain(), "bob", kSalt), kResponse);
  EXPECT_EQ(md5_response(Secret(kStored), "bob", kSalt), kResponse);
  EXPECT_EQ(md5_response(Secret(kStored), "other", kSalt), kResponse);  // the user is in the hash already
  EXPECT_EQ(md5_response(Secret(), "bob", kSalt), "");
  EXPECT_EQ(md5_response(scram(), "bob", kSalt), "");
}

TEST(Md5, Verify) {
  EXPECT_TRUE(md5_verify(plain(), "bob", kSalt, kResponse));
  EXPECT_TRUE(md5_verify(Secret(kStored), "bob", kSalt, kResponse));
  EXPECT_FALSE(md5_verify(plain(), "eve", kSalt, kResponse));
  EXPECT_FALSE(md5_verify(plain(), "bob", std::string(4, 'x'), kResponse));
  EXPECT_FALSE(md5_verify(Secret(), "bob", kSalt, kResponse));
  EXPECT_FALSE(md5_verify(scram(), "bob", kSalt, kResponse));
  for (size_t i = 0; i < kResponse.size(); ++i) {
    std::string bent = kResponse;
    bent[i] ^= 1;
    EXPECT_FALSE(md5_verify(plain(), "bob", kSalt, bent)) << i;
  }
  EXPECT_FALSE(md5_verify(plain(), "bob", kSalt, ""));
  EXPECT_FALSE(md5_verify(plain(), "bob", kSalt, kResponse.substr(0, 34)));
  EXPECT_FALSE(md5_verify(plain(), "bob", kSalt, kResponse + "0"));
}

TEST(Md5, TheAnswerOfNobodyIsRefused) {
  // The constant that unknown users are hashed with is public: a client that computes with it must still fail.
  Secret nobody(std::string("md500000000000000000000000000000000"));
  const std::string answer = md5_response(nobody, "bob", kSalt);
  EXPECT_FALSE(md5_verify(Secret(), "bob", kSalt, answer));
  EXPECT_FALSE(md5_verify(scram(), "bob", kSalt, answer));
}

TEST(Password, EveryKindOfSecret) {
  EXPECT_TRUE(verify_password(plain(), "bob", "secret", 0));
  EXPECT_TRUE(verify_password(plain(), "bob", "secret", 100));
  EXPECT_TRUE(verify_password(Secret(kStored), "bob", "secret", 0));
  EXPECT_FALSE(verify_password(Secret(kStored), "eve", "secret", 0));
  EXPECT_TRUE(verify_password(scram(), "bob", "secret", 0));
  for (const Secret& secret : {plain(), Secret(kStored), scram(), Secret()}) {
    for (const char* wrong : {"", "Secret", "secret ", "secre", "md5"})
      EXPECT_FALSE(verify_password(secret, "bob", wrong, 10)) << secret_kind_name(secret.kind()) << " " << wrong;
    if (secret.kind() != SecretKind::kPlain) {
      EXPECT_FALSE(verify_password(secret, "bob", secret.text(), 0));  // the stored text is not a password
    }
  }
}

TEST(Password, LongOnesAreOrdinary) {
  // PgBouncer #1215: a crash at 1024 bytes and more.
  const std::string longest(60'000, 'k');
  EXPECT_TRUE(verify_password(Secret(longest), "bob", longest, 0));
  EXPECT_FALSE(verify_password(Secret(longest), "bob", longest + "k", 0));
  EXPECT_TRUE(verify_password(scram(longest.c_str()), "bob", longest, 0));
}

TEST(Password, HugeIterationCountsAreNotWorkedOff) {
  std::string text(scram().text());
  text.replace(text.find("$100:"), 5, "$2147483647:");
  Secret secret(text);
  ASSERT_EQ(secret.kind(), SecretKind::kScram);
  EXPECT_FALSE(verify_password(secret, "bob", "secret", 0));
  EXPECT_FALSE(verify_password(Secret(), "bob", "secret", 2147483647));
}

}  // namespace
}  // namespace pgweir::auth
