// Two Streams talk TLS to each other over loopback; where the peer must misbehave, a bare OpenSSL client does it.
#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fstream>
#include <thread>

#include "net/send_batch.hpp"
#include "net/task.hpp"
#include "net/tls_names.hpp"
#include "net/wait.hpp"
#include "unit/net/certificates.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

Task<> shake(Stream& stream, Micros deadline, IoResult& result) {
  IoResult got;
  for (;;) {
    got = stream.handshake();
    if (got.status != IoStatus::kAgain) break;
    Waited waited = co_await readable(stream, deadline);
    if (waited == Waited::kTimeout) break;
  }
  result = got;
}

// The certificates are made once for all tests.
struct Shop {
  Certificates files;
  Identity ca = files.make("test CA", "", nullptr);
  Identity other_ca = files.make("other CA", "", nullptr);
  Identity server = files.make("ignored", "DNS:db.example.com,DNS:*.pool.example.com,IP:127.0.0.1", &ca);
  Identity client = files.make("alice", "", &ca);
  Identity stranger = files.make("mallory", "", &other_ca);
  Identity expired = files.make("alice", "", &ca, -1);
};

struct TlsTest : testing::Test {
  static Shop& shop() {
    static Shop shop;
    return shop;
  }
  std::unique_ptr<Loop> loop = make_loop();
  Stream server, client;
  Recorder at_server, at_client;
  IoResult server_result, client_result;
  std::string verify_host;
  Micros patience = 5 * kSecond;

  static TlsOptions server_options() {
    TlsOptions options;
    options.cert_file = shop().server.cert_file;
    options.key_file = shop().server.key_file;
    options.ca_file = shop().ca.cert_file;
    return options;
  }
  static TlsOptions client_options(TlsMode mode = TlsMode::kRequire) {
    TlsOptions options;
    options.mode = mode;
    options.ca_file = shop().ca.cert_file;
    return options;
  }
  static void show(TlsOptions& options, const Identity& who) {
    options.cert_file = who.cert_file;
    options.key_file = who.key_file;
  }
  std::shared_ptr<const TlsContext> made(Result<std::shared_ptr<const TlsContext>> context) {
    EXPECT_TRUE(context.ok()) << (context.ok() ? "" : context.error().message);
    return context.ok() ? context.take() : nullptr;
  }
  void connect(const TlsOptions& for_server, const TlsOptions& for_client) {
    auto [fd, peer] = tcp_pair();
    ASSERT_TRUE(server.open(*loop, fd));
    ASSERT_TRUE(client.open(*loop, peer.release()));
    ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(for_server))));
    ASSERT_TRUE(client.start_tls_client(made(TlsContext::client(for_client)), verify_host));
    Spawned one, two;
    Micros deadline = loop->now() + patience;
    one.start(*loop, shake(server, deadline, server_result));
    two.start(*loop, shake(client, deadline, client_result));
    EXPECT_TRUE(run_until(*loop, [&] { return !one.active() && !two.active(); }));
    server.set_handler(&at_server, nullptr);
    client.set_handler(&at_client, nullptr);
  }
  void connect() { connect(server_options(), client_options()); }
  bool both_ready() { return server.tls_ready() && client.tls_ready(); }
  // TLS 1.3: a server's refusal of our certificate comes after our handshake is done.
  void read_on(Stream& stream, Recorder& recorder) {
    recorder.on_readable(stream);
    EXPECT_TRUE(run_until(*loop, [&] { return recorder.ended; }));
  }
};

TEST_F(TlsTest, ShakesHandsAndTalks) {
  connect();
  ASSERT_TRUE(both_ready()) << server.tls_error() << client.tls_error();
  EXPECT_EQ("TLSv1.3/TLS_AES_256_GCM_SHA384", server.tls_info());
  EXPECT_EQ(server.tls_info(), client.tls_info());
  EXPECT_FALSE(server.tls_peer_has_certificate());
  EXPECT_EQ("", server.tls_peer_common_name());
  EXPECT_FALSE(server.tls_peer_name_matches("alice"));
  EXPECT_FALSE(server.tls_alpn_chosen());
  ASSERT_TRUE(client.send("question"));
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.bytes == "question"; }));
  EXPECT_FALSE(server.maybe_readable());
  std::string a = "ans", b = "wer";
  iovec pieces[] = {{a.data(), a.size()}, {b.data(), b.size()}};
  ASSERT_TRUE(server.send(pieces, 2));
  EXPECT_TRUE(run_until(*loop, [&] { return at_client.bytes == "answer"; }));
  server.close();
  EXPECT_TRUE(run_until(*loop, [&] { return at_client.ended; }));
  EXPECT_EQ(IoStatus::kEof, at_client.last.status);
}

