#include "ledger/note.h"

#include <gtest/gtest.h>

#include "base/limits/ledger.h"
#include "ledger/checkpoint.h"

namespace hexr::ledger {
namespace {

using State = VerifierKey::Verdict::State;

NoteSigner Signer(std::string_view name, NoteKeyType type, uint64_t seed) {
  SeededRandom random(seed);
  return NoteSigner::Make(name, type, crypto::Ed25519PrivateKey::Generate(random)).value();
}

constexpr WallTime kNow{std::chrono::seconds(1'679'315'147)};

// The example of golang.org/x/mod/sumdb/note's documentation.
constexpr std::string_view kPeterKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
constexpr std::string_view kPeterNote =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xE2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

TEST(Note, PublishedExampleVerifies) {
  const VerifierKey key = VerifierKey::Parse(kPeterKey).value();
  EXPECT_EQ(key.name(), "PeterNeumann");
  EXPECT_EQ(key.ToString(), kPeterKey);
  const Note note = Note::Parse(kPeterNote).value();
  EXPECT_EQ(note.ToString(), kPeterNote);
  EXPECT_EQ(key.Check(note).state, State::kGood);
  std::string forged(kPeterNote);
  forged[3] = 'Y';
  EXPECT_EQ(key.Check(Note::Parse(forged).value()).state, State::kBad);
}

TEST(Note, SignedAndCosigned) {
  const NoteSigner log = Signer("example.org/log", NoteKeyType::kEd25519, 1);
  const NoteSigner witness = Signer("witness.example/w1", NoteKeyType::kCosignatureV1, 2);
  Note note(Checkpoint{.origin = "example.org/log", .size = 0, .root = EmptyRoot(), .extensions = {}}.ToText());
  ASSERT_TRUE(note.Add(log.Sign(note.text(), kNow)).ok());
  EXPECT_EQ(witness.verifier().Check(note).state, State::kAbsent);
  ASSERT_TRUE(note.Add(witness.Sign(note.text(), kNow)).ok());
  const Note read = Note::Parse(note.ToString()).value();
  EXPECT_EQ(log.verifier().Check(read).state, State::kGood);
  const auto verdict = witness.verifier().Check(read);
  EXPECT_EQ(verdict.state, State::kGood);
  EXPECT_EQ(verdict.cosigned_at, 1'679'315'147u);
  // A cosignature says when: another time is another message.
  NoteSignature later = witness.Sign(note.text(), kNow);
  later.bytes[7] ^= 1;
  ASSERT_TRUE(note.Add(later).ok());
  EXPECT_EQ(note.signatures().size(), 2u) << "the same key's line is replaced";
  EXPECT_EQ(witness.verifier().Check(note).state, State::kBad);
  // The same key under another name or type is another signer.
  EXPECT_NE(Signer("witness.example/w1", NoteKeyType::kEd25519, 2).verifier().key_id(), witness.verifier().key_id());
  EXPECT_NE(Signer("witness.example/w2", NoteKeyType::kCosignatureV1, 2).verifier().key_id(),
            witness.verifier().key_id());
}

TEST(Note, TheLastEmptyLineSeparates) {
  const std::string note = "a\n\nb\n\n\xE2\x80\x94 n AAAAAAA=\n";
  const Note parsed = Note::Parse(note).value();
  EXPECT_EQ(parsed.text(), "a\n\nb\n");
  EXPECT_EQ(parsed.ToString(), note);
}

TEST(Note, OtherFormsAreRefused) {
  for (const std::string_view bad :
       {"", "text\n", "text\n\n", "text\n\nsignature\n",
        "text\n\n\xE2\x80\x94 n AAAAAAA=", "text\n\n\xE2\x80\x94 n AAAA\n", "text\n\n\xE2\x80\x94 n\n",
        "text\n\n\xE2\x80\x94  AAAAAAA=\n", "te\txt\n\n\xE2\x80\x94 n AAAAAAA=\n",
        "te\xFFxt\n\n\xE2\x80\x94 n AAAAAAA=\n", "text\n\n\xE2\x80\x94 n+m AAAAAAA=\n",
        "text\n\n\xE2\x80\x94 n\xC2\xA0m AAAAAAA=\n", "text\n\n\xE2\x80\x94 n AAAAAAA= \n", "text\n\n- n AAAAAAA=\n"}) {
    EXPECT_FALSE(Note::Parse(bad).ok()) << bad;
  }
  std::string many = "text\n\n";
  for (size_t i = 0; i < limits::kMaxNoteSignatures; ++i) many += "\xE2\x80\x94 n AAAAAAA=\n";
  EXPECT_TRUE(Note::Parse(many).ok());
  EXPECT_EQ(Note::Parse(many + "\xE2\x80\x94 n AAAAAAA=\n").error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(Note::Parse(std::string(limits::kMaxNoteBytes + 1, 'a')).error().code(), ErrorCode::kResourceExhausted);
}

TEST(Note, VerifierKeysAreStrict) {
  const std::string good = Signer("example.org/log", NoteKeyType::kEd25519, 1).verifier().ToString();
  EXPECT_EQ(VerifierKey::Parse(good)->ToString(), good);
  std::string wrong_id = good;
  wrong_id[good.find('+') + 1] = wrong_id[good.find('+') + 1] == '0' ? '1' : '0';
  for (const std::string& bad :
       {std::string(), std::string("a+b"), wrong_id, good + "=", "+" + good.substr(good.find('+') + 1),
        good.substr(0, good.size() - 4), std::string("a b") + good.substr(good.find('+'))}) {
    EXPECT_FALSE(VerifierKey::Parse(bad).ok()) << bad;
  }
  const std::string long_name(limits::kMaxNoteKeyNameBytes + 1, 'n');
  SeededRandom random(1);
  EXPECT_FALSE(NoteSigner::Make(long_name, NoteKeyType::kEd25519, crypto::Ed25519PrivateKey::Generate(random)).ok());
}

TEST(Checkpoint, OneTextForOneCheckpoint) {
  const std::string text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
  const Checkpoint checkpoint = Checkpoint::Parse(text).value();
  EXPECT_EQ(checkpoint.size, 20852163u);
  EXPECT_EQ(checkpoint.ToText(), text);
  EXPECT_EQ(Checkpoint::Parse(text + "ext 1\n")->ToText(), text + "ext 1\n");
  const std::string root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
  for (const std::string& bad :
       {std::string(), std::string("o\n1\n"), "o\n01\n" + root, "o\n-1\n" + root, "o\n+1\n" + root, "\n1\n" + root,
        std::string("o\n1\nAAAA\n"), "o\n0\n" + root, "o\n1\n" + root + "\n", "o\n9223372036854775808\n" + root,
        "o\n1\n" + root.substr(0, root.size() - 1)}) {
    EXPECT_FALSE(Checkpoint::Parse(bad).ok()) << bad;
  }
  std::string tall = text;
  for (size_t i = 3; i < limits::kMaxCheckpointLines; ++i) tall += "x\n";
  EXPECT_TRUE(Checkpoint::Parse(tall).ok());
  EXPECT_FALSE(Checkpoint::Parse(tall + "x\n").ok());
}

// INV-LEDGER-03: a VerifiedCheckpoint was signed by the log it names.
TEST(Checkpoint, OnlyTheLogsOwnKeyVerifies) {
  const NoteSigner log = Signer("example.org/log", NoteKeyType::kEd25519, 1);
  const NoteSigner other = Signer("example.org/other", NoteKeyType::kEd25519, 1);
  const NoteSigner impostor = Signer("example.org/log", NoteKeyType::kEd25519, 9);
  Note note(Checkpoint{.origin = "example.org/log", .size = 0, .root = EmptyRoot(), .extensions = {}}.ToText());
  ASSERT_TRUE(note.Add(impostor.Sign(note.text(), kNow)).ok());
  EXPECT_EQ(VerifiedCheckpoint::Verify(note.ToString(), log.verifier()).error().code(), ErrorCode::kPermissionDenied);
  ASSERT_TRUE(note.Add(other.Sign(note.text(), kNow)).ok());
  EXPECT_FALSE(VerifiedCheckpoint::Verify(note.ToString(), log.verifier()).ok());
  EXPECT_FALSE(VerifiedCheckpoint::Verify(note.ToString(), other.verifier()).ok()) << "another log's checkpoint";
  const NoteSigner witness = Signer("example.org/log", NoteKeyType::kCosignatureV1, 2);
  ASSERT_TRUE(note.Add(witness.Sign(note.text(), kNow)).ok());
  EXPECT_FALSE(VerifiedCheckpoint::Verify(note.ToString(), witness.verifier()).ok())
      << "what a witness signs is no log";
  ASSERT_TRUE(note.Add(log.Sign(note.text(), kNow)).ok());
  EXPECT_TRUE(VerifiedCheckpoint::Verify(note.ToString(), log.verifier()).ok());
}

}  // namespace
}  // namespace hexr::ledger
