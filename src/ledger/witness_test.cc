#include "ledger/witness.h"

#include <gtest/gtest.h>

#include "base/limits/ledger.h"
#include "ledger/log_reader.h"
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/test_keys.h"

namespace hexr::ledger {
namespace {

using testing::MemoryStorage;
using testing::TestSigner;

class WitnessTest : public ::testing::Test {
 protected:
  void Grow(uint64_t n) {
    for (uint64_t i = 0; i < n; ++i) log_.Append(AsBytes("entry " + std::to_string(log_.size())));
    ASSERT_TRUE(log_.Commit().ok());
  }
  AddCheckpointRequest Request(uint64_t old_size) {
    const LogReader reader(storage_, log_.size());
    return {.old_size = old_size,
            .proof = ConsistencyProof(reader, old_size, log_.size()).value(),
            .checkpoint = log_.committed_note().ToString()};
  }
  WitnessAnswer Ask(const AddCheckpointRequest& request) { return witness_.AddCheckpoint(request.ToBody()); }
  Note SignedBy(const NoteSigner& signer, const Checkpoint& checkpoint) {
    Note note(checkpoint.ToText());
    EXPECT_TRUE(note.Add(signer.Sign(note.text(), clock_.Wall())).ok());
    return note;
  }

  ManualClock clock_{testing::kTestTime};
  MemoryStorage storage_;
  MemoryStorage state_;
  NoteSigner signer_ = TestSigner("example.org/log");
  NoteSigner cosigner_ = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 5);
  TileLog log_ = TileLog::Open(storage_, signer_, clock_).value();
  Witness witness_ = Witness::Open(state_, cosigner_, {signer_.verifier()}, clock_).value();
};

TEST_F(WitnessTest, FollowsALogFromItsClient) {
  WitnessClient client(cosigner_.verifier());
  for (int round = 0; round < 5; ++round) {
    Grow(100);
    const std::string body = client.NextRequest(log_, storage_).value();
    const WitnessAnswer answer = witness_.AddCheckpoint(body);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(client.TakeAnswer(log_, answer.status, answer.body).value());
    EXPECT_EQ(client.cosigned_size(), log_.size());
    EXPECT_EQ(cosigner_.verifier().Check(log_.committed_note()).state, VerifierKey::Verdict::State::kGood);
    EXPECT_EQ(client.NextRequest(log_, storage_).value(), "") << "nothing to ask";
  }
  EXPECT_EQ(witness_.Latest("example.org/log").value(), log_.committed_note().ToString());
  EXPECT_EQ(witness_.Latest("other").error().code(), ErrorCode::kNotFound);
  // A client that knows nothing learns the size and asks again.
  Grow(10);
  WitnessClient fresh(cosigner_.verifier());
  WitnessAnswer answer = witness_.AddCheckpoint(fresh.NextRequest(log_, storage_).value());
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.body, "500\n");
  EXPECT_EQ(answer.content_type, "text/x.tlog.size");
  EXPECT_FALSE(fresh.TakeAnswer(log_, answer.status, answer.body).value());
  answer = witness_.AddCheckpoint(fresh.NextRequest(log_, storage_).value());
  EXPECT_TRUE(fresh.TakeAnswer(log_, answer.status, answer.body).value());
}

// INV-LEDGER-09: a witness signs for one history of a log and no other.
TEST_F(WitnessTest, RefusesAForkAndARollback) {
  Grow(100);
  ASSERT_EQ(Ask(Request(0)).status, 200);
  MemoryStorage other_storage;
  TileLog other = TileLog::Open(other_storage, signer_, clock_).value();
  for (int i = 0; i < 150; ++i) other.Append(AsBytes("forged " + std::to_string(i)));
  ASSERT_TRUE(other.Commit().ok());
  const LogReader reader(other_storage, 150);
  const AddCheckpointRequest fork{.old_size = 100,
                                  .proof = ConsistencyProof(reader, 100, 150).value(),
                                  .checkpoint = other.committed_note().ToString()};
  EXPECT_EQ(Ask(fork).status, 422);
  const Checkpoint same_size{
      .origin = "example.org/log", .size = 100, .root = other.committed().root, .extensions = {}};
  EXPECT_EQ(Ask({.old_size = 100, .proof = {}, .checkpoint = SignedBy(signer_, same_size).ToString()}).status, 409);
  const Checkpoint smaller{
      .origin = "example.org/log", .size = 50, .root = RootAt(LogReader(storage_, 100), 50).value(), .extensions = {}};
  EXPECT_EQ(Ask({.old_size = 50, .proof = {}, .checkpoint = SignedBy(signer_, smaller).ToString()}).status, 409);
  EXPECT_EQ(Ask({.old_size = 100, .proof = {}, .checkpoint = SignedBy(signer_, smaller).ToString()}).status, 400);
  EXPECT_EQ(Ask({.old_size = 0, .proof = {}, .checkpoint = other.committed_note().ToString()}).status, 409);
  EXPECT_EQ(Ask(Request(100)).status, 200) << "the same again is signed again";
}

