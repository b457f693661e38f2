// Rates of what the issuing path does. Run alone and compare ratios within one run.
#include <benchmark/benchmark.h>

#include "crypto/aead.h"
#include "crypto/authority.h"
#include "crypto/svid.h"

namespace hexr::crypto {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

struct World {
  SystemRandom random;
  WallTime now = ParseRfc3339("2026-06-01T12:00:00Z").value();
  TrustDomain td = TrustDomain::Parse("example.org").value();
  SpiffeId id = SpiffeId::Parse("spiffe://example.org/agent/tenant/content-crew/researcher").value();
  CertificateAuthority ca =
      CertificateAuthority::CreateRoot(td, PrivateKey::Generate(KeyType::kP256), now, hours(24), random).value();
};

void GenerateKey(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(PrivateKey::Generate(KeyType::kP256));
}
BENCHMARK(GenerateKey);

// Key, certificate, self-check and the private key as PKCS#8: everything that one X.509-SVID response needs.
void IssueSvid(benchmark::State& state) {
  World w;
  for (auto _ : state) {
    const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
    benchmark::DoNotOptimize(w.ca.IssueSvid({w.id, key.public_key(), minutes(15)}, w.now, w.random).value());
    benchmark::DoNotOptimize(key.ToPkcs8());
  }
  state.counters["svids"] = benchmark::Counter(static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(IssueSvid);

void ParseCertificate(benchmark::State& state) {
  World w;
  const Certificate leaf =
      w.ca.IssueSvid({w.id, PrivateKey::Generate(KeyType::kP256).public_key(), minutes(15)}, w.now, w.random).value();
  for (auto _ : state) benchmark::DoNotOptimize(Certificate::Parse(leaf.der()));
}
BENCHMARK(ParseCertificate);

void VerifyPeerSvid(benchmark::State& state) {
  World w;
  const Certificate leaf =
      w.ca.IssueSvid({w.id, PrivateKey::Generate(KeyType::kP256).public_key(), minutes(15)}, w.now, w.random).value();
  X509BundleSet bundles;
  bundles.Set(X509Bundle::Create(w.td, {w.ca.certificate()}).value());
  for (auto _ : state) benchmark::DoNotOptimize(VerifySvid({leaf}, bundles, w.now).value());
}
BENCHMARK(VerifyPeerSvid);

void SignEs256(benchmark::State& state) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const Bytes message(300);
  for (auto _ : state) benchmark::DoNotOptimize(key.Sign(SignatureAlgorithm::kEs256, message));
}
BENCHMARK(SignEs256);

void Sha256Of64Bytes(benchmark::State& state) {
  const Bytes message(64);
  for (auto _ : state) benchmark::DoNotOptimize(Sha256(message));
}
BENCHMARK(Sha256Of64Bytes);

void SealAndOpen(benchmark::State& state) {
  SystemRandom random;
  const AeadKey key = AeadKey::Generate(random);
  const Bytes plain(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(key.Open(key.Seal(plain, "bench", random), "bench"));
}
BENCHMARK(SealAndOpen)->Arg(64)->Arg(4096);

}  // namespace
}  // namespace hexr::crypto
