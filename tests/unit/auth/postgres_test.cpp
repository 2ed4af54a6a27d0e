// Verifiers as PostgreSQL 15 wrote them into pg_authid, against our reading of the same passwords.
#include <gtest/gtest.h>

#include "auth/md5.hpp"
#include "auth/password.hpp"
#include "auth/scram.hpp"

namespace pgweir::auth {
namespace {

struct Role {
  const char* password;
  const char* verifier;
};

const Role kRoles[] = {
    {"s3cret",  // ASCII
     "SCRAM-SHA-256$4096:jtSBH9KvtRvDcPY9CtiY4A==$84U2VGIV4+fPB07FFCy1NBJCPdqeCDMxbxLHIygJEpM=:HvJ5OHDXMu/"
     "7YZkOe6pkBQzececdDPWBx5YNSfqshow="},
    {"Pa\xc3\x9fw\xc3\xb6rd",  // sharp s, o umlaut
     "SCRAM-SHA-256$4096:FimmGGwC4CxNzcPeaPo64w==$pm/"
     "OxZs05ilGvyBeDA8yk+5IdVgjO6Mf2nU+ie1Qp1s=:0Re6hm0d9awtzQO0vm7WNnem9CYqO0ArI0EK0ufhDvk="},
    {"a\xc2\xa0"
     "b",  // no-break space
     "SCRAM-SHA-256$4096:p2d2bSepXEmD5ohZiMPqDA==$fu8NR2nLZtYGUszn+60eY/"
     "0IsyYfgzHGbUYLengySr4=:lbIAaqvJfqMR3X2Ne+gQqbtMibo/Rn5bFnrZvZDeNiE="},
    {"soft\xc2\xadhyphen",  // soft hyphen
     "SCRAM-SHA-256$4096:McLD/26L/Hv/QSzQgxWoaQ==$4+Cfozdqa6gzzxpH1LQrXQOYx/"
     "OFegn5WfAImabB7+Y=:rN81w7nTql4V9vNiEM0Y9TCzcEhgVApRRMjJP5H2VLw="},
    {"a\xc2\xa0\xee\x80\x80",  // private use: raw
     "SCRAM-SHA-256$4096:8Iimn7AJqiXjFBWiBXc0iQ==$niDHv0PFORyIJ5GeKBAOfskkJ5uc7X+LgVfnO5jVam4=:"
     "e6Q7eKqMihzvtP9Bf9oaqeO9miHQ21it7Z05v4/q2Iw="},
    {"\xc3\xa4\x07",  // control: raw
     "SCRAM-SHA-256$4096:zieUcPP5wQS3dNIz1zzekw==$1N8bknx3uZkHH2q+x5+xOYPAqZcmHnPu6kfG/"
     "jTil+Q=:Eyus8uJsTBC57spM5wsgifgjX8LRjsIhWCp95TA3fYU="},
};

TEST(Postgres, ItsVerifiersAcceptTheirPasswords) {
  for (const Role& role : kRoles) {
    Secret secret{std::string(role.verifier)};
    ASSERT_EQ(secret.kind(), SecretKind::kScram);
    EXPECT_TRUE(verify_password(secret, "any", role.password, 0)) << role.password;
    EXPECT_FALSE(verify_password(secret, "any", std::string(role.password) + "x", 0));

    auto server = ScramServer::genuine(*parse_scram_verifier(secret.text()));
    auto client = ScramClient::with_password(role.password);
    auto first = server.first(client.first().value());
    ASSERT_TRUE(first);
    ASSERT_TRUE(client.read_server_first(*first));
    auto success = server.final(client.final().value());
    ASSERT_TRUE(success) << role.password;
    EXPECT_TRUE(client.verify(success->server_final).ok());
  }
}

TEST(Postgres, ItsMd5) {
  EXPECT_EQ(md5_secret("secret", "md"), "md5d7a84ec8cb0b9b78e5ac40740627a360");
}

}  // namespace
}  // namespace pgweir::auth