// Both ends in one batch, twice: records are numbered, so a lost or doubled one would end the session.
TEST_F(TlsTest, BatchedSendsAreEncryptedInOrder) {
  connect();
  ASSERT_TRUE(both_ready());
  auto batch = SendBatch::create();
  if (!batch) return;  // no io_uring here; then nobody sends this way
  std::string a = "ask", b = "answer", c = " in two";
  for (int turn = 1; turn <= 2; ++turn) {
    iovec question{a.data(), a.size()};
    iovec answer[] = {{b.data(), b.size()}, {c.data(), c.size()}};
    ASSERT_TRUE(SendBatch::suits(client, a.size()));
    batch.value()->add(client, &question, 1);
    batch.value()->add(server, answer, 2);
    batch.value()->submit();
    ASSERT_TRUE(client.send("!"));
    EXPECT_TRUE(
        run_until(*loop, [&] { return at_server.bytes.ends_with("!") && at_client.bytes.size() == 13U * turn; }));
  }
  EXPECT_EQ("ask!ask!", at_server.bytes);
  EXPECT_EQ("answer in twoanswer in two", at_client.bytes);
  EXPECT_EQ(2u, batch.value()->submissions());
}

TEST_F(TlsTest, PlainBeforeAndTlsAfterOnOneStream) {
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(server.open(*loop, fd));
  ASSERT_TRUE(client.open(*loop, peer.release()));
  ASSERT_TRUE(client.send("8 bytes."));
  EXPECT_TRUE(run_until(*loop, [&] { return server.maybe_readable(); }));
  char buffer[8];
  EXPECT_EQ(8u, server.read(buffer, 8).bytes);
  ASSERT_TRUE(server.send("S"));
  EXPECT_TRUE(run_until(*loop, [&] { return client.maybe_readable(); }));
  EXPECT_EQ(1u, client.read(buffer, 8).bytes);
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options()))));
  ASSERT_TRUE(client.start_tls_client(made(TlsContext::client(client_options())), ""));
  Spawned one, two;
  one.start(*loop, shake(server, kNever, server_result));
  two.start(*loop, shake(client, kNever, client_result));
  EXPECT_TRUE(run_until(*loop, [&] { return both_ready(); }));
}

TEST_F(TlsTest, LargeAndSlowBothWays) {
  connect();
  ASSERT_TRUE(both_ready());
  std::string big(6 << 20, '\0');
  for (size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<char>(i * 2654435761u >> 13);
  at_client.reads = false;
  ASSERT_TRUE(server.send(big));
  EXPECT_GT(server.unsent(), 0u);
  ASSERT_TRUE(server.send("end"));
  iovec piece{big.data(), 10};
  EXPECT_EQ(IoStatus::kAgain, server.write(&piece, 1).status);
  ASSERT_TRUE(client.send(big));
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.bytes.size() == big.size(); }));
  EXPECT_EQ(big, at_server.bytes);
  at_client.reads = true;
  at_client.on_readable(client);
  EXPECT_TRUE(run_until(*loop, [&] { return at_client.bytes.size() == big.size() + 3; }));
  EXPECT_EQ(big + "end", at_client.bytes);
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.writable == 1; }));
  EXPECT_EQ(0u, server.unsent());
}

TEST_F(TlsTest, SmallReadsLoseNothing) {
  connect();
  ASSERT_TRUE(both_ready());
  at_server.reads = false;
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    std::string part = std::to_string(i) + ";";
    ASSERT_TRUE(client.send(part));  // a record each
    text += part;
  }
  std::string got;
  EXPECT_TRUE(run_until(*loop, [&] {
    char buffer[7];
    while (server.maybe_readable()) {
      IoResult result = server.read(buffer, sizeof buffer);
      if (result.status != IoStatus::kOk) break;
      got.append(buffer, result.bytes);
    }
    return got.size() == text.size();
  }));
  EXPECT_EQ(text, got);
}

