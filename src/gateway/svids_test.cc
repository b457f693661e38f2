#include "gateway/svids.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/limits/gateway.h"
#include "crypto/authority.h"

namespace hexr::gateway {
namespace {

using runtime::Envelope;
using runtime::Message;

struct SvidsTest : ::testing::Test {
  runtime::Loop loop;
  ManualClock clock{WallTime{std::chrono::seconds(1'700'000'000)}};
  SeededRandom random{1};
  TrustDomain td = *TrustDomain::Parse("example.org");
  crypto::CertificateAuthority ca = *crypto::CertificateAuthority::CreateRoot(
      td, crypto::PrivateKey::Generate(crypto::KeyType::kP256), clock.Wall(), std::chrono::hours(24), random);
  InstanceId instance = InstanceId::Make(1, "0123456789");
  SpiffeId id = *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main");
  struct Asked {
    Envelope ask;
    UniqueFunction<void(Result<Message>)> done;
  };
  std::deque<Asked> asked;
  Svids svids{loop, clock, random, [this](Envelope ask, UniqueFunction<void(Result<Message>)> done) {
                asked.push_back({std::move(ask), std::move(done)});
              }};

  Message Answer(const SpiffeId& for_id, const crypto::PublicKey& key,
                 std::chrono::seconds ttl = std::chrono::minutes(15)) {
    crypto::SvidRequest request{.id = for_id, .key = key, .ttl = ttl};
    Message m;
    m.body.mutable_svid()->add_chain_der(std::string(AsText(ca.IssueSvid(request, clock.Wall(), random)->der())));
    return m;
  }
  crypto::PublicKey AskedKey(size_t n) {
    return *crypto::PublicKey::FromSpki(AsBytes(asked.at(n).ask.issue_svid().spki_der()));
  }
};

TEST_F(SvidsTest, AnInstanceHasOneWithAKeyOfItsOwn) {
  ASSERT_TRUE(asked.empty());
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  ASSERT_EQ(asked.size(), 1u) << "asked once, when first wanted";
  EXPECT_EQ(asked[0].ask.issue_svid().instance(), instance.value());
  asked[0].done(Answer(id, AskedKey(0)));
  const auto identity = svids.Find(instance, id);
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(identity->key.public_key(), AskedKey(0));
  svids.Remove(instance);
  EXPECT_EQ(svids.Find(instance, id), nullptr);
}

TEST_F(SvidsTest, AnotherKeyNameOrTimeIsRefused) {
  svids.Find(instance, id);
  const crypto::PrivateKey other = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  asked[0].done(Answer(id, other.public_key()));
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  svids.Retry();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_FALSE(AskedKey(0) == AskedKey(1)) << "a new key for each request";
  asked[1].done(Answer(*SpiffeId::Parse("spiffe://example.org/agent/acme/crew/other"), AskedKey(1)));
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  svids.Retry();
  Message late = Answer(id, AskedKey(2), std::chrono::minutes(1));
  clock.Advance(std::chrono::minutes(2));
  asked[2].done(std::move(late));
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  svids.Retry();
  asked[3].done(Message{});
  EXPECT_EQ(svids.Find(instance, id), nullptr);
}

TEST_F(SvidsTest, OneThatHasRunOutSpeaksForNobody) {
  svids.Find(instance, id);
  asked[0].done(Answer(id, AskedKey(0)));
  clock.Advance(std::chrono::minutes(16));
  EXPECT_EQ(svids.Find(instance, id), nullptr);
}

TEST_F(SvidsTest, RenewedAtHalfOfItsLife) {
  svids.Find(instance, id);
  // The loop's timers run on real time: two seconds to live make a renewal after one.
  asked[0].done(Answer(id, AskedKey(0), std::chrono::seconds(2)));
  const auto first = svids.Find(instance, id);
  ASSERT_NE(first, nullptr);
  for (int i = 0; i < 100 && asked.size() < 2; ++i) loop.RunFor(std::chrono::milliseconds(100));
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(svids.Find(instance, id), first) << "the old one serves until the new one is there";
  asked[1].done(Answer(id, AskedKey(1)));
  EXPECT_EQ(svids.Find(instance, id)->key.public_key(), AskedKey(1));
}

TEST_F(SvidsTest, AnAnswerAfterTheEndIsNobodys) {
  svids.Find(instance, id);
  svids.Remove(instance);
  asked[0].done(Answer(id, AskedKey(0)));
  EXPECT_EQ(svids.Find(instance, id), nullptr);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(svids.Find(instance, id), nullptr);
}

TEST_F(SvidsTest, OnlySoManyAreAskedForAtOnce) {
  const auto nth = [](size_t n) { return InstanceId::Make(n + 1, "0123456789"); };
  for (size_t n = 0; n < 3 * limits::kMaxSvidAsks; ++n) svids.Find(nth(n), id);
  ASSERT_EQ(asked.size(), limits::kMaxSvidAsks);
  svids.Remove(nth(limits::kMaxSvidAsks));  // while it waits: its turn is the next one's
  asked[0].done(Answer(id, AskedKey(0)));
  ASSERT_EQ(asked.size(), limits::kMaxSvidAsks + 1);
  EXPECT_EQ(asked.back().ask.issue_svid().instance(), nth(limits::kMaxSvidAsks + 1).value());
  for (size_t n = 1; n < asked.size(); ++n) asked[n].done(Answer(id, AskedKey(n)));
  EXPECT_EQ(asked.size(), 3 * limits::kMaxSvidAsks - 1);
  EXPECT_NE(svids.Find(nth(3 * limits::kMaxSvidAsks - 1), id), nullptr);
}

}  // namespace
}  // namespace hexr::gateway
