#include "guard/stream/lane.h"

#include <hs/hs.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "base/limits/guard.h"
#include "guard/ascii.h"
#include "guard/patterns/validators.h"
#include "guard/views/decode.h"

namespace hexr::guard {
namespace {

constexpr uint64_t kLookBack = 768;     // history kept for confirming expressions
constexpr uint64_t kQuotedLimit = 160;  // how far a quoted value may reach
constexpr uint64_t kLongGap = 256;      // bytes between tokens over which nothing waits for the next one
// What is held when a token begins: with the token and what lies between, no more than may be held.
constexpr uint64_t kLongRun = limits::kMaxGuardHoldBytes - limits::kMaxGuardTokenBytes - 2 * kLongGap;
constexpr uint32_t kRunGap = 3;         // plain tokens that end a run of disguised ones
constexpr uint64_t kReverseBack = 192;  // a reversed sentence begins with its last word
constexpr size_t kMinEncoded = 16;
constexpr size_t kMinDocument = 64;
constexpr size_t kTailBytes = 96;
constexpr uint64_t kMinPemBody = 64;
constexpr uint64_t kMaxPemHeader = 100;
constexpr std::string_view kPemBegin = "-----BEGIN";

enum ByteFlag : uint8_t {
  kBreak = 1,  // ends a token
  kDigit = 2,
  kUpper = 4,
  kLower = 8,
  kAt = 16,
  kDot = 32,
  kColon = 64,
  kOther = 128,
};

constexpr std::array<uint8_t, 256> kByte = [] {
  std::array<uint8_t, 256> t{};
  for (size_t c = 0; c < 256; ++c) {
    uint8_t f = kOther;
    if (c <= 0x20 || c == 0x7F) f = kBreak;
    if (c >= '0' && c <= '9') f = kDigit;
    if (c >= 'A' && c <= 'Z') f = kUpper;
    if (c >= 'a' && c <= 'z') f = kLower;
    if (c >= 0xE2) f = kBreak;  // symbols, and scripts that put no space between words
    t[c] = f;
  }
  for (const char c : std::string_view("\"'`<>{}[]|,;()")) t[static_cast<uint8_t>(c)] = kBreak;
  t['@'] = kAt;
  t['.'] = kDot;
  t[':'] = kColon;
  return t;
}();

// "a", "1", "i.g.n.o.r.e", "i-g-n": letters divided by one separator.
bool IsSpacedOut(std::string_view t) {
  if (t.size() == 1) return IsAlnum(t[0]);
  if (t.size() < 3) return false;
  for (size_t i = 0; i < t.size(); ++i) {
    if (i % 2 == 0 ? !IsLetter(t[i]) : t[i] != t[1] || IsAlnum(t[i])) return false;
  }
  return true;
}

// A digit or sign that stands for a letter: letters follow it in the word.
bool IsLeet(std::string_view t, uint32_t flags) {
  if ((flags & kLower) == 0 && (flags & kUpper) == 0) return false;
  if (t.size() < 3 || t.size() > 24) return false;
  size_t signs = 0;
  bool followed = false;
  bool pending = false;
  for (const char c : t) {
    if (IsLetter(c)) {
      followed |= pending;
    } else if ((c >= '0' && c <= '9') || c == '@' || c == '$' || c == '!' || c == '+') {
      ++signs;
      pending = true;
    } else if (c != '.' && c != '?' && c != ':') {
      return false;
    }
  }
  return followed && signs * 3 <= t.size() * 2;
}

}  // namespace

Lane::Lane(const Engine& engine, Worker& worker, LaneSink& sink, LaneOptions options)
    : engine_(engine), worker_(worker), sink_(sink), options_(options), scorer_(options.model, options.recorder) {
  hs_open_stream(engine.patterns().database(), 0, &stream_);
  ++worker.work().lanes;
}

Lane::~Lane() {
  if (stream_ != nullptr) hs_close_stream(stream_, nullptr, nullptr, nullptr);
}

int Lane::OnHit(unsigned id, unsigned long long, unsigned long long to, unsigned, void* context) {
  static_cast<Lane*>(context)->triggers_.push_back({id, to});
  return 0;
}

Status Lane::Feed(std::string_view bytes) {
  if (stream_ == nullptr) return ResourceExhausted("no memory for a pattern stream");
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, limits::kMaxGuardSliceBytes);
    bytes.remove_prefix(slice.size());
    const uint64_t from = size();
    const size_t known = triggers_.size();
    worker_.work().lane_bytes += slice.size();
    buf_.append(slice);
    if (hs_scan_stream(stream_, slice.data(), static_cast<unsigned>(slice.size()), 0, worker_.scratch(), OnHit, this) !=
        HS_SUCCESS) {
      return Internal("the pattern engine failed");
    }
    // It promises no order among the hits of one call.
    std::sort(triggers_.begin() + static_cast<std::ptrdiff_t>(known), triggers_.end(), ByEnd);
    Tokens(from, size());
  }
  return Ok();
}

