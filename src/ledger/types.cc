#include "ledger/types.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/limits/ledger.h"
#include "ledger/record_scan.h"

namespace hexr::ledger {

namespace {

constexpr std::array<std::string_view, 14> kKindNames = {"ID", "AZ", "SC", "CR", "EX", "EG", "TP",
                                                         "HA", "BU", "KS", "PC", "LG", "IF", "CF"};

// Names, digests, times and codes need no escaping: their alphabets have neither quote nor backslash.
std::string Quoted(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  out += text;
  out += '"';
  return out;
}

}  // namespace

std::string_view RecordKindName(RecordKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::optional<RecordKind> FindRecordKind(std::string_view name) {
  const auto found = std::find(kKindNames.begin(), kKindNames.end(), name);
  if (found == kKindNames.end()) return std::nullopt;
  return static_cast<RecordKind>(found - kKindNames.begin());
}

Result<PublicName> PublicName::Parse(std::string_view text) {
  if (text.empty() || text.size() > limits::kMaxPublicNameBytes)
    return InvalidArgument("a public name has 1 to 256 characters");
  for (const char c : text) {
    if (c <= 0x20 || c > 0x7E || c == '"' || c == '\\') {
      return InvalidArgument("a public name is visible ASCII without space, quote and backslash");
    }
  }
  return PublicName(std::string(text));
}

SaltedText::SaltedText(std::string text, const Salt& salt)
    : text_(std::move(text)), salt_(salt), digest_(crypto::Sha256({ByteView(salt_), AsBytes(text_)})) {}

SaltedText::SaltedText(std::string text, Random& random)
    : SaltedText(std::move(text), [&random] {
        Salt salt;
        random.Fill(salt);
        return salt;
      }()) {}

Body& Body::SetJson(Code key, std::string json) {
  const auto at = std::lower_bound(members_.begin(), members_.end(), key.text(),
                                   [](const auto& member, std::string_view k) { return member.first < k; });
  if (at != members_.end() && at->first == key.text()) {
    at->second = std::move(json);
  } else {
    members_.insert(at, {key.text(), std::move(json)});
  }
  return *this;
}

Body& Body::SetSigned(Code key, int64_t value) {
  return SetJson(key, fmt::to_string(std::clamp(value, -static_cast<int64_t>(kMaxExactInteger),
                                                static_cast<int64_t>(kMaxExactInteger))));
}
Body& Body::SetUnsigned(Code key, uint64_t value) {
  return SetJson(key, fmt::to_string(std::min(value, kMaxExactInteger)));
}
Body& Body::Set(Code key, Code value) { return SetJson(key, Quoted(value.text())); }
Body& Body::Set(Code key, const PublicName& value) { return SetJson(key, Quoted(value.value())); }
Body& Body::Set(Code key, const SpiffeId& value) { return SetJson(key, Quoted(value.ToString())); }
Body& Body::Set(Code key, const InstanceId& value) { return SetJson(key, Quoted(value.value())); }
Body& Body::Set(Code key, const IdSegment& value) { return SetJson(key, Quoted(value.value())); }
Body& Body::Set(Code key, const crypto::Sha256Digest& value) { return SetJson(key, Quoted(HexEncode(value))); }
Body& Body::Set(Code key, WallTime value) { return SetJson(key, Quoted(FormatRfc3339(value, 6))); }

Body& Body::Set(Code key, const std::vector<PublicName>& value) {
  std::string json = "[";
  for (const PublicName& name : value) {
    if (json.size() > 1) json += ',';
    json += Quoted(name.value());
  }
  return SetJson(key, json + "]");
}

Body& Body::Set(Code key, Body value) {
  for (SaltedText& text : value.texts_) texts_.push_back(std::move(text));
  return SetJson(key, value.ToJson());
}

Body& Body::Set(Code key, SaltedText value) {
  SetJson(key, fmt::format("{{\"bytes\":{},\"sha256\":\"{}\"}}", value.text().size(), HexEncode(value.digest())));
  texts_.push_back(std::move(value));
  return *this;
}

std::string Body::ToJson() const {
  std::string out = "{";
  for (const auto& [key, json] : members_) {
    if (out.size() > 1) out += ',';
    out += '"';
    out += key;
    out += "\":";
    out += json;
  }
  out += '}';
  return out;
}

Result<Record> Record::Parse(std::string_view json) {
  ASSIGN_OR_RETURN(const RecordView view, ScanRecord(json, SeqField::kPresent));
  ASSIGN_OR_RETURN(SpiffeId spiffe_id, SpiffeId::Parse(view.spiffe_id));
  Record record{.seq = view.seq,
                .time = view.time,
                .kind = view.kind,
                .spiffe_id = std::move(spiffe_id),
                .instance = {},
                .instance_seq = view.instance_seq,
                .tenant = {},
                .call_id = {},
                .writer = std::string(view.writer),
                .body = std::string(view.body)};
  if (!view.instance.empty()) {
    ASSIGN_OR_RETURN(record.instance, InstanceId::Parse(view.instance));
  }
  if (!view.tenant.empty()) {
    ASSIGN_OR_RETURN(record.tenant, IdSegment::Parse(view.tenant));
  }
  if (!view.call_id.empty()) {
    ASSIGN_OR_RETURN(record.call_id, PublicName::Parse(view.call_id));
  }
  return record;
}

std::string Record::ToJson() const {
  std::string out = fmt::format("{{\"body\":{}", body);
  if (call_id) out += fmt::format(",\"call_id\":\"{}\"", call_id->value());
  if (instance) out += fmt::format(",\"instance\":\"{}\"", instance->value());
  out += fmt::format(",\"instance_seq\":{},\"kind\":\"{}\",\"seq\":{},\"spiffe_id\":\"{}\"", instance_seq,
                     RecordKindName(kind), seq, spiffe_id.ToString());
  if (tenant) out += fmt::format(",\"tenant\":\"{}\"", tenant->value());
  out += fmt::format(",\"time\":\"{}\",\"v\":{},\"writer\":\"{}\"}}", FormatRfc3339(time, 6), kVersion, writer);
  return out;
}

}  // namespace hexr::ledger