// 22 bytes of TLS around each byte: more raw bytes than a call may read for nothing.
TEST_F(TlsTest, RecordsOfOneByteAreNoFlood) {
  connect();
  ASSERT_TRUE(both_ready());
  at_server.reads = false;
  const size_t kCount = 60'000;
  for (size_t i = 0; i < kCount; ++i)
    ASSERT_TRUE(client.send("x"));
  at_server.reads = true;
  EXPECT_TRUE(run_until(*loop, [&] {
    if (server.maybe_readable()) at_server.on_readable(server);
    return at_server.bytes.size() == kCount || at_server.ended;
  }));
  EXPECT_EQ(kCount, at_server.bytes.size());
}

TEST_F(TlsTest, DataAndCloseTogetherAreBothRead) {
  connect();
  ASSERT_TRUE(both_ready());
  ASSERT_TRUE(client.send("bye"));
  client.close();
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.ended; }));
  EXPECT_EQ("bye", at_server.bytes);
  EXPECT_EQ(IoStatus::kEof, at_server.last.status);
}

TEST_F(TlsTest, ACutConnectionIsAnEnd) {
  connect();
  ASSERT_TRUE(both_ready());
  ASSERT_TRUE(client.send("cut"));
  ::close(client.release_fd());  // no close_notify
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.ended; }));
  EXPECT_EQ("cut", at_server.bytes);
  EXPECT_EQ(IoStatus::kEof, at_server.last.status);
  char byte;
  EXPECT_EQ(IoStatus::kEof, server.read(&byte, 1).status);
}

TEST_F(TlsTest, ShutdownWriteTellsTheEnd) {
  connect();
  ASSERT_TRUE(both_ready());
  ASSERT_TRUE(client.send("last"));
  client.shutdown_write();
  EXPECT_TRUE(run_until(*loop, [&] { return at_server.ended; }));
  EXPECT_EQ("last", at_server.bytes);
  ASSERT_TRUE(server.send("reply"));
  EXPECT_TRUE(run_until(*loop, [&] { return at_client.bytes == "reply"; }));
}

TEST_F(TlsTest, GarbageIsAnErrorWithAText) {
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(server.open(*loop, fd));
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options()))));
  peer.write("GET / HTTP/1.0\r\n\r\n");
  Spawned one;
  one.start(*loop, shake(server, kNever, server_result));
  EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
  EXPECT_EQ(IoStatus::kError, server_result.status);
  EXPECT_EQ("handshake failed: http request", server.tls_error());
  EXPECT_FALSE(server.send("x"));
  char byte;
  EXPECT_EQ(IoStatus::kError, server.read(&byte, 1).status);
}

// What stands behind an SSLRequest in the same packet must never count as said under TLS.
TEST_F(TlsTest, PlaintextGluedBeforeTheHandshakeFails) {
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(server.open(*loop, fd));
  ASSERT_TRUE(client.open(*loop, peer.release()));
  std::string startup("\0\0\0\x10\0\x03\0\0user\0x\0\0", 16);
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options())), startup));
  ASSERT_TRUE(client.start_tls_client(made(TlsContext::client(client_options())), ""));
  Spawned one, two;
  one.start(*loop, shake(server, kNever, server_result));
  two.start(*loop, shake(client, kNever, client_result));
  EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
  EXPECT_EQ(IoStatus::kError, server_result.status);
  server.close();
  EXPECT_TRUE(run_until(*loop, [&] { return !two.active(); }));
  EXPECT_FALSE(server.tls_ready());
  EXPECT_FALSE(client.tls_ready());
}

TEST_F(TlsTest, AHalfHandshakeThatEndsIsAnEnd) {
  auto [fd, peer] = tcp_pair();
  ASSERT_TRUE(server.open(*loop, fd));
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options()))));
  peer.write(std::string("\x16\x03\x01\x02\x00\x01", 6));
  peer.close();
  Spawned one;
  one.start(*loop, shake(server, kNever, server_result));
  EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
  EXPECT_EQ(IoStatus::kEof, server_result.status);
  EXPECT_EQ("handshake failed: the peer closed the connection", server.tls_error());
}