Status Lane::Finish() {
  if (stream_ == nullptr) return ResourceExhausted("no memory for a pattern stream");
  const hs_error_t status = hs_close_stream(stream_, worker_.scratch(), OnHit, this);
  stream_ = nullptr;
  if (status != HS_SUCCESS) return Internal("the pattern engine failed");
  now_ = position_ = size();
  if (in_token_) EndToken(size());
  std::sort(triggers_.begin() + static_cast<std::ptrdiff_t>(settled_), triggers_.end(), ByEnd);
  Settle(size());
  FlushChain(size());
  FlushPhrase();
  CloseRun(spaced_, View::kSpaced);
  CloseRun(leet_, View::kLeet);
  Transform(size(), true);
  if (region_open_) CloseRegion(size());
  ScoreTo(size());
  scorer_.Finish(hot_);
  ScoreTo(size());
  return Ok();
}

void Lane::Tokens(uint64_t from, uint64_t to) {
  const auto byte = [&](uint64_t at) { return kByte[static_cast<uint8_t>(buf_[static_cast<size_t>(at - base_)])]; };
  uint64_t i = from;
  while (i < to) {
    if (!in_token_) {
      while (i < to && (byte(i) & kBreak) != 0) {
        if (rot13_.open || reversed_.open) {
          position_ = i;
          Transform(i, false);
        }
        if (i - token_end_ >= kLongGap) Gap(i);
        ++i;
      }
      now_ = i;
      if (i == to) break;
      in_token_ = true;
      token_start_ = i;
      token_flags_ = 0;
    }
    const uint64_t longest = token_start_ + limits::kMaxGuardTokenBytes;
    const uint64_t cap = std::min(to, longest);
    uint32_t flags = token_flags_;
    while (i < cap) {
      const uint8_t f = byte(i);
      if ((f & kBreak) != 0) break;
      flags |= f;
      ++i;
    }
    token_flags_ = flags;
    now_ = i;
    // Cut by force only once the byte after the cut is here: what is decided looks at it.
    if (i == to) break;
    const bool cut = (byte(i) & kBreak) == 0;
    EndToken(i);
    continued_ = cut;
    if (!cut) sticky_type_.clear();
  }
  ScoreTo(to);
}

// Nothing but separators for long: whoever waits for the next token has waited enough.
void Lane::Gap(uint64_t at) {
  token_end_ = position_ = at;
  Settle(at);
  FlushChain(at);
  FlushPhrase();
  CloseRun(spaced_, View::kSpaced);
  CloseRun(leet_, View::kLeet);
  header_open_ = false;
  if (region_open_) LongRegion(at);
}

void Lane::EndToken(uint64_t end) {
  const std::string_view token = Text(token_start_, end);
  if (!sticky_type_.empty()) sink_.OnMatch(Scanner::kSecrets, sticky_type_, token_start_, end, 0.9F);
  in_token_ = false;
  token_end_ = position_ = end;
  Settle(end);
  if (header_open_ &&
      (region_open_ || end - header_start_ > kMaxPemHeader || token.find("-----") != std::string_view::npos))
    header_open_ = false;
  if (const size_t at = token.find(kPemBegin); at != std::string_view::npos && !region_open_) {
    header_open_ = true;
    header_start_ = token_start_ + at;
  }
  if (region_open_) Region(end);
  if (options_.decode) {
    if (token.size() >= kMinEncoded) Decode(token, end);
    Disguise(token, end);
    if (rot13_.open || reversed_.open) Transform(end, false);
  }
  if (options_.tokens)
    sink_.OnToken(token, Text(token_start_ - std::min<uint64_t>(token_start_, 32), token_start_), token_start_);
  Chain(end);
  Phrase(end);
}

