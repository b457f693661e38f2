#include "wire/tls_session.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/limits/keys.h"
#include "base/limits/tls_dns.h"
#include "crypto/openssl_ptr.h"

namespace hexr::wire {
namespace {

using crypto::OpenSslError;
using SslCtxPtr = std::unique_ptr<SSL_CTX, crypto::OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, crypto::OpenSslFree<SSL_free>>;

// Forward secrecy and AEAD only (RFC 9325 4.2).
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";

// RFC 7301 3.1: each name behind its length.
Result<Bytes> AlpnWire(const std::vector<std::string>& names) {
  Bytes out;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return InvalidArgument("tls: bad protocol name");
    out.push_back(static_cast<uint8_t>(name.size()));
    out.insert(out.end(), name.begin(), name.end());
  }
  return out;
}

crypto::X509Ptr ToX509(ByteView der) {
  const uint8_t* p = der.data();
  return crypto::X509Ptr(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
}

Bytes ToDer(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return {};
  Bytes out(static_cast<size_t>(size));
  uint8_t* p = out.data();
  i2d_X509(certificate, &p);
  return out;
}

Status UseIdentity(SSL_CTX* ctx, const TlsIdentity& identity) {
  if (identity.chain.empty()) return InvalidArgument("tls: identity without certificate");
  for (size_t i = 0; i < identity.chain.size(); ++i) {
    const crypto::X509Ptr certificate = ToX509(identity.chain[i].der());
    const bool used = certificate != nullptr && (i == 0 ? SSL_CTX_use_certificate(ctx, certificate.get()) == 1
                                                        : SSL_CTX_add1_chain_cert(ctx, certificate.get()) == 1);
    if (!used) return OpenSslError(ErrorCode::kInvalidArgument, "tls: certificate");
  }
  if (SSL_CTX_use_PrivateKey(ctx, identity.key.handle()) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
    return OpenSslError(ErrorCode::kInvalidArgument, "tls: private key");
  }
  return Ok();
}

}  // namespace

struct TlsContext::Impl {
  SslCtxPtr ctx;
  Bytes alpn;  // on the wire
  TlsVerifier verifier;
  bool server = false;
};

struct TlsSession::Impl {
  std::shared_ptr<const TlsContext> context;
  SslPtr ssl;  // owns both BIOs
  BIO* in = nullptr;
  BIO* out = nullptr;
  TlsPeerChain peer;
  std::optional<Error> refused;
  bool dead = false;
  bool closed = false;

  // The one place where OpenSSL asks for a verdict on a peer's chain.
  static int Verify(X509_STORE_CTX* store, void*) {
    SSL* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    Impl& self = *static_cast<Impl*>(SSL_get_app_data(ssl));
    const TlsVerifier& verifier = self.context->impl_->verifier;
    const STACK_OF(X509)* untrusted = X509_STORE_CTX_get0_untrusted(store);
    const int n = sk_X509_num(untrusted);
    self.peer.der.clear();
    if (n <= 0 || static_cast<size_t>(n) > limits::kMaxChainCertificates) {
      self.refused = Unauthenticated("tls: peer shows no chain, or too long a one");
    } else {
      for (int i = 0; i < n; ++i) self.peer.der.push_back(ToDer(sk_X509_value(untrusted, i)));
      if (verifier) {
        auto verdict = verifier(self.peer);
        if (!verdict.ok()) self.refused = Unauthenticated("tls: " + verdict.error().message());
      } else if (X509_verify_cert(store) != 1) {
        self.refused =
            Unauthenticated(std::string("tls: ") + X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)));
      }
    }
    if (!self.refused) return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }

  Error Fail(int ssl_error) {
    dead = true;
    if (refused) {
      ERR_clear_error();
      return *refused;
    }
    if (ssl_error == SSL_ERROR_SYSCALL) return Unavailable("tls: connection failed");
    return OpenSslError(ErrorCode::kUnavailable, "tls");
  }

  static Result<std::unique_ptr<TlsSession>> Create(std::shared_ptr<const TlsContext> context) {
    auto impl = std::make_unique<Impl>();
    impl->ssl.reset(SSL_new(context->impl_->ctx.get()));
    crypto::BioPtr in(BIO_new(BIO_s_mem()));
    crypto::BioPtr out(BIO_new(BIO_s_mem()));
    if (impl->ssl == nullptr || in == nullptr || out == nullptr) return OpenSslError(ErrorCode::kInternal, "tls");
    // An empty input is "not yet", never the end: the end is the caller's to tell.
    BIO_set_mem_eof_return(in.get(), -1);
    BIO_set_mem_eof_return(out.get(), -1);
    impl->in = in.get();
    impl->out = out.get();
    SSL_set_bio(impl->ssl.get(), in.release(), out.release());
    SSL_set_app_data(impl->ssl.get(), impl.get());
    impl->context = std::move(context);
    return std::unique_ptr<TlsSession>(new TlsSession(std::move(impl)));
  }
};

