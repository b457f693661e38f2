#include "guard/patterns/names.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "guard/ascii.h"

namespace hexr::guard {
namespace {

#include "guard/patterns/name_table.inc"

constexpr float kByContext = 0.65F;  // "my name is", "Mrs."
constexpr float kByForm = 0.6F;      // a number and a kind of street
constexpr float kByList = 0.45F;     // a guess: flagged, never taken out
constexpr float kByOneName = 0.35F;

// Words that link the parts of a name or of an address.
constexpr std::array<std::string_view, 26> kLinks = {
    "al",  "avenue", "bin", "bis", "boulevard", "chemin",  "da", "das", "de",    "del",  "della", "den", "der",
    "des", "di",     "do",  "dos", "du",        "impasse", "la", "le",  "place", "quai", "rue",   "van", "von"};
static_assert(std::is_sorted(kLinks.begin(), kLinks.end()));

constexpr std::array<std::string_view, 21> kTitles = {
    "dr",       "frau", "herr", "lady", "lord", "madam", "madame",    "master", "miss",    "mister", "mme",
    "monsieur", "mr",   "mrs",  "ms",   "mx",   "prof",  "professor", "signor", "signora", "sir"};
static_assert(std::is_sorted(kTitles.begin(), kTitles.end()));

// What comes right before somebody's name.
constexpr std::array<std::string_view, 24> kIntroductions = {
    "my name is ", "my name's ", "name: ",     "i am ",     "i'm ",       "this is ",   "named ",       "called ",
    "dear ",       "hi ",        "hello ",     "hey ",      "regards,\n", "regards, ",  "sincerely,\n", "sincerely, ",
    "cheers,\n",   "patient: ",  "customer: ", "contact: ", "signed, ",   "signed by ", "attn: ",       "c/o "};

// Capitalised, and no part of a name.
constexpr std::array<std::string_view, 40> kNoNames = {
    "a",      "after",  "and",    "april", "august",   "but",     "december", "english",   "february", "for",
    "friday", "from",   "he",     "how",   "if",       "in",      "it",       "january",   "july",     "june",
    "march",  "may",    "monday", "my",    "november", "october", "on",       "please",    "saturday", "september",
    "she",    "sunday", "the",    "this",  "thursday", "to",      "tuesday",  "wednesday", "when",     "you"};
static_assert(std::is_sorted(kNoNames.begin(), kNoNames.end()));

// Latin-1 as the engine sees it: \xc3 begins what may be a capital beyond ASCII.
constexpr const char* kAddress =
    // 221b Baker Street
    R"(\b\d{1,5}[A-Za-z]?,? (?:[A-Z][a-z'.\x80-\xff-]{0,20} ){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive)"
    R"(|Dr|Court|Ct|Place|Pl|Square|Sq|Terrace|Ter|Way|Parkway|Pkwy|Highway|Hwy|Circle|Cir|Trail|Crescent|Close|Grove|Gardens)"
    R"(|Mews|Row|Walk|Alley)\b\.?(?:,? (?:Apt|Apartment|Suite|Ste|Unit|Floor)\.? \d{1,5}[A-Za-z]?)?)"
    // Hauptstraße 12, Damrak-kade 5, Storgatan 3
    R"(|[A-Z\xc3][a-z\x80-\xff-]{1,24}(?:stra\xc3\x9fe|strasse|str\.|weg|platz|allee|gasse|straat|laan|plein|kade|gatan|vej|gade)"
    R"(|veien|utca|katu) \d{1,4}[a-z]?\b)"
    // 12 bis, rue de la Paix
    R"(|\b\d{1,4}(?: bis)?,? (?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Pp]lace|[Cc]hemin|[Ii]mpasse|[Qq]uai)(?: (?:de|la|le|du|des)){0,2})"
    R"((?: [A-Z\xc3][a-z'\x80-\xff-]{0,20}){1,3})"
    // Calle Mayor 5, Via Garibaldi 12
    R"(|\b(?:Calle|Avenida|Avda\.|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua)(?: (?:de|del|della|di|la|da|do|dos|das)){0,2})"
    R"((?: [A-Z\xc3][a-z'.\x80-\xff-]{0,20}){1,3},? \d{1,4}\b)";

std::unordered_set<std::string_view> SetOf(std::string_view words) {
  std::unordered_set<std::string_view> out;
  while (!words.empty()) {
    const size_t space = std::min(words.find(' '), words.size());
    if (space > 0) out.insert(words.substr(0, space));
    words.remove_prefix(std::min(words.size(), space + 1));
  }
  return out;
}

template <size_t N>
bool Among(const std::array<std::string_view, N>& sorted, std::string_view word) {
  return std::binary_search(sorted.begin(), sorted.end(), word);
}

struct Part {
  std::string word;  // lower-cased, without a full stop at the end
  size_t start;
  size_t end;
  PhraseWord kind;
  bool initial;  // "J."
  bool stop;     // a full stop follows that ends more than an initial
};

std::vector<Part> PartsOf(std::string_view phrase) {
  std::vector<Part> parts;
  size_t i = 0;
  while (i < phrase.size()) {
    while (i < phrase.size() && (phrase[i] == ' ' || phrase[i] == ',')) ++i;
    const size_t start = i;
    while (i < phrase.size() && phrase[i] != ' ' && phrase[i] != ',') ++i;
    if (i == start) break;
    std::string_view text = phrase.substr(start, i - start);
    const PhraseWord kind = PhraseWordOf(text);
    const bool initial = text.size() == 2 && text[1] == '.';
    const bool stop = !initial && text.back() == '.';
    while (text.size() > 1 && text.back() == '.') text.remove_suffix(1);
    parts.push_back({Lowered(text), start, start + text.size(), kind, initial, stop});
  }
  return parts;
}

}  // namespace

PhraseWord PhraseWordOf(std::string_view token) {
  if (token.empty() || token.size() > 24) return PhraseWord::kNone;
  const auto first = static_cast<uint8_t>(token[0]);
  if (IsDigit(token[0])) {
    if (token.back() == '.') token.remove_suffix(1);
    size_t digits = 1;
    while (digits < token.size() && IsDigit(token[digits])) ++digits;
    const bool letter = digits + 1 == token.size() && IsLetter(token[digits]);
    return digits <= 5 && (digits == token.size() || letter) ? PhraseWord::kNumber : PhraseWord::kNone;
  }
  if (IsLower(token[0])) return token.size() <= 9 && Among(kLinks, token) ? PhraseWord::kLink : PhraseWord::kNone;
  if (!IsUpper(token[0]) && first != 0xC3 && first != 0xC5) return PhraseWord::kNone;
  size_t upper = 0;
  for (const char c : token) {
    if (!IsLetter(c) && c != '-' && c != '.' && static_cast<uint8_t>(c) < 0x80) return PhraseWord::kNone;
    upper += IsUpper(c);
  }
  // NASA is none; McDonald and Jean-Luc are.
  return upper <= 2 ? PhraseWord::kCapital : PhraseWord::kNone;
}

struct NameRecogniser::Tables {
  std::unordered_set<std::string_view> given = SetOf(kGivenNames);
  std::unordered_set<std::string_view> given_words = SetOf(kGivenWords);
  std::unordered_set<std::string_view> surnames = SetOf(kSurnames);
  std::unique_ptr<re2::RE2> address;
};

NameRecogniser::NameRecogniser(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
NameRecogniser::~NameRecogniser() = default;

Result<std::unique_ptr<NameRecogniser>> NameRecogniser::Create() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  options.set_max_mem(1 << 20);
  auto tables = std::make_unique<Tables>();
  tables->address = std::make_unique<re2::RE2>(kAddress, options);
  if (!tables->address->ok()) return Internal("address pattern: " + tables->address->error());
  return std::unique_ptr<NameRecogniser>(new NameRecogniser(std::move(tables)));
}

uint64_t NameRecogniser::Scan(std::string_view phrase, std::string_view before,
                              const std::function<void(const Hit&)>& emit) const {
  const std::vector<Part> parts = PartsOf(phrase);
  const bool number =
      std::any_of(parts.begin(), parts.end(), [](const Part& p) { return p.kind == PhraseWord::kNumber; });
  uint64_t cost = 0;
  std::vector<Hit> hits;
  if (number && parts.size() >= 2) {
    re2::StringPiece match;
    size_t at = 0;
    while (at < phrase.size()) {
      cost += phrase.size() - at;
      if (!tables_->address->Match({phrase.data(), phrase.size()}, at, phrase.size(), re2::RE2::UNANCHORED, &match, 1))
        break;
      const auto start = static_cast<size_t>(match.data() - phrase.data());
      hits.push_back({"STREET_ADDRESS", start, start + match.size(), kByForm});
      at = start + std::max<size_t>(match.size(), 1);
    }
  }
  const std::string left = Lowered(before);
  const auto capital = [&](size_t i) {
    return i < parts.size() && parts[i].kind == PhraseWord::kCapital && !Among(kNoNames, parts[i].word);
  };
  for (size_t i = 0; i < parts.size();) {
    if (!capital(i)) {
      ++i;
      continue;
    }
    const bool titled = Among(kTitles, parts[i].word);
    const size_t first = titled ? i + 1 : i;
    // Capitalised words that follow each other, with links and initials between them, four at most.
    size_t last = first;
    while (last < parts.size() && last - first < 5 &&
           (capital(last) || (last > first && parts[last].kind == PhraseWord::kLink)) &&
           (last == first || !parts[last - 1].stop) &&
           (last == first || phrase.substr(parts[last - 1].end, parts[last].start - parts[last - 1].end).find(',') ==
                                 std::string_view::npos))
      ++last;
    while (last > first && parts[last - 1].kind != PhraseWord::kCapital) --last;
    if (last == first) {
      i = first + 1;
      continue;
    }
    const std::string& w = parts[first].word;
    const bool given = tables_->given.contains(w);
    const bool word = tables_->given_words.contains(w);
    const bool surname = last - first >= 2 && tables_->surnames.contains(parts[last - 1].word);
    const bool introduced = i == 0 && std::any_of(kIntroductions.begin(), kIntroductions.end(),
                                                  [&](std::string_view k) { return left.ends_with(k); });
    float score = 0;
    if (titled || (introduced && (given || word || surname)))
      score = kByContext;
    else if (last - first >= 2 && (given || (surname && (word || parts[first].initial))))
      score = kByList;
    else if (given)
      score = kByOneName;
    if (score > 0) {
      const size_t start = parts[first].start;
      const size_t end = parts[last - 1].end;
      const bool free =
          std::none_of(hits.begin(), hits.end(), [&](const Hit& h) { return start < h.end && h.start < end; });
      if (free) hits.push_back({"PERSON", start, end, score});
      i = last;
    } else {
      i = first + 1;
    }
  }
  std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.start < b.start; });
  for (const Hit& h : hits) emit(h);
  return cost;
}

}  // namespace hexr::guard
