#include "guard/patterns/pii.h"

#include <arpa/inet.h>
#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "base/limits/guard.h"
#include "crypto/digest.h"
#include "guard/ascii.h"
#include "guard/patterns/validators.h"

namespace hexr::guard {
namespace {

#include "guard/patterns/pii_checks.inc"

struct PiiRow {
  const char* type;
  const char* expression;
  Check check;
  float alone;
  float beside;
  const char* words;
};
#include "guard/patterns/pii_table.inc"

constexpr size_t kContextBytes = 64;

constexpr const char* kEmail =
    R"((?i)([\w.!#$%&'*+/=?^{|}~-]{1,64}@(?:[a-z0-9\x80-\xff](?:[a-z0-9\x80-\xff-]{0,61}[a-z0-9\x8)"
    R"(0-\xff])?\.)+[a-z\x80-\xff][a-z0-9\x80-\xff-]{1,23}))";
constexpr const char* kUrl =
    R"((?i)(?:\b(?:https?|ftp)://)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+([a-z]{2,24})(?::\d{1,)"
    R"(5})?(?:[/?#][^\s"'<>]*)?)";
constexpr const char* kPhone =
    R"((?:\+|\b00)?(?:\(\+?\d{1,4}\)|\b\d{1,4}|\+\d{1,4}|\(0\))(?:[ .\-/()]{1,3}\d{1,5}|\(\d{1,4}\)|\d){2,14}(?: ?(?:x|ext\.?)"
    R"( ?|#)\d{1,6})?)";

constexpr std::array<std::string_view, 58> kDomains = {
    "com",  "org",   "net", "edu", "gov", "mil",    "int",  "info", "biz",    "name",  "io",  "co",
    "app",  "dev",   "ai",  "me",  "tv",  "online", "site", "shop", "store",  "tech",  "xyz", "club",
    "blog", "cloud", "uk",  "de",  "fr",  "eu",     "nl",   "be",   "ch",     "at",    "it",  "es",
    "pt",   "se",    "no",  "dk",  "fi",  "pl",     "cz",   "ru",   "cn",     "jp",    "kr",  "br",
    "au",   "ca",    "us",  "za",  "nz",  "gr",     "hu",   "ie",   "museum", "travel"};

// ITU-T E.164: country codes of one, two and three digits.
bool IsCountryCode(std::string_view digits) {
  if (digits.empty()) return false;
  if (digits[0] == '1' || digits[0] == '7') return true;
  if (digits.size() < 2) return false;
  constexpr std::string_view kTwo =
      "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
      "90 91 92 93 94 95 98 ";
  if (kTwo.find(std::string(digits.substr(0, 2)) + " ") != std::string_view::npos) return true;
  constexpr std::string_view kThreePrefixes = "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 80 85 87 88 96 97 99 ";
  return digits.size() >= 3 && kThreePrefixes.find(std::string(digits.substr(0, 2)) + " ") != std::string_view::npos;
}

// True when one of the comma-separated `words` begins a word of `context`.
bool HasWord(std::string_view context, std::string_view words) {
  while (!words.empty()) {
    const size_t comma = std::min(words.find(','), words.size());
    const std::string_view w = words.substr(0, comma);
    for (size_t at = context.find(w); at != std::string_view::npos; at = context.find(w, at + 1)) {
      const bool start = at == 0 || context[at - 1] < 'a' || context[at - 1] > 'z';
      // Short words must be whole ones: "dl" is a licence, "dlopen" is not.
      const size_t after = at + w.size();
      const bool whole = w.size() > 4 || after >= context.size() || context[after] < 'a' || context[after] > 'z' ||
                         context[after] == 's';
      if (start && whole) return true;
    }
    words.remove_prefix(std::min(words.size(), comma + 1));
  }
  return false;
}

bool IsBase58Address(std::string_view s) {
  if (s.size() < 26 || s.size() > 35) return false;
  constexpr std::string_view kAlphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
  std::array<uint8_t, 25> out{};
  for (const char c : s) {
    size_t carry = kAlphabet.find(c);
    if (carry == std::string_view::npos) return false;
    for (size_t i = 25; i-- > 0;) {
      carry += 58U * out[i];
      out[i] = static_cast<uint8_t>(carry & 0xFF);
      carry >>= 8;
    }
    if (carry != 0) return false;
  }
  const auto once = crypto::Sha256(ByteView(out).first(21));
  const auto twice = crypto::Sha256(ByteView(once));
  return std::equal(out.begin() + 21, out.end(), twice.begin());
}

// BIP 173 and 350.
bool IsBech32Address(std::string_view s) {
  if (s.size() < 14 || s.size() > 74) return false;
  constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  constexpr std::array<uint32_t, 5> kGenerator = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
  uint32_t c = 1;
  const auto step = [&](uint32_t v) {
    const uint32_t top = c >> 25;
    c = (c & 0x1ffffff) << 5 ^ v;
    for (size_t i = 0; i < 5; ++i) c ^= (top >> i & 1) != 0 ? kGenerator[i] : 0;
  };
  for (const uint32_t v : {3U, 3U, 0U, 2U, 3U}) step(v);  // "bc"
  for (const char ch : s.substr(3)) {
    const size_t v = kAlphabet.find(ch);
    if (v == std::string_view::npos) return false;
    step(static_cast<uint32_t>(v));
  }
  return c == 1 || c == 0x2bc830a3;
}

float PhoneScore(std::string_view m, std::string_view context) {
  std::string_view number = m;
  const size_t ext = number.find_first_of("x#e");
  if (ext != std::string_view::npos) number = number.substr(0, ext);
  const std::string d = DigitsOf(number);
  const bool plus = m.front() == '+' || m.substr(0, 2) == "(+";
  const bool word = HasWord(context,
                            "phone,tel,telephone,call,mobile,cell,fax,office,desk,contact,whatsapp,sms,text "
                            "me,reach,dial,ring,number to,registered,"
                            "answering,messages,voicemail,hotline,home,work,direct,toll,my number,numbers,us,uk");
  if (d.size() < 7 || d.size() > 15) return 0;
  if (plus) return d.size() >= 8 && IsCountryCode(d) ? 0.8F : 0.2F;
  if (m.substr(0, 2) == "00" && d.size() >= 10 && IsCountryCode(d.substr(2))) return word ? 0.8F : 0.4F;
  const bool separated = number.find_first_of(" .-/()") != std::string_view::npos;
  const bool nanp =
      (d.size() == 10 && d[0] >= '2' && d[3] >= '2') || (d.size() == 11 && d[0] == '1' && d[1] >= '2' && d[4] >= '2');
  if (nanp && separated) {
    static const re2::RE2 kShape(R"((?:1[ .-])?\(?\d{3}\)?[ .\-/]{0,2}\d{3}[ .-]?\d{4})");
    if (re2::RE2::FullMatch(re2::StringPiece(number.data(), number.size()), kShape)) return word ? 0.9F : 0.6F;
  }
  if (nanp && ext != std::string_view::npos) return 0.6F;
  if (d[0] == '0' && d.size() >= 9 && d.size() <= 12 && d[1] != '0') return word ? 0.8F : separated ? 0.45F : 0.25F;
  if (word && d.size() <= 12) return separated || d.size() >= 9 ? 0.65F : 0.4F;
  return d.size() >= 8 && separated ? 0.25F : 0.1F;
}

re2::StringPiece Piece(std::string_view s) { return {s.data(), s.size()}; }

}  // namespace

struct PiiRecogniser::Tables {
  std::vector<std::unique_ptr<re2::RE2>> rows;
  std::unique_ptr<re2::RE2::Set> set;
  std::unique_ptr<re2::RE2> email;
  std::unique_ptr<re2::RE2> url;
  std::unique_ptr<re2::RE2> phone;
  std::unique_ptr<re2::RE2> ether;
};

PiiRecogniser::PiiRecogniser(std::unique_ptr<Tables> tables) : tables_(std::move(tables)) {}
PiiRecogniser::~PiiRecogniser() = default;

Result<std::unique_ptr<PiiRecogniser>> PiiRecogniser::Create() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  auto tables = std::make_unique<Tables>();
  re2::RE2::Options set_options = options;
  set_options.set_max_mem(4 << 20);
  tables->set = std::make_unique<re2::RE2::Set>(set_options, re2::RE2::UNANCHORED);
  options.set_max_mem(1 << 18);
  std::string why;
  for (const PiiRow& row : kPiiRows) {
    tables->rows.push_back(std::make_unique<re2::RE2>(row.expression, options));
    if (tables->set->Add(row.expression, &why) < 0) return Internal(std::string(row.type) + ": " + why);
  }
  if (!tables->set->Compile()) return Internal("personal data patterns need more memory than they may");
  options.set_max_mem(1 << 20);
  tables->email = std::make_unique<re2::RE2>(kEmail, options);
  tables->url = std::make_unique<re2::RE2>(kUrl, options);
  tables->phone = std::make_unique<re2::RE2>(kPhone, options);
  tables->ether =
      std::make_unique<re2::RE2>(R"(\b(0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,3)"
                                 R"(4})\b)",
                                 options);
  for (const auto* re : {&tables->email, &tables->url, &tables->phone, &tables->ether}) {
    if (!(*re)->ok()) return Internal("personal data pattern: " + (*re)->error());
  }
  return std::unique_ptr<PiiRecogniser>(new PiiRecogniser(std::move(tables)));
}

