// SCRAM-SHA-256: the RFC's vector, both provers against each other, every field bent, every bound.
#include "auth/scram.hpp"

#include <gtest/gtest.h>

#include "auth/digest.hpp"
#include "auth/random.hpp"
#include "base/text.hpp"

namespace pgweir::auth {
namespace {

const std::string kSalt = "0123456789abcdef";
const std::string kProcessKey(32, 'K');

ScramVerifier verifier(ByteView password, uint32_t iterations = 64) {
  return derive_scram_verifier(password, kSalt, iterations).take();
}

// Lets the two talk. The server's success, or whose error it was.
Result<ScramServer::Success> converse(ScramClient& client, ScramServer& server) {
  auto client_first = client.first();
  if (!client_first) return client_first.error();
  auto server_first = server.first(*client_first);
  if (!server_first) return server_first.error();
  auto read = client.read_server_first(*server_first);
  if (!read) return read.error();
  auto client_final = client.final();
  if (!client_final) return client_final.error();
  auto success = server.final(*client_final);
  if (!success) return success;
  auto verified = client.verify(success->server_final);
  if (!verified) return verified.error();
  return success;
}

TEST(Scram, Rfc7677Vector) {
  auto salt = base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==");
  auto server = ScramServer::genuine(derive_scram_verifier("pencil", *salt, 4096).take());
  server.set_nonce_for_test("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  auto first = server.first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*first, "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  auto success = server.final(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  ASSERT_TRUE(success) << success.error().message;
  EXPECT_EQ(success->server_final, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

TEST(Scram, PasswordAgainstVerifier) {
  auto client = ScramClient::with_password("s3cret");
  auto server = ScramServer::genuine(verifier("s3cret"));
  auto success = converse(client, server);
  ASSERT_TRUE(success) << success.error().message;
  EXPECT_EQ(sha256(success->keys.client_key.view()), verifier("s3cret").stored_key.view());
}

TEST(Scram, KeysOfOneLoginOpenAnother) {
  auto client = ScramClient::with_password("s3cret");
  auto server = ScramServer::genuine(verifier("s3cret"));
  auto success = converse(client, server);
  ASSERT_TRUE(success);
  auto onward = ScramClient::with_keys(success->keys);
  auto postgres = ScramServer::genuine(verifier("s3cret"));
  EXPECT_TRUE(converse(onward, postgres).ok());
  // Another salt is another verifier: the keys do not fit, and the failure is the server's.
  auto stranger = ScramServer::genuine(derive_scram_verifier("s3cret", "another salt here", 64).take());
  auto again = ScramClient::with_keys(success->keys);
  EXPECT_FALSE(converse(again, stranger).ok());
}

TEST(Scram, KeysNeedTheirSize) {
  auto client = ScramClient::with_keys({SecretBytes("short"), SecretBytes(std::string(32, 'x'))});
  EXPECT_FALSE(client.first().ok());
}

TEST(Scram, MemorySparesTheRounds) {
  auto client = ScramClient::with_password("s3cret");
  auto server = ScramServer::genuine(verifier("s3cret"));
  EXPECT_TRUE(client.memory().salt.empty());
  ASSERT_TRUE(converse(client, server));
  ScramMemory memory = client.memory();
  EXPECT_EQ(memory.salt, kSalt);

  auto second = ScramClient::with_password("s3cret", memory);
  auto server2 = ScramServer::genuine(verifier("s3cret"));
  auto server_first = server2.first(second.first().value());
  ASSERT_TRUE(second.read_server_first(*server_first));
  EXPECT_EQ(second.rounds(), 0u);
  EXPECT_TRUE(server2.final(second.final().value()).ok());

  auto third = ScramClient::with_password("s3cret", memory);
  auto server3 = ScramServer::genuine(derive_scram_verifier("s3cret", "new salt", 65).take());
  server_first = server3.first(third.first().value());
  ASSERT_TRUE(third.read_server_first(*server_first));
  EXPECT_EQ(third.rounds(), 65u);
  EXPECT_TRUE(server3.final(third.final().value()).ok());
}

TEST(Scram, WrongPasswordFails) {
  for (const char* wrong : {"", "S3cret", "s3cret ", "md5"}) {
    auto client = ScramClient::with_password(wrong);
    auto server = ScramServer::genuine(verifier("s3cret"));
    auto success = converse(client, server);
    ASSERT_FALSE(success);
    EXPECT_EQ(success.error().sqlstate, "08P01");
  }
}

TEST(Scram, MockLooksRealAndFails) {
  std::string salts[2];
  for (std::string& salt : salts) {
    auto client = ScramClient::with_password("");
    auto server = ScramServer::mock("ghost", kProcessKey, 64);
    auto first = server.first(client.first().value());
    ASSERT_TRUE(first);
    salt = first->substr(first->find(",s="));
    ASSERT_TRUE(client.read_server_first(*first));
    auto success = server.final(client.final().value());
    ASSERT_FALSE(success);
    EXPECT_EQ(success.error().message, "SCRAM: wrong password");  // as for a real user
  }
  EXPECT_EQ(salts[0], salts[1]);
  EXPECT_EQ(scram_salt(kProcessKey, "ghost").size(), kScramSaltSize);
  EXPECT_NE(scram_salt(kProcessKey, "ghost"), scram_salt(kProcessKey, "other"));
  EXPECT_NE(scram_salt(kProcessKey, "ghost"), scram_salt(std::string(32, 'L'), "ghost"));
}

TEST(Scram, MockFailsEvenWithItsOwnKeys) {
  // Whoever knew the process key could make the mock's server key, but nobody may pass.
  auto server = ScramServer::mock("ghost", kProcessKey, 64);
  EXPECT_TRUE(server.is_mock());
  auto client = ScramClient::with_keys({SecretBytes(hmac_sha256(kProcessKey, "stored key of ghost")),
                                        SecretBytes(hmac_sha256(kProcessKey, "server key of ghost"))});
  EXPECT_FALSE(converse(client, server).ok());
}

TEST(Scram, DeriveBoundsItsWork) {
  EXPECT_FALSE(derive_scram_verifier("x", kSalt, 0).ok());
  EXPECT_FALSE(derive_scram_verifier("x", kSalt, kMaxScramIterations + 1).ok());
  EXPECT_FALSE(derive_scram_verifier("x", kSalt, UINT32_MAX).ok());
}

TEST(Scram, MechanismMustBeTheOneOffered) {
  EXPECT_TRUE(check_scram_mechanism("SCRAM-SHA-256").ok());
  for (const char* other : {"", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "scram-sha-256", "PLAIN"}) {
    auto checked = check_scram_mechanism(other);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().message, kScramWrongMechanism);
  }
}

TEST(ScramServerFirst, AcceptsWhatClientsSend) {
  for (const char* message :
       {"n,,n=,r=abc", "y,,n=,r=abc", "n,,n=some=20user,r=abc", "n,,n=,r=abc,x=ext,y=more", "n,,n=n=,r=abc"}) {
    auto server = ScramServer::genuine(verifier("x"));
    EXPECT_TRUE(server.first(message).ok()) << message;
  }
  auto server = ScramServer::genuine(verifier("x"));
  EXPECT_TRUE(server.first("n,,n=,r=" + std::string(kMaxScramNonce, 'n')).ok());
}

TEST(ScramServerFirst, RefusesTheRest) {
  const std::string cases[] = {
      "",
      "n",
      "n,",
      "n,,",
      ",,n=,r=abc",
      "x,,n=,r=abc",
      "p=tls-server-end-point,,n=,r=abc",
      "p,,n=,r=abc",
      "n,a=admin,n=,r=abc",
      "nn,,n=,r=abc",
      "n,,m=ext,n=,r=abc",
      "n,,r=abc",
      "n,,r=abc,n=",
      "n,,n=",
      "n,,n=,",
      "n,,n=,r=",
      "n,,n=,r",
      "n,,n=,r=abc,",
      "n,,n=,r=abc,,",
      "n,,n=,r=abc,m=ext",
      "n,,n=,r=abc,1=x",
      "n,,n=,r=abc,x",
      "n,,n=,r=a c",
      "n,,n=,r=a\x7f",
      "n,,n=,r=a\xc3\xa4",
      std::string("n,,n=,r=a\0b", 11),
      "n,,n=,r=" + std::string(kMaxScramNonce + 1, 'n'),
      "n,,n=,r=" + std::string(64 * 1024, 'n'),
      "n,,n=" + std::string(kMaxScramMessage, 'u') + ",r=abc",
  };
  for (const std::string& message : cases) {
    auto server = ScramServer::genuine(verifier("x"));
    EXPECT_FALSE(server.first(message).ok()) << message.substr(0, 80);
    EXPECT_FALSE(server.final("c=biws,r=abc,p=").ok());
    EXPECT_FALSE(server.first("n,,n=,r=abc").ok()) << "a second try after a failure";
  }
}

// A finished client-final-message and the server that waits for it.
struct Final {
  ScramServer server = ScramServer::genuine(verifier("s3cret"));
  std::string message;
  explicit Final(const char* flag = "n") {
    auto client = ScramClient::with_password("s3cret");
    std::string first = client.first().value();
    first[0] = flag[0];
    auto server_first = server.first(first);
    EXPECT_TRUE(client.read_server_first(*server_first).ok());
    message = client.final().value();
  }
};

TEST(ScramServerFinal, EveryFieldCounts) {
  EXPECT_TRUE([] {
    Final f;
    return f.server.final(f.message).ok();
  }());
  const size_t size = Final().message.size();
  for (size_t i = 0; i < size; ++i) {
    Final f;
    f.message[i] ^= 1;
    EXPECT_FALSE(f.server.final(f.message).ok()) << i << ' ' << f.message;
  }
  for (size_t cut = 0; cut < size; ++cut) {
    Final f;
    EXPECT_FALSE(f.server.final(f.message.substr(0, cut)).ok()) << cut;
  }
  for (const char* tail : {",", "=", ",x=y", ",m=y", ",p=AAAA", "\n"}) {
    Final f;
    EXPECT_FALSE(f.server.final(f.message + tail).ok()) << tail;
  }
}

TEST(ScramServerFinal, ExtensionsAreSignedToo) {
  Final f;
  f.message.insert(f.message.find(",p="), ",x=y");
  EXPECT_FALSE(f.server.final(f.message).ok());  // well-formed, but the proof is over other bytes
  Final g;
  g.message.insert(g.message.find(",p="), ",m=y");
  EXPECT_FALSE(g.server.final(g.message).ok());
}

TEST(ScramServerFinal, BindingFollowsTheFlag) {
  Final wrong("y");  // says y, then c=biws
  EXPECT_FALSE(wrong.server.final(wrong.message).ok());
  // With eSws the flag is right; the client's own AuthMessage has c=biws, so that the proof is made anew here.
  auto server = ScramServer::genuine(verifier("s3cret"));
  auto server_first = server.first("y,,n=,r=abc");
  ASSERT_TRUE(server_first);
  const std::string nonce = server_first->substr(2, server_first->find(',') - 2);
  const std::string without_proof = "c=eSws,r=" + nonce;
  const std::string salted = pbkdf2_sha256("s3cret", kSalt, 64);
  const std::string client_key = hmac_sha256(salted, "Client Key");
  const std::string signature = hmac_sha256(sha256(client_key), cat("n=,r=abc,", *server_first, ",", without_proof));
  EXPECT_TRUE(server.final(without_proof + ",p=" + base64_encode(exclusive_or(client_key, signature))).ok());
}

TEST(ScramServerFinal, OncePerExchange) {
  Final f;
  EXPECT_TRUE(f.server.final(f.message).ok());
  EXPECT_FALSE(f.server.final(f.message).ok());
  Final g;
  EXPECT_FALSE(g.server.final("c=biws").ok());
  EXPECT_FALSE(g.server.final(g.message).ok());  // no second guess
}

TEST(ScramServerFinal, ForeignNonceOfTheSameClient) {
  Final a;
  Final b;
  EXPECT_FALSE(a.server.final(b.message).ok());
}

std::string server_first_for(ScramClient& client, const std::string& rest) {
  std::string first = client.first().value();
  return "r=" + first.substr(first.find("r=") + 2) + rest;
}

TEST(ScramClientFirst, RefusesAHostileServer) {
  const std::string good = "NONCE,s=c2FsdA==,i=64";
  {
    auto client = ScramClient::with_password("x");
    EXPECT_TRUE(client.read_server_first(server_first_for(client, good)).ok());
    EXPECT_EQ(client.rounds(), 64u);
  }
  const std::string cases[] = {
      ",s=c2FsdA==,i=64",  // nothing added to our nonce
      "NO NCE,s=c2FsdA==,i=64",
      "N\x01,s=c2FsdA==,i=64",
      "NONCE,s=,i=64",
      "NONCE,s=c2FsdA=,i=64",
      "NONCE,i=64,s=c2FsdA==",
      "NONCE,s=c2FsdA==",
      "NONCE,s=c2FsdA==,i=",
      "NONCE,s=c2FsdA==,i=0",
      "NONCE,s=c2FsdA==,i=-1",
      "NONCE,s=c2FsdA==,i=+1",
      "NONCE,s=c2FsdA==,i=64x",
      "NONCE,s=c2FsdA==,i= 64",
      "NONCE,s=c2FsdA==,i=1000001",
      "NONCE,s=c2FsdA==,i=2147483648",
      "NONCE,s=c2FsdA==,i=4294967297",
      "NONCE,s=c2FsdA==,i=18446744073709551617",
      "NONCE,s=c2FsdA==,i=" + std::string(1000, '9'),
      "NONCE,s=c2FsdA==,i=64,x=y",
      "NONCE,s=c2FsdA==,i=64,",
      std::string(kMaxScramNonce + 1, 'N') + ",s=c2FsdA==,i=64",
      std::string(64 * 1024, 'N') + ",s=c2FsdA==,i=64",
      "NONCE,s=" + std::string(64 * 1024, 'A') + ",i=64",
      "NONCE,s=" + base64_encode(std::string(kMaxScramSalt + 1, 's')) + ",i=64",
  };
  for (const std::string& rest : cases) {
    auto client = ScramClient::with_password("x");
    auto read = client.read_server_first(server_first_for(client, rest));
    EXPECT_FALSE(read.ok()) << rest.substr(0, 60);
    EXPECT_FALSE(client.final().ok());
    EXPECT_EQ(client.rounds(), 0u);
  }
  for (const char* whole : {"", "r=", "r=foreign,s=c2FsdA==,i=64", "m=ext,r=x", "e=other-error", "s=c2FsdA==,i=64"}) {
    auto client = ScramClient::with_password("x");
    ASSERT_TRUE(client.first().ok());
    EXPECT_FALSE(client.read_server_first(whole).ok()) << whole;
  }
}

TEST(ScramClientFirst, LimitsThemselvesAreFine) {
  auto client = ScramClient::with_password("x");
  EXPECT_TRUE(client
                  .read_server_first(server_first_for(
                      client, std::string(kMaxScramNonce, 'N') +
                                  ",s=" + base64_encode(std::string(kMaxScramSalt, 's')) + ",i=1000000"))
                  .ok());
  EXPECT_EQ(client.rounds(), 1'000'000u);
}

// A client that waits for the server's last word.
struct Waiting {
  ScramClient client = ScramClient::with_password("s3cret");
  std::string server_final;
  Waiting() {
    auto server = ScramServer::genuine(verifier("s3cret"));
    auto server_first = server.first(client.first().value());
    EXPECT_TRUE(client.read_server_first(*server_first).ok());
    server_final = server.final(client.final().value()).value().server_final;
  }
};

TEST(ScramClientFinal, ServerMustProveItself) {
  const size_t size = Waiting().server_final.size();
  for (size_t i = 0; i < size; ++i) {
    Waiting w;
    w.server_final[i] ^= 1;
    EXPECT_FALSE(w.client.verify(w.server_final).ok()) << i;
    EXPECT_TRUE(w.client.memory().salt.empty());
  }
  for (const char* text : {"", "v=", "v", "v=AAAA", "x=y", "v=====", "p=AAAA"}) {
    Waiting w;
    EXPECT_FALSE(w.client.verify(text).ok()) << text;
    EXPECT_FALSE(w.client.verify(w.server_final).ok()) << "no second try";
  }
  Waiting extra;
  EXPECT_FALSE(extra.client.verify(extra.server_final + ",x=y").ok());
  Waiting foreign;
  auto refused = foreign.client.verify("v=" + base64_encode(std::string(32, 'x')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "invalid server signature");
}

TEST(ScramClientFinal, ServersErrorIsBounded) {
  Waiting w;
  EXPECT_EQ(w.client.verify("e=invalid-proof").error().message, "SCRAM: server says invalid-proof");
  Waiting longer;
  EXPECT_LT(longer.client.verify("e=" + std::string(10'000, 'x')).error().message.size(), 200u);
  Waiting dirty;
  EXPECT_EQ(dirty.client.verify("e=\x1b[2J").error().message, "SCRAM: server says an unprintable error");
}

TEST(ScramClientSteps, OutOfOrder) {
  auto client = ScramClient::with_password("x");
  EXPECT_FALSE(client.final().ok());
  EXPECT_FALSE(client.verify("v=").ok());
  auto other = ScramClient::with_password("x");
  EXPECT_FALSE(other.read_server_first("r=").ok());
  auto twice = ScramClient::with_password("x");
  ASSERT_TRUE(twice.first().ok());
  EXPECT_FALSE(twice.first().ok());
}

TEST(ScramMechanisms, ListIsReadWithinItsBounds) {
  using namespace std::string_literals;
  EXPECT_TRUE(choose_scram_mechanism("SCRAM-SHA-256\0\0"s).ok());
  EXPECT_TRUE(choose_scram_mechanism("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s).ok());
  for (const std::string& none : {"\0"s, "SCRAM-SHA-256-PLUS\0\0"s, "SCRAM-SHA-1\0PLAIN\0\0"s, "scram-sha-256\0\0"s}) {
    auto chosen = choose_scram_mechanism(none);
    ASSERT_FALSE(chosen);
    EXPECT_EQ(chosen.error().message, "none of the server's SASL authentication mechanisms are supported");
  }
  for (const std::string& bad : {""s, "SCRAM-SHA-256"s, "SCRAM-SHA-256\0"s, "SCRAM-SHA-256\0\0x"s, "\0\0"s})
    EXPECT_FALSE(choose_scram_mechanism(bad).ok());
  std::string huge;
  while (huge.size() < 64 * 1024)
    huge += "SCRAM-SHA-256\0"s;
  EXPECT_FALSE(choose_scram_mechanism(huge + '\0').ok());
}

}  // namespace
}  // namespace pgweir::auth