TEST_F(TlsTest, HandOverKeepsTheSession) {
  connect();
  ASSERT_TRUE(both_ready());
  const std::string big(12 << 20, 'h');
  at_client.reads = false;
  ASSERT_TRUE(server.send(big));
  ASSERT_GT(server.unsent(), 0u);
  ASSERT_TRUE(client.send("early"));
  server.leave_loop();
  std::thread other([&] {
    auto second = make_loop();
    Recorder there;
    ASSERT_TRUE(server.join_loop(*second));
    server.set_handler(&there, nullptr);
    there.on_readable(server);
    EXPECT_TRUE(run_until(*second, [&] { return there.bytes == "early"; }));
    client.leave_loop();
    ASSERT_TRUE(client.join_loop(*second));
    at_client.reads = true;
    at_client.on_readable(client);
    EXPECT_TRUE(run_until(*second, [&] { return at_client.bytes.size() == big.size(); }));
    client.close();
    server.close();
  });
  other.join();
}

TEST_F(TlsTest, ClientCertificatesAreOptionalButVerified) {
  TlsOptions with = client_options();
  show(with, shop().client);
  connect(server_options(), with);
  ASSERT_TRUE(both_ready());
  EXPECT_TRUE(server.tls_peer_has_certificate());
  EXPECT_EQ("alice", server.tls_peer_common_name());
  EXPECT_EQ("CN=alice", server.tls_peer_subject());
  EXPECT_TRUE(server.tls_peer_name_matches("alice"));
  EXPECT_TRUE(server.tls_peer_name_matches("ALICE"));
  EXPECT_FALSE(server.tls_peer_name_matches("alice2"));
  EXPECT_FALSE(server.tls_peer_name_matches(""));
  EXPECT_EQ(3u - 1u, client.tls_peer_dns_names().size());
}

TEST_F(TlsTest, ClientCertificatesOfStrangersAreRefusedInEveryMode) {
  for (TlsMode mode : {TlsMode::kAllow, TlsMode::kPrefer, TlsMode::kRequire, TlsMode::kVerifyCa, TlsMode::kVerifyFull})
    for (const Identity* who : {&shop().stranger, &shop().expired}) {
      TlsOptions demanded = server_options(), with = client_options();
      demanded.mode = mode;
      show(with, *who);
      connect(demanded, with);
      EXPECT_EQ(IoStatus::kError, server_result.status);
      EXPECT_NE(std::string::npos, server.tls_error().find("certificate verify failed (")) << server.tls_error();
      read_on(client, at_client);
      EXPECT_EQ(IoStatus::kError, at_client.last.status);
      at_client = {};
      client.close();
      server.close();
    }
}

TEST_F(TlsTest, VerifyModesDemandAClientCertificate) {
  for (TlsMode mode : {TlsMode::kVerifyCa, TlsMode::kVerifyFull}) {
    TlsOptions demanded = server_options();
    demanded.mode = mode;
    connect(demanded, client_options());
    EXPECT_EQ(IoStatus::kError, server_result.status);
    EXPECT_EQ("handshake failed: peer did not return a certificate", server.tls_error());
    client.close();
    server.close();
    TlsOptions with = client_options();
    show(with, shop().client);
    connect(demanded, with);
    EXPECT_TRUE(both_ready());
    client.close();
    server.close();
  }
}