void Lane::Settle(uint64_t end) {
  if (settled_ == triggers_.size() && waiting_.empty()) return;
  worker_.work().steps += waiting_.size();
  due_.clear();
  size_t kept = 0;
  for (const Trigger& t : waiting_) {
    if (Waits(t, end))
      waiting_[kept++] = t;
    else
      due_.push_back(t);
  }
  waiting_.resize(kept);
  while (settled_ < triggers_.size() && triggers_[settled_].end <= end + 1) {
    const Trigger t = triggers_[settled_++];
    const Rule& rule = engine_.patterns().rules()[t.rule];
    switch (rule.kind) {
      case RuleKind::kFeature:
        ScoreTo(end);
        Feature(rule.type);
        break;
      case RuleKind::kTransform:
        if (options_.decode) {
          Run& run = rule.view == View::kRot13 ? rot13_ : reversed_;
          const uint64_t back = rule.view == View::kReversed ? kReverseBack : 96;
          if (!run.open) run = {true, std::max(base_, t.end - std::min(t.end, back)), 0, 0, 0};
        }
        break;
      case RuleKind::kPemRegion:
      case RuleKind::kMatch:
        if (rule.quoted && Waits(t, end))
          waiting_.push_back(t);
        else
          due_.push_back(t);
        break;
    }
  }
  if (2 * settled_ >= triggers_.size()) {
    triggers_.erase(triggers_.begin(), triggers_.begin() + static_cast<std::ptrdiff_t>(settled_));
    settled_ = 0;
  }
  if (due_.empty()) return;
  // All hits of a rule at once: its expression reads the text around them one time.
  std::stable_sort(due_.begin(), due_.end(), [](const Trigger& a, const Trigger& b) { return a.rule < b.rule; });
  for (size_t i = 0; i < due_.size();) {
    size_t n = i + 1;
    while (n < due_.size() && due_[n].rule == due_[i].rule) ++n;
    Confirm({due_.data() + i, n - i}, end);
    i = n;
  }
}

// A value that a quote opens lasts to the closing one, over several tokens; it starts three bytes before the hit.
bool Lane::Waits(const Trigger& t, uint64_t end) const {
  if (t.end < 4 || end >= size() || (end > t.end && end - t.end >= kQuotedLimit)) return false;
  const std::string_view head = Text(t.end - 4, t.end);
  const char quote = head.empty() ? ' ' : head[0];
  if (quote != '"' && quote != '\'' && quote != '`') return false;
  const std::string_view rest = Text(t.end, end + 1);
  return rest.find(quote) == std::string_view::npos && rest.find('\n') == std::string_view::npos;
}

void Lane::Feature(std::string_view type) { scorer_.AddEvidence(HashText(type)); }

void Lane::ScoreTo(uint64_t end) {
  if (end > scored_) {
    scorer_.Feed(Text(scored_, end), hot_);
    scored_ = end;
  }
  const uint64_t position = position_;
  for (const auto& w : hot_) {
    // Windows overlap: a finding for each stretch, not for each window.
    if (w.start < reported_end_ && w.end <= reported_end_) continue;
    reported_end_ = position_ = w.end;
    sink_.OnMatch(Scanner::kInjection, "PROMPT_INJECTION", w.start, w.end, options_.model->Risk(w.logit));
  }
  hot_.clear();
  position_ = position;
}

