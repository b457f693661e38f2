#include "ledger/note.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/limits/ledger.h"
#include "crypto/digest.h"

namespace hexr::ledger {

namespace {

constexpr size_t kEd25519Bytes = 64;
constexpr size_t kTimeBytes = 8;

// The spaces of Unicode (White_Space) in UTF-8; what a key name must not hold.
constexpr std::string_view kSpaces[] = {" ",
                                        "\xC2\x85",
                                        "\xC2\xA0",
                                        "\xE1\x9A\x80",
                                        "\xE2\x80\x80",
                                        "\xE2\x80\x81",
                                        "\xE2\x80\x82",
                                        "\xE2\x80\x83",
                                        "\xE2\x80\x84",
                                        "\xE2\x80\x85",
                                        "\xE2\x80\x86",
                                        "\xE2\x80\x87",
                                        "\xE2\x80\x88",
                                        "\xE2\x80\x89",
                                        "\xE2\x80\x8A",
                                        "\xE2\x80\xA8",
                                        "\xE2\x80\xA9",
                                        "\xE2\x80\xAF",
                                        "\xE2\x81\x9F",
                                        "\xE3\x80\x80"};

bool HasControl(std::string_view text, bool newline_allowed) {
  return std::any_of(text.begin(), text.end(),
                     [&](char c) { return static_cast<unsigned char>(c) < 0x20 && !(newline_allowed && c == '\n'); });
}

bool IsKeyName(std::string_view name) {
  if (name.empty() || name.size() > limits::kMaxNoteKeyNameBytes) return false;
  if (name.find('+') != std::string_view::npos || HasControl(name, false) || !IsUtf8(name)) return false;
  return std::none_of(std::begin(kSpaces), std::end(kSpaces),
                      [&](std::string_view space) { return name.find(space) != std::string_view::npos; });
}

uint32_t ReadBig32(ByteView bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | uint32_t{bytes[3]};
}

void AppendBig32(Bytes& out, uint32_t v) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(v >> shift));
}

// SHA-256(name || newline || type || public key), the first four bytes.
uint32_t KeyId(std::string_view name, NoteKeyType type, const crypto::Ed25519PublicKey& key) {
  const uint8_t separator[] = {'\n', static_cast<uint8_t>(type)};
  const crypto::Sha256Digest digest = crypto::Sha256({AsBytes(name), ByteView(separator), ByteView(key.bytes())});
  return ReadBig32(digest);
}

std::string CosignedMessage(uint64_t time, std::string_view text) {
  return fmt::format("cosignature/v1\ntime {}\n{}", time, text);
}

Error NotANote(std::string_view why) { return InvalidArgument(fmt::format("not a signed note: {}", why)); }

}  // namespace

std::string NoteSignature::ToLine() const {
  Bytes payload;
  AppendBig32(payload, key_id);
  payload.insert(payload.end(), bytes.begin(), bytes.end());
  return fmt::format("{}{} {}\n", kSignatureLine, name, Base64Encode(payload));
}

Result<NoteSignature> NoteSignature::ParseLine(std::string_view line) {
  if (!line.starts_with(kSignatureLine)) return NotANote("a signature line begins with a dash");
  line.remove_prefix(kSignatureLine.size());
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || !IsKeyName(line.substr(0, space)))
    return NotANote("a signature without a key name");
  ASSIGN_OR_RETURN(const Bytes payload, Base64Decode(line.substr(space + 1)));
  if (payload.size() < 5) return NotANote("a signature that is too short");
  return NoteSignature{.name = std::string(line.substr(0, space)),
                       .key_id = ReadBig32(payload),
                       .bytes = Bytes(payload.begin() + 4, payload.end())};
}

Note::Note(std::string text) : text_(std::move(text)) { HEXR_CHECK(!text_.empty() && text_.back() == '\n'); }

Result<Note> Note::Parse(std::string_view note) {
  if (note.size() > limits::kMaxNoteBytes) return ResourceExhausted("a note of this size is not read");
  if (!IsUtf8(note) || HasControl(note, true)) return NotANote("control characters or broken UTF-8");
  const size_t blank = note.rfind("\n\n");  // the last empty line parts text and signatures
  if (blank == std::string_view::npos) return NotANote("no empty line before the signatures");
  std::string_view lines = note.substr(blank + 2);
  if (lines.empty() || lines.back() != '\n') return NotANote("no signature, or its line does not end");
  Note parsed{std::string(note.substr(0, blank + 1))};
  while (!lines.empty()) {
    const size_t end = lines.find('\n');
    if (parsed.signatures_.size() == limits::kMaxNoteSignatures)
      return ResourceExhausted("too many signatures on a note");
    ASSIGN_OR_RETURN(NoteSignature signature, NoteSignature::ParseLine(lines.substr(0, end)));
    parsed.signatures_.push_back(std::move(signature));
    lines.remove_prefix(end + 1);
  }
  return parsed;
}