TEST_F(TlsTest, ServersAreVerifiedAsTheModeSays) {
  struct Case {
    TlsMode mode;
    const Identity& authority;
    const char* host;
    bool good;
  };
  const Case kCases[] = {
      {TlsMode::kPrefer, shop().other_ca, "wrong.example.com", true},
      {TlsMode::kRequire, shop().other_ca, "wrong.example.com", true},
      {TlsMode::kVerifyCa, shop().other_ca, "db.example.com", false},
      {TlsMode::kVerifyCa, shop().ca, "wrong.example.com", true},
      {TlsMode::kVerifyFull, shop().ca, "db.example.com", true},
      {TlsMode::kVerifyFull, shop().ca, "DB.example.COM", true},
      {TlsMode::kVerifyFull, shop().ca, "a.pool.example.com", true},
      {TlsMode::kVerifyFull, shop().ca, "a.b.pool.example.com", false},
      {TlsMode::kVerifyFull, shop().ca, "pool.example.com", false},
      {TlsMode::kVerifyFull, shop().ca, "127.0.0.1", true},
      {TlsMode::kVerifyFull, shop().ca, "127.0.0.2", false},
      {TlsMode::kVerifyFull, shop().ca, "ignored", false},  // the CN, but there are DNS entries
      {TlsMode::kVerifyFull, shop().ca, ".example.com", false},
      {TlsMode::kVerifyFull, shop().ca, "", false},
      {TlsMode::kVerifyFull, shop().other_ca, "db.example.com", false},
  };
  for (const Case& one : kCases) {
    SCOPED_TRACE(one.host);
    TlsOptions options = client_options(one.mode);
    options.ca_file = one.authority.cert_file;
    verify_host = one.host;
    connect(server_options(), options);
    EXPECT_EQ(one.good, client_result.status == IoStatus::kOk) << client.tls_error();
    EXPECT_EQ(one.good, client.tls_error().empty());
    client.close();
    server.close();
  }
}

TEST_F(TlsTest, ANameThatDoesNotMatchIsNamed) {
  verify_host = "wrong.example.com";
  connect(server_options(), client_options(TlsMode::kVerifyFull));
  EXPECT_EQ("handshake failed: name \"wrong.example.com\" not present in server certificate", client.tls_error());
}

TEST_F(TlsTest, AMissingServerCaFailsTheHandshakeNotTheContext) {
  TlsOptions options = client_options(TlsMode::kVerifyCa);
  options.ca_file = "/nonexistent/ca.crt";
  patience = 50 * kMillisecond;  // the client says nothing, so the server would wait
  connect(server_options(), options);
  EXPECT_EQ(IoStatus::kError, client_result.status);
  EXPECT_TRUE(client.tls_error().starts_with("cannot load the TLS CA file \"/nonexistent/ca.crt\""))
      << client.tls_error();
}

TEST_F(TlsTest, Tls12ShowsItsCurve) {
  TlsOptions old = server_options();
  old.protocols = "tlsv1.2";
  old.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  connect(old, client_options());
  ASSERT_TRUE(both_ready());
  EXPECT_EQ("TLSv1.2/ECDHE-ECDSA-AES256-GCM-SHA384/ECDH=X25519", server.tls_info());
  EXPECT_EQ(server.tls_info(), client.tls_info());
}

TEST_F(TlsTest, ACurveOfOnesOwn) {
  TlsOptions options = server_options();
  options.ecdhcurve = "prime256v1";
  options.protocols = "tlsv1.2";
  connect(options, client_options());
  ASSERT_TRUE(both_ready());
  EXPECT_NE(std::string::npos, server.tls_info().find("/ECDH=prime256v1")) << server.tls_info();
}

TEST_F(TlsTest, VersionsThatDoNotMeetFail) {
  TlsOptions old = client_options();
  old.protocols = "tlsv1.2";
  TlsOptions young = server_options();
  young.protocols = "tlsv1.3";
  connect(young, old);
  EXPECT_EQ(IoStatus::kError, server_result.status);
  EXPECT_EQ("handshake failed: unsupported protocol", server.tls_error());
  EXPECT_EQ(IoStatus::kError, client_result.status);
}