void Lane::Confirm(std::span<const Trigger> hits, uint64_t end) {
  const uint32_t id = hits.front().rule;
  const Rule& rule = engine_.patterns().rules()[id];
  const uint64_t from = std::max(base_, hits.front().end - std::min<uint64_t>(hits.front().end, rule.look_back));
  const std::string_view window = Text(from, end);
  const re2::RE2* re = engine_.patterns().Confirm(id);
  if (re == nullptr || !re->ok()) return;
  const int groups = std::min(4, 1 + re->NumberOfCapturingGroups());
  re2::StringPiece match[4];
  auto stale = std::find_if(stale_.begin(), stale_.end(), [&](const Trigger& t) { return t.rule == id; });
  size_t at = stale != stale_.end() && stale->end > from ? static_cast<size_t>(stale->end - from) : 0;
  while (at <= window.size()) {
    worker_.work().confirm_bytes += window.size() - at;
    if (!re->Match({window.data(), window.size()}, at, window.size(), re2::RE2::UNANCHORED, match, groups)) return;
    const auto m_start = static_cast<size_t>(match[0].data() - window.data());
    const size_t m_end = m_start + match[0].size();
    // The hits before this match are inside none; those up to a byte after its end are this one's.
    const auto inside = [&](size_t to) { return hits.front().end <= from + to; };
    while (inside(m_start)) {
      hits = hits.subspan(1);
      if (hits.empty()) return;
    }
    if (!inside(m_end + 1) || match[0].empty()) {
      // Of no use to this hit, nor to any that comes.
      at = std::max(m_end, m_start + 1);
      if (stale == stale_.end()) stale = stale_.insert(stale, {id, 0});
      stale->end = from + at;
      continue;
    }
    re2::StringPiece value = match[0];
    for (int g = groups - 1; g >= 1; --g) {
      if (!match[g].empty()) {
        value = match[g];
        break;
      }
    }
    const std::string_view v(value.data(), value.size());
    if (rule.kind == RuleKind::kPemRegion) {
      if (!region_open_) {
        region_open_ = true;
        region_start_ = region_reported_ = from + m_start;
        region_body_ = from + m_end;
        region_prose_ = 0;
      }
      return;
    }
    // A bare word before a parenthesis is a call: password = getPassword().
    const bool call =
        rule.quoted && value.data() + value.size() == window.data() + window.size() && Text(end, end + 1) == "(";
    const bool good = !call && (rule.min_entropy <= 0 || Entropy(v) >= static_cast<double>(rule.min_entropy)) &&
                      (rule.validate == nullptr || rule.validate(v, {match[0].data(), match[0].size()}));
    at = m_end;
    if (!good) continue;
    const uint64_t start = from + static_cast<uint64_t>(value.data() - window.data());
    if (rule.scanner == Scanner::kInjection) ScoreTo(end);
    sink_.OnMatch(rule.scanner, rule.type, start, start + value.size(), rule.score);
    if (rule.scanner == Scanner::kSecrets && start + value.size() == end) sticky_type_ = rule.type;
    while (inside(m_end + 1)) {
      if (rule.scanner == Scanner::kInjection) Feature(rule.type);
      hits = hits.subspan(1);
      if (hits.empty()) return;
    }
  }
}

void Lane::Chain(uint64_t end) {
  const std::string_view token = Text(token_start_, end);
  const uint32_t f = token_flags_;
  const bool digits = (f & kDigit) != 0;
  const bool inner_dot = (f & kDot) != 0 && token.find('.') + 1 < token.size();
  const bool look = digits || (f & kAt) != 0 || inner_dot || ((f & kColon) != 0 && token.find(':') != token.rfind(':'));
  const bool short_caps = token.size() <= 4 && (f & ~static_cast<uint32_t>(kUpper)) == 0;
  if (chain_open_) {
    bool joins = (look || short_caps) && token_start_ - chain_end_ <= 2 &&
                 end - chain_start_ <= limits::kMaxGuardChainBytes && !continued_;
    for (const char c : Text(chain_end_, token_start_)) joins &= c == ' ' || c == '(' || c == ')';
    if (!joins) FlushChain(end);
  }
  if (!look && !short_caps) return;
  if (!chain_open_) {
    chain_open_ = true;
    chain_look_ = false;
    chain_start_ = token_start_;
    if (token_start_ > base_ && Text(token_start_ - 1, token_start_) == "(") --chain_start_;
  }
  chain_end_ = end;
  chain_look_ |= look;
}

void Lane::FlushChain(uint64_t seen) {
  if (!chain_open_) return;
  chain_open_ = false;
  if (!chain_look_) return;
  const uint64_t start = chain_start_;
  const std::string_view before = Text(start - std::min<uint64_t>(start, 64), start);
  const std::string_view after = Text(chain_end_, std::min(seen, chain_end_ + 16));
  worker_.work().pii_bytes += engine_.pii().Scan(
      Text(start, chain_end_), before, after, options_.least_pii, options_.all_pii, [&](const PiiRecogniser::Hit& h) {
        sink_.OnMatch(Scanner::kPii, h.type, start + h.start, start + h.end, h.score);
      });
}