Status Note::Add(NoteSignature signature) {
  for (NoteSignature& have : signatures_) {
    if (have.name != signature.name || have.key_id != signature.key_id) continue;
    have = std::move(signature);
    return Ok();
  }
  if (signatures_.size() == limits::kMaxNoteSignatures) return ResourceExhausted("too many signatures on a note");
  signatures_.push_back(std::move(signature));
  return Ok();
}

std::string Note::ToString() const {
  std::string out = text_ + "\n";
  for (const NoteSignature& signature : signatures_) out += signature.ToLine();
  return out;
}

VerifierKey::VerifierKey(std::string name, NoteKeyType type, crypto::Ed25519PublicKey key)
    : name_(std::move(name)), type_(type), key_(key), key_id_(KeyId(name_, type, key_)) {}

Result<VerifierKey> VerifierKey::Make(std::string_view name, NoteKeyType type, const crypto::Ed25519PublicKey& key) {
  if (!IsKeyName(name)) return InvalidArgument("a key name has no spaces, no '+' and no control characters");
  return VerifierKey(std::string(name), type, key);
}

Result<VerifierKey> VerifierKey::Parse(std::string_view vkey) {
  const auto bad = [](std::string_view why) {
    return InvalidArgument(fmt::format("not a verifier key (name+id+key): {}", why));
  };
  const size_t first = vkey.find('+');
  const size_t second = first == std::string_view::npos ? first : vkey.find('+', first + 1);
  if (second == std::string_view::npos) return bad("two '+' are missing");
  const std::string_view id_text = vkey.substr(first + 1, second - first - 1);
  uint32_t id = 0;
  const auto [end, status] = std::from_chars(id_text.data(), id_text.data() + id_text.size(), id, 16);
  if (id_text.size() != 8 || status != std::errc() || end != id_text.data() + id_text.size())
    return bad("the id is not eight hex digits");
  ASSIGN_OR_RETURN(const Bytes key, Base64Decode(vkey.substr(second + 1)));
  if (key.empty()) return bad("no key");
  if (key[0] != static_cast<uint8_t>(NoteKeyType::kEd25519) &&
      key[0] != static_cast<uint8_t>(NoteKeyType::kCosignatureV1)) {
    return Unimplemented("this type of verifier key is not supported: Ed25519 and cosignature/v1 are");
  }
  ASSIGN_OR_RETURN(const auto public_key, crypto::Ed25519PublicKey::FromBytes(ByteView(key).subspan(1)));
  ASSIGN_OR_RETURN(VerifierKey parsed, Make(vkey.substr(0, first), static_cast<NoteKeyType>(key[0]), public_key));
  if (parsed.key_id() != id) return bad("the id is not this key's");
  return parsed;
}

std::string VerifierKey::ToString() const {
  Bytes key = {static_cast<uint8_t>(type_)};
  key.insert(key.end(), key_.bytes().begin(), key_.bytes().end());
  return fmt::format("{}+{:08x}+{}", name_, key_id_, Base64Encode(key));
}

VerifierKey::Verdict VerifierKey::Check(const Note& note) const {
  using State = Verdict::State;
  Verdict verdict;
  for (const NoteSignature& line : note.signatures()) {
    if (line.name != name_ || line.key_id != key_id_) continue;
    // One bad line of a known key spoils the note: whoever wrote it had no business to.
    ByteView bytes = line.bytes;
    if (type_ == NoteKeyType::kEd25519) {
      if (bytes.size() != kEd25519Bytes || !key_.Verify(AsBytes(note.text()), bytes)) return {.state = State::kBad};
      verdict.state = State::kGood;
      continue;
    }
    if (bytes.size() != kTimeBytes + kEd25519Bytes) return {.state = State::kBad};
    const uint64_t time = uint64_t{ReadBig32(bytes)} << 32 | ReadBig32(bytes.subspan(4));
    if (time > INT64_MAX || !key_.Verify(AsBytes(CosignedMessage(time, note.text())), bytes.subspan(kTimeBytes))) {
      return {.state = State::kBad};
    }
    verdict = {.state = State::kGood, .cosigned_at = std::max(verdict.cosigned_at, time)};
  }
  return verdict;
}

Result<NoteSigner> NoteSigner::Make(std::string_view name, NoteKeyType type, crypto::Ed25519PrivateKey key) {
  ASSIGN_OR_RETURN(VerifierKey verifier, VerifierKey::Make(name, type, key.public_key()));
  return NoteSigner(std::move(verifier), std::move(key));
}

NoteSignature NoteSigner::Sign(std::string_view text, WallTime now) const {
  NoteSignature out{.name = verifier_.name(), .key_id = verifier_.key_id(), .bytes = {}};
  std::string message(text);
  if (verifier_.type() == NoteKeyType::kCosignatureV1) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    const uint64_t time = seconds < 0 ? 0 : static_cast<uint64_t>(seconds);
    AppendBig32(out.bytes, static_cast<uint32_t>(time >> 32));
    AppendBig32(out.bytes, static_cast<uint32_t>(time));
    message = CosignedMessage(time, text);
  }
  const crypto::Ed25519Signature signature = key_.Sign(AsBytes(message));
  out.bytes.insert(out.bytes.end(), signature.begin(), signature.end());
  return out;
}

}  // namespace hexr::ledger
