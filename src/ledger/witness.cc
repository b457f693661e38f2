#include "ledger/witness.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits/ledger.h"
#include "ledger/log_reader.h"

namespace hexr::ledger {

namespace {

constexpr std::string_view kOld = "old ";

using State = VerifierKey::Verdict::State;

WitnessAnswer Refuse(int status, std::string_view why) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::string(why) + "\n"};
}

WitnessAnswer Conflict(uint64_t size) {
  return {.status = 409, .content_type = "text/x.tlog.size", .body = fmt::format("{}\n", size)};
}

// A file name for an origin, which may hold anything.
std::string StatePath(std::string_view origin) { return "log-" + HexEncode(crypto::Sha256(origin)); }

}  // namespace

std::string AddCheckpointRequest::ToBody() const {
  std::string body = fmt::format("{}{}\n", kOld, old_size);
  for (const Hash& hash : proof) body += Base64Encode(hash) + "\n";
  return body + "\n" + checkpoint;
}

Result<AddCheckpointRequest> AddCheckpointRequest::Parse(std::string_view body) {
  if (body.size() > limits::kMaxAddCheckpointBytes)
    return ResourceExhausted("an add-checkpoint request of this size is not read");
  const auto bad = [](std::string_view why) {
    return InvalidArgument(fmt::format("not an add-checkpoint request: {}", why));
  };
  AddCheckpointRequest request;
  for (bool first = true;; first = false) {
    const size_t end = body.find('\n');
    if (end == std::string_view::npos) return bad("it ends before the checkpoint");
    const std::string_view line = body.substr(0, end);
    body.remove_prefix(end + 1);
    if (first) {
      if (!line.starts_with(kOld)) return bad("the first line is 'old SIZE'");
      ASSIGN_OR_RETURN(request.old_size, ParseTreeSize(line.substr(kOld.size())));
      continue;
    }
    if (line.empty()) break;
    if (request.proof.size() == kMaxProofHashes) return bad("more than 63 hashes");
    ASSIGN_OR_RETURN(const Hash hash, ParseHash(line));
    request.proof.push_back(hash);
  }
  request.checkpoint = body;
  return request;
}

Result<Witness> Witness::Open(Storage& state, const NoteSigner& signer, std::vector<VerifierKey> logs,
                              const Clock& clock) {
  if (signer.verifier().type() != NoteKeyType::kCosignatureV1)
    return InvalidArgument("a witness signs with a cosignature/v1 key");
  return Witness(state, signer, std::move(logs), clock);
}

Result<std::string> Witness::Latest(std::string_view origin) const {
  const MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const Bytes note, state_->Read(StatePath(origin), limits::kMaxNoteBytes));
  return std::string(AsText(note));
}

Result<std::optional<Checkpoint>> Witness::Remembered(std::string_view origin) const {
  const Result<Bytes> note = state_->Read(StatePath(origin), limits::kMaxNoteBytes);
  if (!note.ok() && note.error().code() == ErrorCode::kNotFound) return std::optional<Checkpoint>();
  if (!note.ok()) return note.error();
  // The witness trusts its own signature alone: a state file that somebody wrote is no memory.
  ASSIGN_OR_RETURN(const Note parsed, Note::Parse(AsText(*note)));
  ASSIGN_OR_RETURN(Checkpoint checkpoint, Checkpoint::Parse(parsed.text()));
  if (key().Check(parsed).state != State::kGood || checkpoint.origin != origin) {
    return Error(ErrorCode::kDataLoss, "the witness's state is not its own");
  }
  return std::optional<Checkpoint>(std::move(checkpoint));
}