TEST_F(WitnessTest, KnowsItsLogs) {
  Grow(3);
  const NoteSigner stranger = TestSigner("example.org/log", NoteKeyType::kEd25519, 8);
  EXPECT_EQ(Ask({.old_size = 0, .proof = {}, .checkpoint = SignedBy(stranger, log_.committed()).ToString()}).status,
            403);
  const NoteSigner unknown = TestSigner("example.org/unknown");
  Checkpoint checkpoint = log_.committed();
  checkpoint.origin = "example.org/unknown";
  EXPECT_EQ(Ask({.old_size = 0, .proof = {}, .checkpoint = SignedBy(unknown, checkpoint).ToString()}).status, 404);
  EXPECT_FALSE(Witness::Open(state_, signer_, {}, clock_).ok()) << "a log's key is no witness's key";
}

TEST_F(WitnessTest, SignsNothingThatItCannotRemember) {
  Grow(3);
  state_.SetFault(MemoryStorage::Fault::kFull);
  const WitnessAnswer answer = Ask(Request(0));
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("\xE2\x80\x94"), std::string::npos);
  state_.SetFault(MemoryStorage::Fault::kNone);
  ASSERT_EQ(Ask(Request(0)).status, 200);
  // Its memory is signed: one that somebody wrote is not taken for its own.
  const std::string path = state_.Files().begin()->first;
  state_.Edit(path)[20] ^= 1;
  EXPECT_EQ(Ask(Request(3)).status, 500);
}

TEST_F(WitnessTest, RequestsOfAnotherFormAreRefused) {
  Grow(300);
  const std::string good = Request(0).ToBody();
  EXPECT_EQ(AddCheckpointRequest::Parse(good)->ToBody(), good);
  for (const std::string& bad :
       std::vector<std::string>{"", "old 0\n", "old 00\n\n" + good, "old -1\n\n", "new 0\n\n", "old 0\nxxx\n\n",
                                "old 0\n\n" + good, good.substr(0, good.size() - 1), "old 0 \n\n"}) {
    EXPECT_EQ(witness_.AddCheckpoint(bad).status, 400) << bad;
  }
  std::string many = "old 0\n";
  for (int i = 0; i < 64; ++i) many += Base64Encode(EmptyRoot()) + "\n";
  EXPECT_EQ(witness_.AddCheckpoint(many + "\n" + log_.committed_note().ToString()).status, 400);
  EXPECT_EQ(witness_.AddCheckpoint(std::string(limits::kMaxAddCheckpointBytes + 1, 'x')).status, 413);
  AddCheckpointRequest extra = Request(0);
  extra.proof.push_back(EmptyRoot());
  EXPECT_EQ(Ask(extra).status, 422) << "a proof where none belongs";
}

TEST_F(WitnessTest, TheClientTakesOnlyThisWitnesssWord) {
  Grow(10);
  WitnessClient client(cosigner_.verifier());
  EXPECT_EQ(client.TakeAnswer(log_, 200, "").error().code(), ErrorCode::kFailedPrecondition);
  const auto answer = [&](int status, const std::string& body) {
    EXPECT_TRUE(client.NextRequest(log_, storage_).ok());
    return client.TakeAnswer(log_, status, body);
  };
  const NoteSigner stranger = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 6);
  EXPECT_EQ(answer(200, "").error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(answer(200, stranger.Sign(log_.committed_note().text(), clock_.Wall()).ToLine()).error().code(),
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(answer(200, cosigner_.Sign("another text\n", clock_.Wall()).ToLine()).error().code(),
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(answer(503, "").error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(answer(422, "").error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(answer(409, "99\n").error().code(), ErrorCode::kPermissionDenied) << "it has seen more than there is";
  EXPECT_EQ(log_.committed_note().signatures().size(), 1u);
  // The answer to an earlier checkpoint, arriving late, is still kept.
  const std::string body = client.NextRequest(log_, storage_).value();
  const WitnessAnswer late = witness_.AddCheckpoint(body);
  Grow(5);
  EXPECT_TRUE(client.TakeAnswer(log_, late.status, late.body).value());
  EXPECT_EQ(client.cosigned_size(), 10u);
}

}  // namespace
}  // namespace hexr::ledger