uint64_t PiiRecogniser::Scan(std::string_view text, std::string_view before, std::string_view after, float least,
                             bool all, const std::function<void(const Hit&)>& emit) const {
  std::vector<Hit> hits;
  uint64_t cost = 0;
  const auto each = [&](const re2::RE2& re, const auto& on_match) {
    re2::StringPiece match[2];
    size_t at = 0;
    while (at <= text.size()) {
      // An expression reads what it matches and a label beyond it at most; the last call reads all that is left.
      const bool found = re.Match(Piece(text), at, text.size(), re2::RE2::UNANCHORED, match, 2);
      cost += found ? static_cast<size_t>(match[0].data() + match[0].size() - text.data()) - at : text.size() - at;
      if (!found) break;
      const auto start = static_cast<size_t>(match[0].data() - text.data());
      if (match[0].empty()) {
        at = start + 1;
        continue;
      }
      const bool good = on_match(text.substr(start, match[0].size()), start, match);
      at = good ? start + match[0].size() : start + 1;
    }
  };
  const auto add = [&](const char* type, size_t start, size_t size, float score) {
    if (score < least || score <= 0) return false;
    hits.push_back({type, start, start + size, score});
    return true;
  };
  const auto context_at = [&](size_t start) {
    const size_t inside = std::min(start, kContextBytes + limits::kMaxGuardChainBytes);
    std::string c = Lowered(before.substr(before.size() - std::min(before.size(), kContextBytes)));
    if (inside < start) c.clear();
    c += Lowered(text.substr(start - inside, inside));
    cost += c.size();
    return c;
  };

  bool digit = false;
  size_t colons = 0;
  bool at_sign = false;
  bool dot = false;
  for (const char c : text) {
    digit |= c >= '0' && c <= '9';
    colons += c == ':';
    at_sign |= c == '@';
    dot |= c == '.';
  }
  if (at_sign) {
    each(*tables_->email, [&](std::string_view m, size_t start, const re2::StringPiece*) {
      return add("EMAIL_ADDRESS", start, m.size(), 1);
    });
  }
  if (dot) {
    each(*tables_->url, [&](std::string_view m, size_t start, const re2::StringPiece* groups) {
      if (start > 0 && (text[start - 1] == '@' || text[start - 1] == '.')) return true;
      const bool scheme = m.find("://") != std::string_view::npos;
      const std::string tld = Lowered({groups[1].data(), groups[1].size()});
      if (!scheme && std::find(kDomains.begin(), kDomains.end(), tld) == kDomains.end()) return true;
      const size_t host = scheme ? m.find("://") + 3 : 0;
      const size_t path = m.find_first_of("/?#", host);
      while (path != std::string_view::npos && m.size() > path + 1 &&
             std::string_view(".,;:)!?").find(m.back()) != std::string_view::npos)
        m.remove_suffix(1);
      const bool bare = path == std::string_view::npos || path + 1 == m.size();
      add(bare ? "DOMAIN_NAME" : "URL", start, m.size(), 0.35F);
      return true;
    });
  }
  if (digit) {
    std::vector<int> matched;
    re2::RE2::Set::ErrorInfo error{};
    cost += text.size();
    if (!tables_->set->Match(Piece(text), &matched, &error) && error.kind != re2::RE2::Set::kNoError) {
      // Out of memory: then each row is asked by itself.
      matched.resize(tables_->rows.size());
      std::iota(matched.begin(), matched.end(), 0);
    }
    if (!matched.empty()) {
      for (const int i : matched) {
        const PiiRow& row = kPiiRows[static_cast<size_t>(i)];
        each(*tables_->rows[static_cast<size_t>(i)], [&](std::string_view m, size_t start, const re2::StringPiece*) {
          if (row.check != nullptr && !row.check(m)) return false;
          const bool beside = row.words[0] != 0 && row.beside > row.alone && HasWord(context_at(start), row.words);
          add(row.type, start, m.size(), beside ? row.beside : row.alone);
          return true;
        });
      }
    }
    each(*tables_->phone, [&](std::string_view m, size_t start, const re2::StringPiece*) {
      if (start > 0 && (text[start - 1] == '.' || text[start - 1] == ':' || text[start - 1] == '/')) return false;
      return add("PHONE_NUMBER", start, m.size(), PhoneScore(m, context_at(start) + " " + Lowered(after)));
    });
    if (text.size() >= 26) {
      each(*tables_->ether, [&](std::string_view m, size_t start, const re2::StringPiece*) {
        const bool good = m.substr(0, 2) == "0x" || (m.substr(0, 3) == "bc1" ? IsBech32Address(m) : IsBase58Address(m));
        return good && add("CRYPTO", start, m.size(), 0.9F);
      });
    }
  }
  if (colons >= 2) {
    size_t i = 0;
    while (i < text.size()) {
      const auto part = [](char c) {
        return (c >= '0' && c <= '9') || (Lowered({&c, 1})[0] >= 'a' && Lowered({&c, 1})[0] <= 'f') || c == ':' ||
               c == '.';
      };
      size_t end = i;
      while (end < text.size() && part(text[end])) ++end;
      std::string candidate(text.substr(i, end - i));
      while (!candidate.empty() && (candidate.back() == '.' || (candidate.back() == ':' && !candidate.ends_with("::"))))
        candidate.pop_back();
      in6_addr parsed{};
      const bool word_before =
          i > 0 && ((text[i - 1] >= 'g' && text[i - 1] <= 'z') || (text[i - 1] >= 'G' && text[i - 1] <= 'Z'));
      if (candidate.size() >= 2 && candidate.size() < 46 && !word_before &&
          inet_pton(AF_INET6, candidate.c_str(), &parsed) == 1) {
        size_t size = candidate.size();
        if (i + size + 1 < text.size() && text[i + size] == '/' && text[i + size + 1] >= '0' &&
            text[i + size + 1] <= '9') {
          ++size;
          while (i + size < text.size() && text[i + size] >= '0' && text[i + size] <= '9') ++size;
        }
        add("IP_ADDRESS", i, size, 0.6F);
      }
      i = std::max(end, i) + 1;
    }
  }

  if (!all) {
    std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
      return a.score != b.score ? a.score > b.score : a.end - a.start > b.end - b.start;
    });
    std::vector<Hit> kept;
    for (const Hit& h : hits) {
      const bool free =
          std::none_of(kept.begin(), kept.end(), [&](const Hit& k) { return h.start < k.end && k.start < h.end; });
      if (free) kept.push_back(h);
    }
    hits = std::move(kept);
  }
  std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.start < b.start; });
  for (const Hit& h : hits) emit(h);
  return cost;
}

}  // namespace hexr::guard