void Lane::Phrase(uint64_t end) {
  const std::string_view token = Text(token_start_, end);
  const PhraseWord word = continued_ ? PhraseWord::kNone : PhraseWordOf(token);
  if (phrase_open_) {
    bool joins = word != PhraseWord::kNone && token_start_ - phrase_end_ <= 2 &&
                 end - phrase_start_ <= limits::kMaxGuardPhraseBytes;
    for (const char c : Text(phrase_end_, token_start_)) joins &= c == ' ' || c == ',';
    if (!joins) FlushPhrase();
  }
  if (word == PhraseWord::kNone || (word == PhraseWord::kLink && !phrase_open_)) return;
  if (!phrase_open_) {
    phrase_open_ = true;
    phrase_capital_ = false;
    phrase_start_ = token_start_;
  }
  phrase_end_ = end;
  phrase_capital_ |= word == PhraseWord::kCapital;
}

void Lane::FlushPhrase() {
  if (!phrase_open_) return;
  phrase_open_ = false;
  if (!phrase_capital_) return;
  const uint64_t start = phrase_start_;
  const std::string_view before = Text(start - std::min<uint64_t>(start, 32), start);
  worker_.work().pii_bytes += engine_.names().Scan(Text(start, phrase_end_), before, [&](const NameRecogniser::Hit& h) {
    if (h.score >= options_.least_pii) sink_.OnMatch(Scanner::kPii, h.type, start + h.start, start + h.end, h.score);
  });
}

void Lane::Decode(std::string_view token, uint64_t end) {
  const uint64_t start = token_start_;
  // Letters of one case are a word, however long; encoded text mixes them, or is hexadecimal.
  const auto attempt = [&](std::string_view part, uint64_t part_start) {
    if (part.size() < kMinEncoded) return;
    View view = View::kHex;
    auto text = DecodeHexText(part);
    if (!text.has_value()) {
      view = View::kBase64;
      text = DecodeBase64Text(part);
    }
    const bool goes_on = start - tail_end_ <= 2;
    const std::string before = goes_on ? std::move(tail_) : std::string();
    tail_.clear();
    const auto keep = [&](const std::string& decoded) {
      tail_ = decoded.substr(decoded.size() - std::min(decoded.size(), kTailBytes));
      tail_end_ = end;
    };
    if (text.has_value()) {
      keep(*text);
      sink_.OnEncoded(view, before + *text, part_start, part_start + part.size());
    } else if (part.size() >= kMinDocument) {
      // No text, but there may be some in it: an image, an archive, a document.
      for (const TextInside& t : TextInsideBase64(part)) {
        if (t.at_end) keep(t.text);
        const std::string joined = t.at_start ? before + t.text : t.text;
        if (joined.size() >= kMinEncoded)
          sink_.OnEncoded(View::kDocument, joined, part_start, part_start + part.size());
      }
    }
  };
  // Inside a token the encoded part may stand behind "data:…;base64," (a break), a key and '=', a path.
  size_t i = 0;
  while (i < token.size()) {
    const auto part_of = [](char c) { return IsAlnum(c) || c == '+' || c == '/' || c == '_' || c == '-' || c == '\\'; };
    while (i < token.size() && !part_of(token[i])) ++i;
    size_t j = i;
    while (j < token.size() && part_of(token[j])) ++j;
    size_t padded = j;
    while (padded < token.size() && token[padded] == '=' && padded - j < 2) ++padded;
    attempt(token.substr(i, j - i), start + i);
    i = std::max(padded, i + 1);
  }
}

void Lane::Disguise(std::string_view token, uint64_t end) {
  const auto follow = [&](Run& run, View view, bool disguised, uint32_t least_gap) {
    if (disguised) {
      if (!run.open) run = {true, token_start_, end, 0, 0};
      run.end = end;
      run.gap = 0;
      ++run.count;
      if (end - run.start >= kLongRun) CloseRun(run, view);
    } else if (run.open && (++run.gap >= least_gap || end - run.start >= kLongRun)) {
      CloseRun(run, view);
    }
  };
  follow(spaced_, View::kSpaced, IsSpacedOut(token), 1);
  const bool leet = IsLeet(token, token_flags_) ||
                    (leet_.open && (token_flags_ & kLower) == 0 && (token_flags_ & kDigit) != 0 && token.size() <= 4);
  follow(leet_, View::kLeet, leet, kRunGap);
}

