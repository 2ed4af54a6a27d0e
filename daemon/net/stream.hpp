// A connected socket, plain or TLS, behind one face: non-blocking, registered once with the loop (edge triggered),
// closed by its destructor. It keeps what the kernel did not take and sends it when the socket has room again.
// It frames nothing and decides nothing; it never calls its handler from inside read, write or send.
//
// The edge rule: after an event, read until kAgain or until maybe_readable() is false; whoever stops earlier must come
// back on his own (maybe_readable() stays true), for the event is not repeated.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "net/address.hpp"
#include "net/gather.hpp"
#include "net/loop.hpp"

namespace pgweir::net {

enum class IoStatus : uint8_t { kOk, kAgain, kEof, kError };

// `bytes` counts only with kOk (and is then > 0), `error` (an errno; EPROTO for a TLS failure) only with kError.
struct IoResult {
  IoStatus status = IoStatus::kAgain;
  size_t bytes = 0;
  int error = 0;
};

class Stream;
class TlsContext;
class TlsSession;
struct Outbox;

// One object for each kind of connection and loop, not one for each connection. Called from the event loop only. A
// handler must not destroy the stream it was called for (DESIGN, section 6: graveyard).
struct StreamHandler {
  virtual ~StreamHandler() = default;
  virtual void on_readable(Stream& stream) = 0;  // bytes, the end, or an error can be read
  virtual void on_writable(Stream& stream) = 0;  // the unsent bytes have all gone, or the stream is broken
};

class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Takes the descriptor over (connected or connecting), makes it non-blocking, sets TCP_NODELAY, asks who the peer is
  // (of unix sockets SO_PEERCRED), registers it. A connecting socket is writable() once the connect has an outcome
  // (dial.hpp: connect_error).
  // False: the loop refused it (out of memory); the descriptor is closed.
  bool open(Loop& loop, int fd);
  // The same for a connected socket as a Listener gives it: non-blocking and TCP_NODELAY already, `peer` its
  // last_peer(). Saves five system calls.
  bool open(Loop& loop, int fd, const Address& peer);

  // Null handler: events only set maybe_readable(). `owner` is the caller's and never touched.
  void set_handler(StreamHandler* handler, void* owner) {
    handler_ = handler;
    owner_ = owner;
  }
  void* owner() const { return owner_; }
  StreamHandler* handler() const { return handler_; }
  Loop* loop() const { return loop_; }

  // Plain: one recv. TLS: as many records as there are and `room` takes. kAgain clears maybe_readable(), and so does a
  // plain read that did not fill `room`, unless the peer's end was already announced: then read on until kEof.
  IoResult read(char* to, size_t room);
  // An edge came that has not been read to its end, or decrypted bytes wait.
  bool maybe_readable() const { return edge_ || tls_more_; }
  // Many bytes came without a pause and nothing was sent meanwhile: the next read may be a large one (gather.hpp).
  bool flows() const { return gather_ != kUnlisted; }

  // One sendmsg, of one piece one send (MSG_NOSIGNAL); may be short. kAgain while unsent() > 0 or when the socket is
  // full; keeps nothing, and tells nobody when there is room again (that is send's or expect_writable's business). TLS:
  // takes everything, keeps the records that the socket refused as send() does (look at unsent()).
  IoResult write(const iovec* pieces, int count);
  // write(), and keep what did not go. When all has gone later, handler->on_writable. False: the stream is broken,
  // nothing was kept.
  bool send(const iovec* pieces, int count);
  bool send(ByteView bytes);
  // Asks for one on_writable as soon as the socket has room and nothing is unsent. False: out of memory.
  bool expect_writable();
  size_t unsent() const;  // bytes kept (TLS: of records)

  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool connecting() const { return connecting_; }
  // Asks the kernel whether the peer has shut down or reset the connection; bytes may still wait. For whoever does not
  // read at the moment: an event tells him only that something is there.
  bool peer_gone() const;
  // A send failed; what the peer sent before may still be readable.
  bool broken() const { return broken_; }

  // Hand-over to another loop: leave in the old loop's thread, join in the new one's (pass the stream on by something
  // that synchronizes memory, a mailbox). No coroutine may wait on it. Unsent bytes and TLS travel along. After join
  // maybe_readable() is true; the handler is the caller's to set. join false: as open().
  void leave_loop();
  bool join_loop(Loop& loop);

  // Tells the peer that nothing more will come: at once, or after the unsent bytes. TLS: close_notify first.
  void shutdown_write();
  // Idempotent. TLS close_notify is tried once without blocking (not with bytes unsent). Coroutines waiting on the
  // stream become due.
  void close();
  // Closes without a word to the peer and gives the descriptor away (to a child process, the descriptor store). Plain
  // only; unsent bytes are lost. -1 when not open.
  int release_fd();