TEST_F(TlsTest, BadOptionsAreNamed) {
  auto complaint = [](void (*spoil)(TlsOptions&), bool for_server = true) -> std::string {
    TlsOptions options = for_server ? server_options() : client_options();
    spoil(options);
    auto context = for_server ? TlsContext::server(options) : TlsContext::client(options);
    return context ? "" : context.error().message;
  };
  EXPECT_EQ("", complaint([](TlsOptions&) {}));
  EXPECT_EQ("no TLS certificate file is set", complaint([](TlsOptions& o) { o.cert_file = ""; }));
  EXPECT_EQ("no TLS key file is set", complaint([](TlsOptions& o) { o.key_file = ""; }));
  EXPECT_EQ("no TLS key file is set", complaint([](TlsOptions& o) { o.cert_file = shop().client.cert_file; }, false));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.cert_file = "/nonexistent"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.ca_file = "/nonexistent"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.key_file = shop().client.key_file; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.ciphers = "NO-SUCH-CIPHER"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.tls13_ciphers = "NO_SUCH_SUITE"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.ecdhcurve = "no-such-curve"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.dheparams = "legacy"; }));
  EXPECT_NE("", complaint([](TlsOptions& o) { o.protocols = "sslv3"; }));
  EXPECT_EQ("verify-full needs a TLS CA file", complaint([](TlsOptions& o) {
              o.mode = TlsMode::kVerifyFull;
              o.ca_file = "";
            }));
  EXPECT_EQ("", TlsContext::check_protocols("all, !tlsv1.0 : !tlsv1.1"));
  EXPECT_EQ("", TlsContext::check_protocols("!tlsv1.0"));
  EXPECT_EQ("no TLS protocol is left", TlsContext::check_protocols("!all"));
  EXPECT_EQ("unknown TLS protocol \"\"", TlsContext::check_protocols(""));
}

TEST_F(TlsTest, AKeyWithAPassphraseIsAnErrorNotAPrompt) {
  TlsOptions options = server_options();
  options.key_file = shop().files.folder() + "/locked.key";
  FILE* file = std::fopen(options.key_file.c_str(), "w");
  auto* phrase = reinterpret_cast<const unsigned char*>("secret");
  PEM_write_PrivateKey(file, shop().server.key.get(), EVP_aes_128_cbc(), phrase, 6, nullptr, nullptr);
  std::fclose(file);
  EXPECT_FALSE(TlsContext::server(options).ok());
}

TEST_F(TlsTest, AChainIsCompletedOnceFromTheCaFile) {
  auto& files = shop().files;
  Identity root = files.make("root", "", nullptr);
  Identity middle = files.make("middle", "", nullptr);  // a CA; signed over by root below
  X509_set_issuer_name(middle.certificate.get(), X509_get_subject_name(root.certificate.get()));
  X509_sign(middle.certificate.get(), root.key.get(), EVP_sha256());
  Identity leaf = files.make("leaf", "DNS:leaf.example.com", &middle);
  std::string bundle = files.folder() + "/bundle.crt";
  FILE* file = std::fopen(bundle.c_str(), "w");
  PEM_write_X509(file, root.certificate.get());
  PEM_write_X509(file, middle.certificate.get());
  std::fclose(file);
  TlsOptions options = server_options();
  show(options, leaf);
  options.ca_file = bundle;
  TlsOptions verifying = client_options(TlsMode::kVerifyFull);
  verifying.ca_file = root.cert_file;
  verify_host = "leaf.example.com";
  connect(options, verifying);
  EXPECT_TRUE(both_ready()) << client.tls_error();
}

// A client of bare OpenSSL in a thread, for what Stream does not do: ALPN, KeyUpdate floods.
struct BareClient {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = nullptr;
  Peer peer;
  ~BareClient() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  void attach(Peer to, const std::string& alpn) {
    peer = std::move(to);
    ssl = SSL_new(context);
    SSL_set_fd(ssl, peer.fd());
    if (!alpn.empty())
      SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()), static_cast<unsigned>(alpn.size()));
  }
};

TEST_F(TlsTest, AlpnKnowsOneName) {
  const std::pair<std::string, bool> kLists[] = {
      {"\x0apostgresql", true}, {"\x02h2\x0apostgresql", true}, {"\x02h2", false}, {"\x09postgresq", false}};
  for (const auto& [list, good] : kLists) {
    BareClient bare;
    auto [fd, peer] = tcp_pair();
    bare.attach(std::move(peer), list);
    ASSERT_TRUE(server.open(*loop, fd));
    ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options()))));
    int connected = 0, reason = 0;
    std::thread there([&] {
      connected = SSL_connect(bare.ssl);
      reason = ERR_GET_REASON(ERR_peek_last_error());
    });
    Spawned one;
    one.start(*loop, shake(server, kNever, server_result));
    EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
    if (!good) server.close();
    there.join();
    EXPECT_EQ(good, server_result.status == IoStatus::kOk);
    EXPECT_EQ(good, connected == 1);
    EXPECT_EQ(good, server.tls_alpn_chosen());
    if (!good) {
      EXPECT_EQ(SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, reason);
    }
    server.close();
  }
}