void Lane::CloseRun(Run& run, View view) {
  if (!run.open) return;
  run.open = false;
  const std::string_view text = Text(run.start, run.end);
  if (view == View::kSpaced) {
    if (run.count < 6 && text.size() < 11) return;
    sink_.OnEncoded(view, JoinSpacedLetters(text), run.start, run.end);
  } else if (run.count >= 2) {
    sink_.OnEncoded(view, UndoLeet(text), run.start, run.end);
  }
}

void Lane::Transform(uint64_t now, bool at_end) {
  const auto step = [&](Run& run, View view) {
    if (!run.open) return;
    const bool line_end = now < size() && Text(now, now + 1) == "\n";
    if (!at_end && !line_end && now - run.start < limits::kMaxGuardRunBytes / 4) return;
    run.open = false;
    const std::string_view text = Text(run.start, now);
    sink_.OnEncoded(view, view == View::kRot13 ? Rot13(text) : ReverseText(text), run.start, now);
  };
  step(rot13_, View::kRot13);
  step(reversed_, View::kReversed);
}

void Lane::Region(uint64_t end) {
  const std::string_view tail = Text(std::max(token_start_, region_body_), end);
  if (region_body_ < end) {
    const bool prose =
        tail.size() >= 2 && std::all_of(tail.begin(), tail.end(), [](char c) { return IsLetter(c) && c >= 'a'; });
    region_prose_ = prose ? region_prose_ + 1 : 0;
    if (tail.find("KEY-----") != std::string_view::npos || tail.find("BLOCK-----") != std::string_view::npos ||
        region_prose_ >= 4) {
      CloseRegion(end);
      return;
    }
  }
  LongRegion(end);
}

// Longer than what may be held: what is here goes as part of the key, the rest follows.
void Lane::LongRegion(uint64_t end) {
  if (end - region_start_ > limits::kMaxGuardPemBytes) {
    CloseRegion(end);
  } else if (end - region_reported_ > kLongRun) {
    sink_.OnMatch(Scanner::kSecrets, "private-key", region_reported_, end, 1);
    region_reported_ = end;
  }
}

void Lane::CloseRegion(uint64_t end) {
  region_open_ = false;
  if (end > region_body_ + kMinPemBody && end > region_reported_) {
    sink_.OnMatch(Scanner::kSecrets, "private-key", region_reported_, end, 1);
  }
}

uint64_t Lane::hold() const {
  uint64_t h = in_token_ ? token_start_ : now_;
  if (Text(h - std::min<uint64_t>(h, 1), h) == "(") --h;  // of a telephone number, perhaps
  const auto at_most = [&](uint64_t v) { h = std::min(h, v); };
  if (chain_open_) at_most(chain_start_);
  if (phrase_open_) at_most(phrase_start_);
  if (header_open_) at_most(header_start_);
  if (region_open_) at_most(region_reported_);
  for (const Run* run : {&spaced_, &leet_, &rot13_, &reversed_}) {
    if (run->open) at_most(run->start);
  }
  for (const Trigger& t : waiting_) at_most(t.end - 4);
  if (settled_ < triggers_.size()) at_most(triggers_[settled_].end - std::min<uint64_t>(triggers_[settled_].end, 4));
  return h;
}

std::string_view Lane::Text(uint64_t from, uint64_t to) const {
  from = std::max(from, base_);
  to = std::min(to, size());
  if (from >= to) return {};
  return std::string_view(buf_).substr(static_cast<size_t>(from - base_), static_cast<size_t>(to - from));
}

void Lane::Trim(uint64_t keep) {
  keep = std::min(keep, hold());
  keep -= std::min(keep, kLookBack);
  if (keep > base_ + 2 * limits::kMaxGuardSliceBytes ||
      (keep > base_ && keep - base_ > kLookBack && keep - base_ > buf_.size() / 2)) {
    buf_.erase(0, static_cast<size_t>(keep - base_));
    worker_.work().moved_bytes += buf_.size();
    base_ = keep;
  }
}

size_t Lane::StateBytes() const {
  return sizeof *this + buf_.capacity() + engine_.patterns().stream_bytes() + tail_.capacity() +
         (triggers_.capacity() + waiting_.capacity() + due_.capacity() + stale_.capacity()) * sizeof(Trigger);
}

}  // namespace hexr::guard