  // -- TLS (stream_tls.cpp) -- After start_*, call handshake() now and whenever readable, until it is not kAgain.
  // `already_read`: bytes of the handshake that were read before (a direct-TLS ClientHello). False: out of memory.
  bool start_tls_server(std::shared_ptr<const TlsContext> context, ByteView already_read = {});
  // `verify_host`: the name or address that the certificate must match (empty: none). `server_name`: for SNI, when
  // other than verify_host; addresses are never sent.
  bool start_tls_client(std::shared_ptr<const TlsContext> context, const std::string& verify_host,
                        const std::string& server_name = {});
  IoResult handshake();                    // kEof: the peer left; kError: the text is in tls_error()
  bool tls() const { return bool(tls_); }  // start_* was called
  bool tls_ready() const;                  // handshake done
  std::string tls_info() const;            // "TLSv1.3/TLS_AES_256_GCM_SHA384", up to TLS 1.2 "/ECDH=X25519" behind; ""
  std::string tls_error() const;           // one line, "" when nothing failed
  bool tls_alpn_chosen() const;            // the peer offered ALPN and "postgresql" was agreed
  bool tls_peer_has_certificate() const;
  // Against subjectAltName DNS or IP entries, without such against the Common Name; case-insensitive, "*.domain".
  bool tls_peer_name_matches(const std::string& name) const;
  std::string tls_peer_common_name() const;             // "" when none (or one holding a NUL)
  std::vector<std::string> tls_peer_dns_names() const;  // the subjectAltName DNS entries
  std::string tls_peer_subject() const;                 // RFC 2253, for the log

  // Who it is, or was to be.
  const Address& peer() const { return peer_; }
  // Whom a connection is to reach, until it is there: for the log, should it never be.
  void expect_peer(const Address& peer) { peer_ = peer; }
  Address local() const;  // asks the kernel

 private:
  friend class Loop;
  friend struct StreamEvents;
  friend class TlsSession;
  friend class SendBatch;
  friend class Gather;
  friend class ReadableAwaiter;
  friend class WritableAwaiter;

  bool enter_loop(Loop& loop);
  void leave_events();
  event* read_event() { return reinterpret_cast<event*>(event_); }
  void on_event(bool at_end);
  void on_write_event();
  void wake(Waiter*& waiter);
  void note_short_read();
  void note_flow(size_t got);
  void begin_flow();
  // Something is sent, or the bytes trickle: each of them counts now.
  void end_flow() {
    flowed_ = 0;
    if (gather_ != kUnlisted) stop_gathering();
  }
  void stop_gathering();
  Outbox* outbox();  // made, with its write interest, when there is none; null: out of memory
  bool flush();      // sends what is kept; false when the stream broke
  void break_off();
  IoResult send_now(const iovec* pieces, int count);
  IoResult receive(char* to, size_t room);
  IoResult tls_write(const iovec* pieces, int count);
  // For SendBatch: encrypts behind what `records` holds already (false: the stream is broken now), and what became of a
  // send of these pieces: bytes that went, or a negative errno.
  bool seal(const iovec* pieces, int count, std::string& records);
  bool settle(const iovec* pieces, int count, long result);
  bool keep(const iovec* pieces, int count, size_t taken);  // all but the first `taken` bytes, which have gone
  bool keep_bytes(const char* from, size_t size);
  bool send_records(const char* from, size_t size);  // for TLS: sends what goes, keeps the rest

  static constexpr uint32_t kUnlisted = UINT32_MAX;

  Loop* loop_ = nullptr;
  StreamHandler* handler_ = nullptr;
  void* owner_ = nullptr;
  Waiter* read_waiter_ = nullptr;
  Waiter* write_waiter_ = nullptr;
  std::unique_ptr<TlsSession> tls_;
  std::unique_ptr<Outbox> outbox_;  // exists only while bytes are unsent or a connect is pending
  Address peer_;
  int fd_ = -1;
  uint32_t check_ = kUnlisted;   // place in the loop's list of short reads
  uint32_t gather_ = kUnlisted;  // place in the loop's Gather
  uint64_t flowed_ = 0;          // bytes received since the last one was sent, in reads that were not small
  bool edge_ = false;            // the socket may have bytes
  bool tls_more_ = false;        // the TLS layer may have bytes
  bool end_seen_ = false;        // EV_CLOSED came: the peer has shut down, no further edge will tell
  bool connecting_ = false;
  bool broken_ = false;
  bool shutdown_ = false;       // shutdown_write was called
  alignas(8) char event_[128];  // a struct event; libevent stays inside net/
};

}  // namespace pgweir::net
