#include "identity/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/bytes.h"
#include "base/limits/identity.h"
#include "crypto/svid.h"
#include "crypto/testing/broken_signer.h"
#include "identity/bundle_set.h"
#include "identity/svid_keeper.h"
#include "identity/testing/memory_store.h"

namespace hexr::identity {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const TrustDomain kDomain = *TrustDomain::Parse("example.org");

class AuthorityTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    authority_.reset();
    auto opened = Authority::Open({kDomain}, clock_, random_, store_, [this](const Authority::Change& c) {
      bundle_changes_ += c.bundle ? 1 : 0;
      revocations_ += c.revocations ? 1 : 0;
      if (!c.void_authority.empty()) voided_.push_back(c.void_authority);
    });
    ASSERT_TRUE(opened.ok()) << opened.error().ToString();
    authority_ = std::move(*opened);
  }
  Result<IssuedX509> Issue() { return authority_->IssueX509(id_, key_.public_key(), hours(9)); }
  Result<crypto::VerifiedSvid> Verify(const IssuedX509& svid) const {
    crypto::X509BundleSet set;
    set.Set(*crypto::X509Bundle::Create(kDomain, authority_->bundle().x509_authorities));
    return crypto::VerifySvid(svid.chain, set, clock_.Wall());
  }
  std::string ActiveId(SigningUse use) const {
    for (const SigningSlot& s : authority_->Slots(use)) {
      if (s.state == SlotState::kActive) return s.id;
    }
    return "";
  }
  size_t Count(SigningUse use, SlotState state) const {
    size_t n = 0;
    for (const SigningSlot& s : authority_->Slots(use)) n += s.state == state ? 1 : 0;
    return n;
  }

  ManualClock clock_{WallTime{hours(500'000)}};
  SystemRandom random_;
  testing::MemoryStore store_;
  std::unique_ptr<Authority> authority_;
  SpiffeId id_ = *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/writer");
  Identity identity_{id_, Assurance::kAttested, {}, {}, {}, ""};
  crypto::PrivateKey key_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  int bundle_changes_ = 0;
  int revocations_ = 0;
  std::vector<std::string> voided_;
};

// INV-ID-07: whoever verifies does so with the published keys; what they would refuse is withheld here, where somebody
// sees it.
TEST_F(AuthorityTest, WhatThePublishedKeysDoNotVerifyIsWithheld) {
  ASSERT_TRUE(Issue().ok());
  ASSERT_TRUE(authority_->IssueJwt(identity_, {"db"}, minutes(1)).ok());
  ASSERT_TRUE(authority_->IssueWit(identity_, key_.public_key(), minutes(1)).ok());
  for (const SigningUse use : {SigningUse::kX509, SigningUse::kJwt, SigningUse::kWit}) {
    for (const SigningSlot& s : authority_->Slots(use)) crypto::testing::BreakSigner(*s.private_key);
  }
  EXPECT_EQ(Issue().error().code(), ErrorCode::kInternal);
  EXPECT_EQ(authority_->IssueJwt(identity_, {"db"}, minutes(1)).error().code(), ErrorCode::kInternal);
  EXPECT_EQ(authority_->IssueWit(identity_, key_.public_key(), minutes(1)).error().code(), ErrorCode::kInternal);
}

TEST_F(AuthorityTest, IssuesWhatItsBundleVerifies) {
  const auto svid = Issue();
  ASSERT_TRUE(svid.ok()) << svid.error().ToString();
  const auto verified = Verify(*svid);
  ASSERT_TRUE(verified.ok()) << verified.error().ToString();
  EXPECT_EQ(verified->id(), id_);
  EXPECT_EQ(svid->not_after() - clock_.Wall(), minutes(15));  // cut to the node's bound
  EXPECT_FALSE(authority_->IssueX509(*SpiffeId::Parse("spiffe://other.org/a"), key_.public_key(), minutes(1)).ok());
  EXPECT_FALSE(authority_->IssueX509(SpiffeId::ForTrustDomain(kDomain), key_.public_key(), minutes(1)).ok());

  const auto jwt = authority_->IssueJwt(identity_, {"db"}, hours(1));
  ASSERT_TRUE(jwt.ok()) << jwt.error().ToString();
  EXPECT_EQ(jwt->expires_at - clock_.Wall(), minutes(5));
  EXPECT_EQ(authority_->IssueJwt(identity_, {}, minutes(1)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(authority_->IssueJwt(identity_, {""}, minutes(1)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(authority_->IssueJwt(identity_, {"\xff"}, minutes(1)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(authority_->IssueJwt(identity_, std::vector<std::string>(limits::kMaxAudiences + 1, "a"), minutes(1))
                .error()
                .code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      authority_->IssueJwt(identity_, {std::string(limits::kMaxAudienceBytes + 1, 'a')}, minutes(1)).error().code(),
      ErrorCode::kInvalidArgument);
  ASSERT_TRUE(authority_->IssueWit(identity_, key_.public_key(), hours(1)).ok());
}

TEST_F(AuthorityTest, TokensCanBeSignedWithRsa) {
  testing::MemoryStore store;
  auto rsa = Authority::Open({.trust_domain = kDomain, .jwt_key = crypto::KeyType::kRsa}, clock_, random_, store,
                             [](const Authority::Change&) {});
  ASSERT_TRUE(rsa.ok());
  const auto token = (*rsa)->IssueJwt(identity_, {"db"}, minutes(1));
  ASSERT_TRUE(token.ok()) << token.error().ToString();
  EXPECT_THAT((*rsa)->bundle().OidcJwks(), HasSubstr("RS256"));
}

TEST_F(AuthorityTest, AnotherAlgorithmHoldsFromTheNextStartOn) {
  testing::MemoryStore store;
  const auto open = [&](crypto::KeyType type) {
    return std::move(*Authority::Open({.trust_domain = kDomain, .jwt_key = type}, clock_, random_, store,
                                      [](const Authority::Change&) {}));
  };
  const auto active = [](const Authority& a) {
    for (const SigningSlot& s : a.Slots(SigningUse::kJwt)) {
      if (s.state == SlotState::kActive) return s;
    }
    return a.Slots(SigningUse::kJwt).front();
  };
  const SigningSlot before = active(*open(crypto::KeyType::kP256));
  const auto rsa = open(crypto::KeyType::kRsa);
  const SigningSlot after = active(*rsa);
  EXPECT_EQ(after.public_key.type(), crypto::KeyType::kRsa);
  ASSERT_TRUE(rsa->IssueJwt(identity_, {"db"}, minutes(1)).ok());
  EXPECT_EQ(rsa->bundle().jwt_keys.size(), 2u) << "what the old key signed is verified until its end";
  EXPECT_EQ(active(*open(crypto::KeyType::kRsa)).id, after.id) << "and the next start changes nothing";
  EXPECT_NE(before.id, after.id);
}

TEST_F(AuthorityTest, SurvivesARestartWithTheSameKeys) {
  const auto svid = Issue();
  const std::string before = authority_->bundle().ToJson();
  authority_->RevokeSerial(id_, svid->chain[0].serial(), svid->not_after(), svid->authority_id);
  ASSERT_TRUE(authority_->Tick().ok());  // saves the revocation
  Open();
  EXPECT_EQ(authority_->bundle().ToJson(), before);
  EXPECT_TRUE(Verify(*svid).ok());
  EXPECT_TRUE(authority_->IsRevoked(svid->chain[0].serial()));
  EXPECT_TRUE(Issue().ok());
}

TEST_F(AuthorityTest, ABrokenStateIsNeverOverwritten) {
  for (const std::string& broken :
       {std::string("rubbish\xff\xff"),
        std::string(AsText(store_.state->Reveal(crypto::RevealToken::For("test state")))).replace(200, 4, "XXXX")}) {
    testing::MemoryStore store;
    store.state = crypto::Secret::Copy(AsBytes(broken));
    const auto opened = Authority::Open({kDomain}, clock_, random_, store, [](const Authority::Change&) {});
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code(), ErrorCode::kDataLoss);
    EXPECT_EQ(store.saves, 0);
  }
}

// INV-ID-06: through four lives of a key, a minute at a time: there is always exactly one active key, it is published
// long before it signs, and nothing issued outlives its signer or stops verifying while it lives.
TEST_F(AuthorityTest, RotatesWithoutAGap) {
  std::map<std::string, WallTime> published;
  std::vector<IssuedX509> alive;
  std::set<std::string> signers;
  for (int minute = 0; minute < 4 * 24 * 60; ++minute) {
    ASSERT_TRUE(authority_->Tick().ok());
    for (const SigningSlot& slot : authority_->Slots(SigningUse::kX509)) published.try_emplace(slot.id, clock_.Wall());
    for (const SigningUse use : {SigningUse::kX509, SigningUse::kJwt, SigningUse::kWit}) {
      ASSERT_EQ(Count(use, SlotState::kActive), 1U);
      ASSERT_LE(Count(use, SlotState::kPrepared), 1U);
    }
    if (minute % 5 == 0) {
      auto svid = Issue();
      ASSERT_TRUE(svid.ok());
      if (signers.insert(svid->authority_id).second && signers.size() > 1) {
        ASSERT_GE(clock_.Wall() - published[svid->authority_id], hours(7)) << "published too late";
      }
      for (const SigningSlot& slot : authority_->Slots(SigningUse::kX509)) {
        if (slot.id == svid->authority_id) {
          ASSERT_LE(svid->not_after(), slot.not_after);
        }
      }
      alive.push_back(std::move(*svid));
    }
    std::erase_if(alive, [this](const IssuedX509& s) { return s.not_after() <= clock_.Wall(); });
    if (minute % 60 == 0) {
      for (const IssuedX509& svid : alive) ASSERT_TRUE(Verify(svid).ok());
    }
    clock_.Advance(minutes(1));
  }
  EXPECT_EQ(signers.size(), 8U);  // each takes over when half of its life is behind it
  EXPECT_THAT(voided_, IsEmpty());
  // Old keys have gone, from the bundle a day after their end.
  EXPECT_LE(authority_->Slots(SigningUse::kX509).size(), 4U);
}

TEST_F(AuthorityTest, OldKeysAreBounded) {
  for (size_t i = 0; i < limits::kMaxOldSlots + 3; ++i) {
    ASSERT_TRUE(authority_->Prepare(SigningUse::kJwt).ok());
    ASSERT_TRUE(authority_->Activate(SigningUse::kJwt).ok());
    ASSERT_TRUE(authority_->Tick().ok());
  }
  EXPECT_EQ(Count(SigningUse::kJwt, SlotState::kOld), limits::kMaxOldSlots);
}

// A key ID in base64url begins with `-` once in 64, and `hexr authority revoke -TB…` would read it as an option.
TEST_F(AuthorityTest, NoKeyIdReadsAsAnOption) {
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(authority_->Prepare(SigningUse::kWit).ok());
    ASSERT_TRUE(authority_->Activate(SigningUse::kWit).ok());
    ASSERT_TRUE(authority_->Tick().ok());
    ASSERT_NE(ActiveId(SigningUse::kWit).at(0), '-');
  }
}

TEST_F(AuthorityTest, ARetiredPrivateKeyIsDestroyed) {
  const std::string first = ActiveId(SigningUse::kX509);
  ASSERT_TRUE(authority_->Prepare(SigningUse::kX509).ok());
  ASSERT_TRUE(authority_->Activate(SigningUse::kX509).ok());
  const auto has_private = [&] {
    for (const SigningSlot& s : authority_->Slots(SigningUse::kX509)) {
      if (s.id == first) return s.private_key.has_value();
    }
    return false;
  };
  EXPECT_TRUE(has_private());  // it still signs the list of what it had issued
  clock_.Advance(minutes(16));
  ASSERT_TRUE(authority_->Tick().ok());
  EXPECT_FALSE(has_private());
  Open();
  EXPECT_FALSE(has_private());
}

TEST_F(AuthorityTest, NothingIsSignedWithAKeyThatCouldNotBeSaved) {
  store_.fail = true;
  EXPECT_FALSE(authority_->Prepare(SigningUse::kX509).ok());
  const std::string active = ActiveId(SigningUse::kX509);
  clock_.Advance(hours(13));  // a new key is due, and cannot be saved
  EXPECT_FALSE(authority_->Tick().ok());
  EXPECT_EQ(Count(SigningUse::kX509, SlotState::kPrepared), 0U);
  EXPECT_EQ(Issue()->authority_id, active);  // the old one is still good
  clock_.Advance(hours(12));                 // and now it has run out
  EXPECT_EQ(Issue().error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(authority_->IssueJwt(identity_, {"db"}, minutes(1)).error().code(), ErrorCode::kUnavailable);
  store_.fail = false;
  EXPECT_TRUE(Issue().ok());
}

TEST_F(AuthorityTest, AClockSetForwardReplacesKeysBeforeTheyAreUsed) {
  const std::string before = ActiveId(SigningUse::kX509);
  clock_.StepWall(hours(1000));
  const auto svid = Issue();  // without a tick in between
  ASSERT_TRUE(svid.ok()) << svid.error().ToString();
  EXPECT_NE(svid->authority_id, before);
  EXPECT_TRUE(Verify(*svid).ok());
  EXPECT_LE(svid->not_after(), clock_.Wall() + minutes(15));
  EXPECT_TRUE(authority_->IssueJwt(identity_, {"db"}, minutes(1)).ok());
}

TEST_F(AuthorityTest, AClockSetBackReplacesKeysThatWouldLiveTooLong) {
  const std::string before = ActiveId(SigningUse::kX509);
  const auto early = Issue();
  clock_.StepWall(-hours(2));
  const auto svid = Issue();
  ASSERT_TRUE(svid.ok()) << svid.error().ToString();
  EXPECT_NE(svid->authority_id, before);
  EXPECT_THAT(voided_, ::testing::Contains(before));
  EXPECT_TRUE(Verify(*svid).ok());
  EXPECT_LE(svid->not_after(), clock_.Wall() + minutes(15));
  for (const SigningSlot& slot : authority_->Slots(SigningUse::kX509)) {
    if (slot.state == SlotState::kActive) {
      EXPECT_LE(slot.not_after, clock_.Wall() + hours(24));
    }
  }
}

TEST_F(AuthorityTest, TaintAndRevokeTakeAKeyOutOfTheWorld) {
  const auto old = Issue();
  const std::string id = old->authority_id;
  EXPECT_EQ(authority_->Taint(SigningUse::kX509, id).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(authority_->Revoke(SigningUse::kX509, id).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(authority_->Activate(SigningUse::kX509).error().code(), ErrorCode::kFailedPrecondition);
  ASSERT_TRUE(authority_->Prepare(SigningUse::kX509).ok());
  ASSERT_TRUE(authority_->Activate(SigningUse::kX509).ok());
  EXPECT_TRUE(Verify(*old).ok());
  ASSERT_TRUE(authority_->Taint(SigningUse::kX509, id).ok());
  EXPECT_THAT(voided_, ::testing::ElementsAre(id));
  ASSERT_TRUE(authority_->Revoke(SigningUse::kX509, id).ok());
  EXPECT_FALSE(Verify(*old).ok());
  EXPECT_TRUE(Verify(*Issue()).ok());
  EXPECT_EQ(authority_->Taint(SigningUse::kX509, id).error().code(), ErrorCode::kNotFound);
  Open();
  EXPECT_FALSE(Verify(*old).ok()) << "revocation survives a restart";
}

TEST_F(AuthorityTest, TheSequenceGrowsWithEveryChangeOfKeys) {
  const uint64_t first = *authority_->bundle().sequence;
  ASSERT_TRUE(authority_->Prepare(SigningUse::kJwt).ok());
  const uint64_t second = *authority_->bundle().sequence;
  EXPECT_GT(second, first);
  ASSERT_TRUE(authority_->Activate(SigningUse::kJwt).ok());  // the same keys
  EXPECT_EQ(*authority_->bundle().sequence, second);
  store_.state.reset();  // the state is lost: consumers still have to see a later number
  clock_.Advance(seconds(10));
  Open();
  EXPECT_GT(*authority_->bundle().sequence, second);
}

TEST_F(AuthorityTest, RevokedCertificatesAreOnASignedListUntilTheyEnd) {
  EXPECT_THAT(*authority_->Crls(), IsEmpty());
  const auto svid = Issue();
  authority_->RevokeSerial(id_, svid->chain[0].serial(), svid->not_after(), svid->authority_id);
  authority_->RevokeSerial(id_, svid->chain[0].serial(), svid->not_after(), svid->authority_id);
  EXPECT_EQ(revocations_, 1);
  EXPECT_TRUE(authority_->IsRevoked(svid->chain[0].serial()));
  const auto crls = authority_->Crls();
  ASSERT_TRUE(crls.ok());
  ASSERT_THAT(*crls, SizeIs(1));
  EXPECT_THAT(HexEncode(crls->front()), HasSubstr(HexEncode(svid->chain[0].serial())));
  EXPECT_EQ(*authority_->Crls(), *crls);
  clock_.Advance(minutes(16));
  ASSERT_TRUE(authority_->Tick().ok());
  EXPECT_THAT(*authority_->Crls(), IsEmpty());
}

// RFC 5280 5.2.3: who keeps the list with the highest number must not be left with an old one, whatever the clock does.
TEST_F(AuthorityTest, EveryListHasAHigherNumberThanTheOneBefore) {
  const auto number = [&]() -> std::string {
    const Bytes crl = authority_->Crls().value().front();
    constexpr std::array<uint8_t, 5> kCrlNumber{0x06, 0x03, 0x55, 0x1d, 0x14};
    const auto at = std::ranges::search(crl, kCrlNumber).end();  // then an OCTET STRING with an INTEGER in it
    return HexEncode(ByteView(&*at + 4, at[3]));
  };
  std::string before;
  uint8_t serial = 0;
  for (const auto step : {hours(0), hours(0), hours(2), -hours(1), hours(0)}) {
    clock_.StepWall(step);
    authority_->RevokeSerial(id_, Bytes{++serial}, clock_.Wall() + hours(3), ActiveId(SigningUse::kX509));
    const std::string now = number();
    EXPECT_EQ(now.size(), before.empty() ? now.size() : before.size());
    EXPECT_GT(now, before);
    before = now;
  }
}

TEST_F(AuthorityTest, RevocationsAreBounded) {
  for (size_t i = 0; i < limits::kMaxRevocations + 5; ++i) {
    const Bytes serial{1, static_cast<uint8_t>(i >> 16), static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    authority_->RevokeSerial(id_, serial, clock_.Wall() + seconds(60 + i), ActiveId(SigningUse::kX509));
  }
  EXPECT_FALSE(authority_->IsRevoked(Bytes{1, 0, 0, 0})) << "what ends first goes first";
  EXPECT_TRUE(authority_->IsRevoked(Bytes{1, 0, 0, 5}));
}

// Whoever fills the list must not be able to keep the next key from being saved: nothing would be signed any more.
TEST_F(AuthorityTest, AFullListKeepsNoKeyFromBeingSaved) {
  authority_->RevocationsAreKeptElsewhere();
  const std::string key = ActiveId(SigningUse::kX509);
  const std::string start = "spiffe://example.org/agent/" + std::string(160, 't') + "/";
  for (size_t i = 0; i < limits::kMaxRevocations; ++i) {
    Bytes serial(20, 1);  // as long as they may be
    serial[1] = static_cast<uint8_t>(i >> 8);
    serial[2] = static_cast<uint8_t>(i);
    const SpiffeId holder = SpiffeId::Parse(start + "a" + std::to_string(i)).value();
    authority_->RevokeSerial(holder, serial, clock_.Wall() + minutes(10), key);
  }
  EXPECT_TRUE(authority_->Tick().ok());
  EXPECT_TRUE(authority_->Prepare(SigningUse::kJwt).ok());
  EXPECT_EQ(authority_->Revocations().size(), limits::kMaxRevocations);
  clock_.Advance(minutes(11));
  EXPECT_TRUE(authority_->Tick().ok());
  EXPECT_TRUE(authority_->Revocations().empty());
}

// out.db, in memory.
class FakeOut final : public OutStore {
 public:
  Status Add(const OutCertificate& c) override {
    for (const OutCertificate& known : all) EXPECT_NE(known.serial, c.serial);
    all.push_back(c);
    return Ok();
  }
  Status Revoked(ByteView serial, WallTime at) override {
    for (OutCertificate& c : all) {
      if (ByteView(c.serial).size() != serial.size() || !std::ranges::equal(c.serial, serial)) continue;
      c.revoked = true;
      c.revoked_at = at;
    }
    return Ok();
  }
  Result<std::vector<OutCertificate>> Load() override { return all; }

  std::vector<OutCertificate> all;
};

TEST_F(AuthorityTest, RevocationsOfAnEarlierReleaseMoveToTheOutStoreAndStay) {
  const WallTime then = clock_.Wall(), end = then + minutes(30);
  authority_->RevokeSerial(id_, Bytes{7}, end, ActiveId(SigningUse::kX509));
  ASSERT_TRUE(authority_->Tick().ok());  // as a release did that knew no other place
  FakeOut out;
  for (int life = 0; life < 3; ++life) {
    clock_.Advance(minutes(1));
    Open();
    EXPECT_EQ(authority_->IsRevoked(Bytes{7}), life < 2) << "in the state until something else is saved";
    SvidKeeper keeper(*authority_, clock_, random_, {}, &out);
    ASSERT_TRUE(keeper.TakeUp().ok());
    ASSERT_TRUE(authority_->IsRevoked(Bytes{7})) << life;
    EXPECT_EQ(authority_->Revocations().front().revoked_at, then);
    ASSERT_THAT(out.all, SizeIs(1));
    EXPECT_TRUE(out.all.front().revoked);
    EXPECT_EQ(out.all.front().revoked_at, then);
    if (life == 1) {
      ASSERT_TRUE(authority_->Prepare(SigningUse::kWit).ok());
    }
  }
}

// INV-ID-10: one holder that ends certificates in a loop takes others' off the list at no time.
TEST_F(AuthorityTest, NobodyPushesOthersOffTheList) {
  const SpiffeId other = SpiffeId::Parse("spiffe://example.org/agent/t/quiet/main").value();
  const std::string key = ActiveId(SigningUse::kX509);
  authority_->RevokeSerial(other, Bytes{9}, clock_.Wall() + seconds(30), key);
  const auto flood = [&](uint8_t tag, size_t n) {
    for (size_t i = 0; i < n; ++i) {
      const Bytes serial{tag, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
      authority_->RevokeSerial(id_, serial, clock_.Wall() + seconds(60 + i), key);
    }
  };
  flood(1, limits::kMaxRevocations + 50);
  EXPECT_TRUE(authority_->IsRevoked(Bytes{9})) << "it ends first of all, and is the only one of its holder";
  // …nor after a restart.
  ASSERT_TRUE(authority_->Tick().ok());
  Open();
  flood(2, 50);
  EXPECT_TRUE(authority_->IsRevoked(Bytes{9}));
}

TEST_F(AuthorityTest, AKeyHasToOutliveWhatItSigns) {
  AuthorityOptions options{kDomain};
  options.key_life = hours(1);
  testing::MemoryStore store;
  EXPECT_FALSE(Authority::Open(options, clock_, random_, store, [](const Authority::Change&) {}).ok());
}

class SvidKeeperTest : public AuthorityTest {
 protected:
  void SetUp() override {
    AuthorityTest::SetUp();
    keeper_ = std::make_unique<SvidKeeper>(*authority_, clock_, random_);
  }
  const HeldX509& X509(const std::string& process) { return **keeper_->X509(process, identity_, minutes(15)); }
  Result<GatewaySvid> ForKey(ByteView spki) {
    std::optional<Result<GatewaySvid>> out;
    keeper_->ForKey("a", identity_, spki, [&out](Result<GatewaySvid> r) { out = std::move(r); });
    return std::move(out).value();
  }
  std::unique_ptr<SvidKeeper> keeper_;
};

TEST_F(SvidKeeperTest, NoTwoProcessesShareAKey) {
  const HeldX509& a = X509("a");
  const HeldX509& b = X509("b");
  EXPECT_FALSE(a.key == b.key);
  EXPECT_NE(a.serial, b.serial);
  EXPECT_EQ(&X509("a"), &a);
  EXPECT_EQ(keeper_->issued(), 2U);
  // The delivered key belongs to the delivered certificate.
  const auto key = crypto::PrivateKey::FromPkcs8(a.key);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(*crypto::Certificate::ParseChain(a.chain_der)->front().public_key(), key->public_key());
}

TEST_F(SvidKeeperTest, RenewsAroundHalfOfLife) {
  std::set<int64_t> moments;
  for (int i = 0; i < 50; ++i) {
    const Renewal& r = X509("p" + std::to_string(i)).renewal;
    const auto wait = std::chrono::duration_cast<seconds>(r.at - clock_.Wall());
    EXPECT_GE(wait, minutes(15) * 45 / 100 - seconds(15));
    EXPECT_LE(wait, minutes(15) * 55 / 100 + seconds(15));
    moments.insert(wait.count());
  }
  EXPECT_GT(moments.size(), 10U) << "not all at once";
  const Bytes serial = X509("p0").serial;
  clock_.Advance(minutes(5));
  EXPECT_FALSE(keeper_->X509Due("p0", id_));
  EXPECT_EQ(X509("p0").serial, serial);
  clock_.Advance(minutes(5));
  EXPECT_TRUE(keeper_->X509Due("p0", id_));
  EXPECT_NE(X509("p0").serial, serial);
  EXPECT_FALSE(keeper_->X509Due("p0", id_));
  EXPECT_FALSE(keeper_->X509Due("nobody", id_));
}

TEST_F(SvidKeeperTest, ReplacesWhatAStepOfTheClockMadeWrong) {
  const Bytes before = X509("a").serial;
  clock_.StepWall(hours(3));  // expired
  EXPECT_TRUE(keeper_->X509Due("a", id_));
  const Bytes after = X509("a").serial;
  EXPECT_NE(after, before);
  clock_.StepWall(-hours(3));  // would live for hours
  EXPECT_TRUE(keeper_->X509Due("a", id_));
  EXPECT_LE(X509("a").renewal.not_after, clock_.Wall() + minutes(15));
  // A wall clock that stands still does not keep an SVID for ever.
  clock_.Advance(minutes(9));
  clock_.StepWall(-minutes(9));
  EXPECT_TRUE(keeper_->X509Due("a", id_));
}

TEST_F(SvidKeeperTest, TokensAreCachedByAudience) {
  const auto jwt = [this](std::vector<std::string> audience) {
    return *keeper_->Jwt("a", identity_, audience, minutes(5));
  };
  const std::string one = jwt({"x", "y"});
  EXPECT_EQ(jwt({"y", "x", "x"}), one);
  EXPECT_NE(jwt({"x"}), one);
  EXPECT_NE(*keeper_->Jwt("b", identity_, {"x", "y"}, minutes(5)), one);
  clock_.Advance(minutes(3));
  EXPECT_NE(jwt({"x", "y"}), one);
  EXPECT_EQ(keeper_->Jwt("a", identity_, {}, minutes(5)).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(SvidKeeperTest, SoManyTokensAreCachedAndTheFirstToEndGivesWay) {
  const auto jwt = [this](const std::string& audience) {
    return *keeper_->Jwt("a", identity_, {audience}, minutes(5));
  };
  const std::string first = jwt("first");
  clock_.Advance(seconds(1));
  const std::string second = jwt("second");
  for (size_t i = 2; i < limits::kMaxCachedTokens; ++i) jwt("n" + std::to_string(i));
  EXPECT_EQ(jwt("first"), first) << "all of them are there";
  EXPECT_EQ(jwt("second"), second);
  const std::string more = jwt("one more");
  EXPECT_EQ(jwt("one more"), more);
  EXPECT_EQ(jwt("second"), second);
  EXPECT_NE(jwt("first"), first) << "it was given up";
}

TEST_F(SvidKeeperTest, TheEndOfAProcessRevokesEverythingItGot) {
  std::vector<Bytes> serials{X509("a").serial};
  clock_.Advance(minutes(10));
  serials.push_back(X509("a").serial);
  const auto gateway = ForKey(key_.public_key().spki());
  ASSERT_TRUE(gateway.ok());
  const auto leaf = crypto::Certificate::Parse(gateway->chain_der.front());
  const ByteView serial = leaf->serial();
  const Bytes gateway_serial(serial.begin(), serial.end());
  const Bytes other = X509("b").serial;
  keeper_->Drop("a");
  EXPECT_TRUE(authority_->IsRevoked(serials[0])) << "replaced, but not ended yet";
  EXPECT_TRUE(authority_->IsRevoked(serials[1]));
  EXPECT_TRUE(authority_->IsRevoked(gateway_serial));
  EXPECT_FALSE(authority_->IsRevoked(other));
  EXPECT_EQ(keeper_->processes(), 1U);
}

TEST_F(SvidKeeperTest, LiveCertificatesOfAProcessAreBounded) {
  const auto ask = [&] { return ForKey(key_.public_key().spki()); };
  const auto first = ask();
  for (size_t i = 1; i < limits::kMaxLiveCertificates; ++i) ASSERT_TRUE(ask().ok());
  EXPECT_EQ(ask().error().code(), ErrorCode::kResourceExhausted);
  const auto leaf = crypto::Certificate::Parse(first->chain_der.front());
  EXPECT_FALSE(authority_->IsRevoked(leaf->serial())) << "nothing is pushed onto the list";
  clock_.Advance(minutes(9));
  EXPECT_TRUE(ask().ok()) << "one that is due is renewed all the same";
  EXPECT_FALSE(ask().ok());
  EXPECT_FALSE(ForKey(AsBytes("rubbish")).ok());
}

// children: inherit gives every child a key of its own.
TEST_F(SvidKeeperTest, CertificatesOfAnInstanceAreBoundedOverAllItsProcesses) {
  Identity agent = identity_;
  agent.instance = InstanceId::Make(1, "0123456789");
  const auto ask = [&](int child) { return keeper_->X509("child" + std::to_string(child), agent, minutes(15)); };
  for (size_t i = 0; i < limits::kMaxLiveCertificates; ++i) ASSERT_TRUE(ask(static_cast<int>(i)).ok());
  EXPECT_EQ(ask(100).error().code(), ErrorCode::kResourceExhausted);
  Identity other = identity_;
  other.instance = InstanceId::Make(2, "9876543210");
  EXPECT_TRUE(keeper_->X509("other", other, minutes(15)).ok());
  // All that it has is renewed when it is due, and for as long as it likes.
  for (int round = 0; round < 20; ++round) {
    clock_.Advance(minutes(9));
    ASSERT_TRUE(authority_->Tick().ok());
    for (size_t i = 0; i < limits::kMaxLiveCertificates; ++i) ASSERT_TRUE(ask(static_cast<int>(i)).ok()) << round;
    EXPECT_FALSE(ask(100).ok());
  }
  keeper_->Drop("child3");
  EXPECT_TRUE(ask(100).ok()) << "the place of one that has ended";
}

// INV-ID-10: children, images and sub-identities that come and go leave their certificates on the list.
TEST_F(SvidKeeperTest, AnInstanceHasAShareOfTheRevocationList) {
  Identity agent = identity_;
  agent.instance = InstanceId::Make(1, "0123456789");
  const auto churn = [&](size_t rounds) {
    size_t given = 0;
    for (size_t i = 0; i < rounds; ++i) {
      if (keeper_->X509("i", agent, minutes(15)).ok()) ++given;
      keeper_->Drop("i");
    }
    return given;
  };
  EXPECT_EQ(churn(limits::kMaxRevocations + 10), limits::kMaxCertificatesPerInstance);
  Identity other = identity_;
  other.instance = InstanceId::Make(2, "9876543210");
  EXPECT_TRUE(keeper_->X509("other", other, minutes(15)).ok());
  clock_.Advance(minutes(16));
  EXPECT_EQ(churn(1), 1U) << "what has ended counts no longer";
}

// A keeper that is made to crash gives nobody a fresh share: what its predecessors issued is counted.
TEST_F(SvidKeeperTest, AnInstanceHasOneShareOverAllKeepers) {
  constexpr size_t kHalf = limits::kMaxCertificatesPerInstance / 2;
  FakeOut out;
  Identity agent = identity_;
  agent.instance = InstanceId::Make(1, "0123456789");
  std::vector<size_t> given;
  for (int life = 0; life < 3; ++life) {
    keeper_.reset();
    Open();
    keeper_ = std::make_unique<SvidKeeper>(*authority_, clock_, random_, OnIssuing(), &out);
    ASSERT_TRUE(keeper_->TakeUp().ok());
    size_t now = 0;
    for (size_t i = 0; i < kHalf + 10; ++i) {
      if (keeper_->X509("i", agent, minutes(15)).ok()) ++now;
      keeper_->Drop("i");
    }
    given.push_back(now);
  }
  EXPECT_THAT(given, ::testing::ElementsAre(kHalf + 10, kHalf - 10, 0U));
  EXPECT_EQ(out.all.size(), limits::kMaxCertificatesPerInstance);
  Identity other = identity_;
  other.instance = InstanceId::Make(2, "9876543210");
  EXPECT_TRUE(keeper_->X509("other", other, minutes(15)).ok());
}

TEST_F(SvidKeeperTest, AVoidAuthorityMakesEverythingDue) {
  X509("a");
  keeper_->Wit("a", identity_, minutes(15)).value();
  keeper_->VoidAuthority("unknown");
  EXPECT_FALSE(keeper_->X509Due("a", id_));
  keeper_->VoidAuthority(ActiveId(SigningUse::kX509));
  EXPECT_TRUE(keeper_->X509Due("a", id_));
  EXPECT_FALSE(keeper_->WitDue("a", id_));
  keeper_->VoidAuthority(ActiveId(SigningUse::kWit));
  EXPECT_TRUE(keeper_->WitDue("a", id_));
}

}  // namespace
}  // namespace hexr::identity
