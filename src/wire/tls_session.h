// TLS 1.2 and 1.3 without I/O, on OpenSSL: ciphertext in and out on one side, plaintext on the other, both roles.
//
// A TlsContext is what many connections share (immutable, thread-safe); a TlsSession is one connection (not
// thread-safe, one loop). There is no resumption, no early data and no renegotiation: every connection proves
// anew who it is, so that revocation and rotation count from the next one on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "crypto/keys.h"
#include "crypto/x509.h"

namespace hexr::wire {

// What the peer has shown: nothing of it is verified yet.
struct TlsPeerChain {
  std::vector<Bytes> der;  // leaf first, as sent, at most limits::kMaxChainCertificates
};
// Says whether the peer may be who its chain says; the handshake goes on only with OK. Called during Feed, once.
using TlsVerifier = std::function<Status(const TlsPeerChain&)>;

// Our side's certificate chain, leaf first, and its key.
struct TlsIdentity {
  std::vector<crypto::Certificate> chain;
  crypto::PrivateKey key;
};

enum class TlsClientCertificate : uint8_t { kNone, kRequest, kRequire };

class TlsContext {
 public:
  // `alpn` in order of preference; a client that offers none of it is refused, one that offers nothing is not.
  // A verifier is there exactly when client certificates are asked for.
  struct Server {
    TlsIdentity identity;
    std::vector<std::string> alpn;
    TlsClientCertificate client_certificate = TlsClientCertificate::kNone;
    TlsVerifier verifier;
  };
  static Result<std::shared_ptr<const TlsContext>> ForServer(Server options);

  struct Client {
    std::vector<std::string> alpn;
    std::shared_ptr<const TlsIdentity> identity;  // null: no client certificate
    // With a verifier, it alone decides. Without one, the web's rules do: a chain to `roots_pem` (empty: the system's
    // roots) and the name that the session is made for.
    TlsVerifier verifier;
    std::string roots_pem;
  };
  static Result<std::shared_ptr<const TlsContext>> ForClient(Client options);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class TlsSession {
 public:
  static Result<std::unique_ptr<TlsSession>> Accept(std::shared_ptr<const TlsContext> context);
  // `name` is a DNS name (sent as SNI) or an IP address (never sent): what the web's rules are checked against. It may
  // be empty only with a verifier.
  static Result<std::unique_ptr<TlsSession>> Connect(std::shared_ptr<const TlsContext> context, std::string_view name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Bytes from the peer. An error ends the session: UNAUTHENTICATED when the peer's certificate was refused (the
  // verifier's own words), UNAVAILABLE otherwise. There may still be output then: the alert that says so.
  Status Feed(ByteView ciphertext);
  // Appends up to `max` bytes of plaintext to `out`; returns how many. What is not read is held, so whoever does not
  // read does not feed.
  Result<size_t> Read(std::string& out, size_t max);
  // FAILED_PRECONDITION before the handshake is done, or after Close.
  Status Write(ByteView plaintext);
  // Appends all ciphertext for the peer to `out`.
  void TakeOutput(std::string& out);
  size_t PendingOutput() const;
  // Says close_notify. The peer's own may still come.
  void Close();

  bool established() const;
  // The peer has said close_notify: there is no more to read, and nothing was cut off.
  bool peer_closed() const;

  // Valid once established.
  std::string_view alpn() const;           // empty when none was agreed on
  std::string_view version() const;        // "TLSv1.3"
  std::string server_name() const;         // server: the SNI that the client sent, or empty
  const TlsPeerChain& peer_chain() const;  // verified by now; empty when the peer showed none

 private:
  friend class TlsContext;  // names Impl's verdict function
  struct Impl;
  explicit TlsSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hexr::wire