TEST_F(TlsTest, DirectTlsTakesBytesThatWereRead) {
  BareClient bare;
  auto [fd, peer] = tcp_pair();
  bare.attach(std::move(peer), "\x0apostgresql");
  ASSERT_TRUE(server.open(*loop, fd));
  int connected = 0;
  std::thread there([&] { connected = SSL_connect(bare.ssl); });
  EXPECT_TRUE(run_until(*loop, [&] { return server.maybe_readable(); }));
  char first[100];
  IoResult got = server.read(first, sizeof first);
  ASSERT_EQ(IoStatus::kOk, got.status);
  EXPECT_EQ('\x16', first[0]);
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options())), ByteView(first, got.bytes)));
  Spawned one;
  one.start(*loop, shake(server, kNever, server_result));
  EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
  there.join();
  EXPECT_EQ(1, connected);
  EXPECT_TRUE(server.tls_ready());
  EXPECT_TRUE(server.tls_alpn_chosen());
}

// A peer that asks for key updates and never reads the answers must not fill our memory, nor keep us busy for ever.
TEST_F(TlsTest, AFloodOfKeyUpdatesEndsTheConnection) {
  BareClient bare;
  auto [fd, peer] = tcp_pair();
  bare.attach(std::move(peer), "");
  ASSERT_TRUE(server.open(*loop, fd));
  ASSERT_TRUE(server.start_tls_server(made(TlsContext::server(server_options()))));
  std::thread there([&] {
    if (SSL_connect(bare.ssl) != 1) return;
    for (int i = 0; i < 400'000; ++i)
      if (SSL_key_update(bare.ssl, SSL_KEY_UPDATE_REQUESTED) != 1 || SSL_do_handshake(bare.ssl) != 1) break;
  });
  Spawned one;
  one.start(*loop, shake(server, kNever, server_result));
  EXPECT_TRUE(run_until(*loop, [&] { return !one.active(); }));
  server.set_handler(&at_server, nullptr);
  at_server.on_readable(server);
  EXPECT_TRUE(run_until(
      *loop, [&] { return at_server.ended; }, 200 * kSecond));
  EXPECT_EQ(IoStatus::kError, at_server.last.status);
  EXPECT_LE(server.unsent(), 256u * 1024);
  server.close();
  there.join();
}

TEST_F(TlsTest, NamesOfCertificates) {
  auto& files = shop().files;
  Identity plain = files.make("host.example.com", "", &shop().ca);
  EXPECT_TRUE(certificate_matches(plain.certificate.get(), "HOST.example.com"));
  EXPECT_TRUE(certificate_dns_names(plain.certificate.get()).empty());
  Identity wild = files.make("*.example.com", "", &shop().ca);
  EXPECT_TRUE(certificate_matches(wild.certificate.get(), "a.example.com"));
  EXPECT_FALSE(certificate_matches(wild.certificate.get(), "example.com"));
  Identity partial = files.make("", "DNS:db*.example.com", &shop().ca);
  EXPECT_FALSE(certificate_matches(partial.certificate.get(), "db1.example.com"));
  EXPECT_EQ("", certificate_common_name(partial.certificate.get()));
  Identity address = files.make("10.0.0.1", "", &shop().ca);
  EXPECT_TRUE(certificate_matches(address.certificate.get(), "10.0.0.1"));
  EXPECT_FALSE(certificate_matches(address.certificate.get(), "10.0.0.2"));
  Identity other = files.make("10.0.0.1", "DNS:x.example.com", &shop().ca);
  EXPECT_FALSE(certificate_matches(other.certificate.get(), "10.0.0.1"));
  Identity nul = files.make(std::string("admin\0.evil.org", 15), "", &shop().ca);
  EXPECT_FALSE(certificate_matches(nul.certificate.get(), "admin"));
  EXPECT_FALSE(certificate_matches(nul.certificate.get(), std::string("admin\0.evil.org", 15)));
  EXPECT_EQ("", certificate_common_name(nul.certificate.get()));
}

}  // namespace
}  // namespace pgweir::net