WitnessAnswer Witness::AddCheckpoint(std::string_view body) {
  const Result<AddCheckpointRequest> request = AddCheckpointRequest::Parse(body);
  if (!request.ok())
    return Refuse(request.error().code() == ErrorCode::kResourceExhausted ? 413 : 400, request.error().message());
  const Result<Note> note = Note::Parse(request->checkpoint);
  if (!note.ok()) return Refuse(400, note.error().message());
  const Result<Checkpoint> checkpoint = Checkpoint::Parse(note->text());
  if (!checkpoint.ok()) return Refuse(400, checkpoint.error().message());
  bool known = false;
  bool trusted = false;
  for (const VerifierKey& log : logs_) {
    if (log.name() != checkpoint->origin) continue;
    known = true;
    trusted = trusted || log.Check(*note).state == State::kGood;
  }
  if (!known) return Refuse(404, "this log is not known here");
  if (!trusted) return Refuse(403, "the checkpoint is not signed by a key that is known for its log");
  if (request->old_size > checkpoint->size) return Refuse(400, "the old size is larger than the new one");

  const MutexLock lock(mutex_);
  const Result<std::optional<Checkpoint>> remembered = Remembered(checkpoint->origin);
  if (!remembered.ok()) return Refuse(500, "the state of this witness cannot be read");
  const uint64_t old_size = *remembered ? (*remembered)->size : 0;
  const Hash old_root = *remembered ? (*remembered)->root : EmptyRoot();
  if (request->old_size != old_size) return Conflict(old_size);
  if (old_size == checkpoint->size && old_root != checkpoint->root) return Conflict(old_size);
  if (!VerifyConsistency(old_size, checkpoint->size, old_root, checkpoint->root, request->proof).ok()) {
    return Refuse(422, "the checkpoint is not consistent with the one that was cosigned last");
  }
  const NoteSignature cosignature = signer_->Sign(note->text(), clock_->Wall());
  Note kept(note->text());
  for (const VerifierKey& log : logs_) {
    for (const NoteSignature& line : note->signatures()) {
      if (line.name == log.name() && line.key_id == log.key_id()) (void)kept.Add(line);
    }
  }
  if (!kept.Add(cosignature).ok()) return Refuse(400, "too many signatures");
  // On disk before it is said: a witness that forgets what it signed can be used to sign a fork.
  if (!state_->Replace(StatePath(checkpoint->origin), AsBytes(kept.ToString())).ok()) {
    return Refuse(500, "the state of this witness cannot be written");
  }
  return {.status = 200, .content_type = "text/plain; charset=utf-8", .body = cosignature.ToLine()};
}

Result<std::string> WitnessClient::NextRequest(const TileLog& log, const Storage& storage) {
  const Checkpoint& now = log.committed();
  asked_ = log.committed_note();
  const auto verdict = witness_.Check(*asked_);
  if (verdict.state == State::kGood) {
    cosigned_size_ = now.size;
    return std::string();
  }
  const LogReader reader(storage, now.size);
  AddCheckpointRequest request{.old_size = cosigned_size_, .proof = {}, .checkpoint = asked_->ToString()};
  ASSIGN_OR_RETURN(request.proof, ConsistencyProof(reader, cosigned_size_, now.size));
  return request.ToBody();
}

Result<bool> WitnessClient::TakeAnswer(TileLog& log, int status, std::string_view body) {
  if (!asked_) return FailedPrecondition("nothing was asked of this witness");
  const Note asked = *std::exchange(asked_, std::nullopt);
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Parse(asked.text()));
  if (status == 409) {
    if (body.size() > 32 || !body.ends_with('\n')) return PermissionDenied("a conflict without a size");
    ASSIGN_OR_RETURN(const uint64_t size, ParseTreeSize(body.substr(0, body.size() - 1)));
    // A witness that has seen more than there is, or another tree of this size, has seen another log under our name.
    if (size > log.committed().size || size == cosigned_size_) {
      return PermissionDenied(
          fmt::format("witness {} has seen another log of this name, at {} records", witness_.name(), size));
    }
    cosigned_size_ = size;
    return false;
  }
  if (status >= 500 || status == 429) return Unavailable(fmt::format("witness {} answers {}", witness_.name(), status));
  if (status != 200) return PermissionDenied(fmt::format("witness {} refuses: {}", witness_.name(), status));
  if (body.size() > limits::kMaxNoteBytes) return ResourceExhausted("an answer of this size is not read");
  Note cosigned = asked;
  while (!body.empty()) {
    const size_t end = body.find('\n');
    if (end == std::string_view::npos) return PermissionDenied("the answer ends inside a line");
    ASSIGN_OR_RETURN(NoteSignature line, NoteSignature::ParseLine(body.substr(0, end)));
    body.remove_prefix(end + 1);
    if (line.name == witness_.name() && line.key_id == witness_.key_id())
      RETURN_IF_ERROR(cosigned.Add(std::move(line)));
  }
  if (witness_.Check(cosigned).state != State::kGood) {
    return PermissionDenied(fmt::format("the answer holds no cosignature of witness {}", witness_.name()));
  }
  RETURN_IF_ERROR(log.AddCosignatures(cosigned));
  cosigned_size_ = checkpoint.size;
  return true;
}

}  // namespace hexr::ledger