namespace {

Result<SslCtxPtr> NewContext(const SSL_METHOD* method) {
  SslCtxPtr ctx(SSL_CTX_new(method));
  if (ctx == nullptr) return OpenSslError(ErrorCode::kInternal, "tls: context");
  const bool set = SSL_CTX_set_min_proto_version(ctx.get(), TLS1_2_VERSION) == 1 &&
                   SSL_CTX_set_cipher_list(ctx.get(), kCiphers12) == 1 &&
                   SSL_CTX_set_ciphersuites(ctx.get(), kCiphers13) == 1 &&
                   SSL_CTX_set1_groups_list(ctx.get(), kGroups) == 1 && SSL_CTX_set_num_tickets(ctx.get(), 0) == 1;
  if (!set) return OpenSslError(ErrorCode::kInternal, "tls: context");
  SSL_CTX_set_options(
      ctx.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_max_cert_list(ctx.get(), static_cast<long>(limits::kMaxTlsChainBytes));
  return ctx;
}

// The server's preference decides (RFC 7301 3.2).
int SelectAlpn(SSL*, const uint8_t** out, uint8_t* out_size, const uint8_t* in, unsigned in_size, void* arg) {
  const Bytes& ours = *static_cast<const Bytes*>(arg);
  uint8_t* selected = nullptr;
  const int found =
      SSL_select_next_proto(&selected, out_size, ours.data(), static_cast<unsigned>(ours.size()), in, in_size);
  *out = selected;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

Status AddRoots(SSL_CTX* ctx, const std::string& pem) {
  if (pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(ctx) == 1) return Ok();
    return OpenSslError(ErrorCode::kInternal, "tls: system roots");
  }
  ASSIGN_OR_RETURN(const auto roots, crypto::Certificate::ParsePemChain(pem));
  for (const crypto::Certificate& root : roots) {
    const crypto::X509Ptr x = ToX509(root.der());
    if (x == nullptr || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x.get()) != 1) {
      return OpenSslError(ErrorCode::kInvalidArgument, "tls: root certificate");
    }
  }
  return Ok();
}

bool IsIpAddress(const std::string& text) {
  std::array<uint8_t, 16> ignored{};
  return inet_pton(AF_INET, text.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, text.c_str(), ignored.data()) == 1;
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::ForServer(Server options) {
  const bool asks = options.client_certificate != TlsClientCertificate::kNone;
  if (asks != static_cast<bool>(options.verifier)) {
    return InvalidArgument("tls: a verifier goes with client certificates, and only with them");
  }
  auto impl = std::make_unique<Impl>();
  impl->server = true;
  ASSIGN_OR_RETURN(impl->ctx, NewContext(TLS_server_method()));
  RETURN_IF_ERROR(UseIdentity(impl->ctx.get(), options.identity));
  ASSIGN_OR_RETURN(impl->alpn, AlpnWire(options.alpn));
  if (!impl->alpn.empty()) SSL_CTX_set_alpn_select_cb(impl->ctx.get(), SelectAlpn, &impl->alpn);
  if (asks) {
    const bool required = options.client_certificate == TlsClientCertificate::kRequire;
    SSL_CTX_set_verify(impl->ctx.get(), SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    SSL_CTX_set_cert_verify_callback(impl->ctx.get(), TlsSession::Impl::Verify, nullptr);
    impl->verifier = std::move(options.verifier);
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(impl)));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::ForClient(Client options) {
  auto impl = std::make_unique<Impl>();
  ASSIGN_OR_RETURN(impl->ctx, NewContext(TLS_client_method()));
  if (options.identity != nullptr) RETURN_IF_ERROR(UseIdentity(impl->ctx.get(), *options.identity));
  ASSIGN_OR_RETURN(impl->alpn, AlpnWire(options.alpn));
  // Zero is success for this one call.
  if (SSL_CTX_set_alpn_protos(impl->ctx.get(), impl->alpn.data(), static_cast<unsigned>(impl->alpn.size())) != 0) {
    return OpenSslError(ErrorCode::kInternal, "tls: protocols");
  }
  if (!options.verifier) RETURN_IF_ERROR(AddRoots(impl->ctx.get(), options.roots_pem));
  SSL_CTX_set_verify(impl->ctx.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(impl->ctx.get(), TlsSession::Impl::Verify, nullptr);
  impl->verifier = std::move(options.verifier);
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(impl)));
}

TlsSession::TlsSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsSession::~TlsSession() = default;

Result<std::unique_ptr<TlsSession>> TlsSession::Accept(std::shared_ptr<const TlsContext> context) {
  HEXR_CHECK(context->impl_->server);
  ASSIGN_OR_RETURN(auto session, Impl::Create(std::move(context)));
  SSL_set_accept_state(session->impl_->ssl.get());
  return session;
}

Result<std::unique_ptr<TlsSession>> TlsSession::Connect(std::shared_ptr<const TlsContext> context,
                                                        std::string_view name) {
  HEXR_CHECK(!context->impl_->server);
  const bool web_rules = !context->impl_->verifier;
  const std::string host(name);
  if (host.empty() && web_rules) return InvalidArgument("tls: no name to check the peer against");
  if (host.find('\0') != std::string::npos) return InvalidArgument("tls: bad peer name");
  ASSIGN_OR_RETURN(auto session, Impl::Create(std::move(context)));
  SSL* ssl = session->impl_->ssl.get();
  SSL_set_connect_state(ssl);
  if (!host.empty()) {
    const bool ip = IsIpAddress(host);
    bool set = ip || SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
    if (web_rules) {
      SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
      set = set && (ip ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str())
                       : SSL_set1_host(ssl, host.c_str())) == 1;
    }
    if (!set) return OpenSslError(ErrorCode::kInvalidArgument, "tls: peer name");
  }
  RETURN_IF_ERROR(session->Feed({}));  // the first flight
  return session;
}

Status TlsSession::Feed(ByteView ciphertext) {
  Impl& s = *impl_;
  if (s.dead) return Unavailable("tls: session has ended");
  ERR_clear_error();
  if (!ciphertext.empty()) {
    const auto size = static_cast<int>(ciphertext.size());
    if (BIO_write(s.in, ciphertext.data(), size) != size) return s.Fail(SSL_ERROR_SSL);
  }
  if (SSL_is_init_finished(s.ssl.get()) != 0) return Ok();
  const int result = SSL_do_handshake(s.ssl.get());
  if (result == 1) return Ok();
  const int error = SSL_get_error(s.ssl.get(), result);
  return error == SSL_ERROR_WANT_READ ? Ok() : Status(s.Fail(error));
}

Result<size_t> TlsSession::Read(std::string& out, size_t max) {
  Impl& s = *impl_;
  if (s.dead) return Unavailable("tls: session has ended");
  if (!established()) return size_t{0};
  std::array<char, 16384> buffer;
  size_t total = 0;
  while (total < max) {
    size_t n = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(s.ssl.get(), buffer.data(), std::min(buffer.size(), max - total), &n);
    if (result == 1) {
      out.append(buffer.data(), n);
      total += n;
      continue;
    }
    const int error = SSL_get_error(s.ssl.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) break;
    return s.Fail(error);
  }
  return total;
}

Status TlsSession::Write(ByteView plaintext) {
  Impl& s = *impl_;
  if (!established() || s.dead || s.closed) return FailedPrecondition("tls: session is not open");
  if (plaintext.empty()) return Ok();
  size_t n = 0;
  ERR_clear_error();
  const int result = SSL_write_ex(s.ssl.get(), plaintext.data(), plaintext.size(), &n);
  // A memory BIO takes everything at once.
  if (result != 1 || n != plaintext.size()) return s.Fail(SSL_get_error(s.ssl.get(), result));
  return Ok();
}

void TlsSession::TakeOutput(std::string& out) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(impl_->out, &data);
  if (size <= 0) return;
  out.append(data, static_cast<size_t>(size));
  static_cast<void>(BIO_reset(impl_->out));
}

size_t TlsSession::PendingOutput() const { return BIO_ctrl_pending(impl_->out); }

void TlsSession::Close() {
  if (!established() || impl_->dead || std::exchange(impl_->closed, true)) return;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

bool TlsSession::established() const { return SSL_is_init_finished(impl_->ssl.get()) != 0; }
bool TlsSession::peer_closed() const { return (SSL_get_shutdown(impl_->ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

std::string_view TlsSession::alpn() const {
  const uint8_t* data = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(impl_->ssl.get(), &data, &size);
  return data == nullptr ? std::string_view() : AsText({data, size});
}
std::string_view TlsSession::version() const { return SSL_get_version(impl_->ssl.get()); }
std::string TlsSession::server_name() const {
  const char* name = SSL_get_servername(impl_->ssl.get(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}
const TlsPeerChain& TlsSession::peer_chain() const { return impl_->peer; }

}  // namespace hexr::wire
