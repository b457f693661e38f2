// Regular expressions on RE2, with the matching order and the replacement templates of Go's regexp package.
#include <re2/re2.h>

#include <algorithm>
#include <optional>

#include "policy/rego/builtins/regex_cache.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {

namespace {

// Go writes (?<name>…) as well; this RE2 knows (?P<name>…) only.
std::string NamedGroups(std::string_view p) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < p.size(); ++i) {
    if (p[i] == '\\' && i + 1 < p.size()) {
      out += p[i++];
      out += p[i];
      continue;
    }
    if (p[i] == '[') in_class = true;
    if (p[i] == ']') in_class = false;
    if (!in_class && p.substr(i, 3) == "(?<" && i + 3 < p.size() && p[i + 3] != '=' && p[i + 3] != '!') {
      out += "(?P<";
      i += 2;
      continue;
    }
    out += p[i];
  }
  return out;
}

}  // namespace

const re2::RE2* RegexCache::Find(std::string_view key) {
  auto it = by_pattern_.find(key);
  if (it == by_pattern_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->regex.get();
}

const re2::RE2* RegexCache::Put(std::string_view key, std::string_view pattern, std::string* error) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  auto regex = std::make_unique<re2::RE2>(NamedGroups(pattern), options);
  if (!regex->ok()) {
    if (error != nullptr)
      *error = "error parsing regexp: " + regex->error() + ": `" + std::string(regex->error_arg()) + "`";
    return nullptr;
  }
  if (entries_.size() >= kMax) {
    by_pattern_.erase(entries_.back().pattern);
    entries_.pop_back();
  }
  entries_.push_front({std::string(key), std::move(regex)});
  by_pattern_.emplace(entries_.front().pattern, entries_.begin());
  return entries_.front().regex.get();
}

const re2::RE2* RegexCache::Get(std::string_view pattern, std::string* error) {
  const re2::RE2* known = Find(pattern);
  return known != nullptr ? known : Put(pattern, pattern, error);
}

namespace {

using re2::StringPiece;

const re2::RE2* Compile(Call& c, std::string_view pattern) {
  std::string error;
  const re2::RE2* re = c.services.regexes->Get(pattern, &error);
  if (re == nullptr) c.Fail(error);
  return re;
}

struct Span {
  int64_t from = -1;
  int64_t to = -1;
};
using Match = std::vector<Span>;

// All matches as Go finds them, at most n (all when negative). Group 0 is the whole match, and all that is found unless
// `with_groups`. Fewer than there are when the call failed for want of memory or steps.
std::vector<Match> FindAll(Call& c, const re2::RE2& re, std::string_view s, int64_t n, bool with_groups) {
  std::vector<Match> out;
  const int groups = with_groups ? re.NumberOfCapturingGroups() + 1 : 1;
  const size_t match_bytes = sizeof(Match) + static_cast<size_t>(groups) * sizeof(Span);
  std::vector<StringPiece> parts(static_cast<size_t>(groups));
  StringPiece text(s.data(), s.size());
  int64_t previous_end = -1;
  for (size_t pos = 0; pos <= s.size() && (n < 0 || static_cast<int64_t>(out.size()) < n);) {
    if (!re.Match(text, pos, s.size(), re2::RE2::UNANCHORED, parts.data(), groups)) break;
    Match m(static_cast<size_t>(groups));
    for (size_t g = 0; g < m.size(); ++g) {
      if (parts[g].data() == nullptr) continue;
      m[g].from = parts[g].data() - s.data();
      m[g].to = m[g].from + static_cast<int64_t>(parts[g].size());
    }
    bool accept = true;
    if (static_cast<size_t>(m[0].to) == pos) {
      if (m[0].from == previous_end) accept = false;
      if (pos < s.size())
        NextRune(s, pos);
      else
        ++pos;
    } else {
      pos = static_cast<size_t>(m[0].to);
    }
    previous_end = m[0].to;
    if (!accept) continue;
    if (!c.Reserve((out.size() + 1) * match_bytes) || !c.Spend(1)) break;
    out.push_back(std::move(m));
  }
  return out;
}

std::string_view Cut(std::string_view s, const Span& span) {
  return span.from < 0 ? std::string_view()
                       : s.substr(static_cast<size_t>(span.from), static_cast<size_t>(span.to - span.from));
}

// $1, $name, ${name} and $$ in `replacement`; the longest name of word characters counts.
void Expand(const re2::RE2& re, std::string_view replacement, std::string_view s, const Match& m, std::string& out) {
  for (size_t i = 0; i < replacement.size();) {
    if (replacement[i] != '$' || i + 1 >= replacement.size()) {
      out += replacement[i++];
      continue;
    }
    if (replacement[i + 1] == '$') {
      out += '$';
      i += 2;
      continue;
    }
    size_t start = i + 1;
    bool brace = replacement[start] == '{';
    size_t end = start + brace;
    while (end < replacement.size() &&
           (std::isalnum(static_cast<unsigned char>(replacement[end])) || replacement[end] == '_'))
      ++end;
    std::string name(replacement.substr(start + brace, end - start - brace));
    if (name.empty() || (brace && (end >= replacement.size() || replacement[end] != '}'))) {
      out += replacement[i++];  // no name: the dollar sign stands for itself
      continue;
    }
    i = end + brace;
    if (std::all_of(name.begin(), name.end(), [](char ch) { return ch >= '0' && ch <= '9'; })) {
      size_t g = name.size() > 6 ? m.size() : std::stoul(name);
      if (g < m.size()) out += Cut(s, m[g]);
    } else if (auto it = re.NamedCapturingGroups().find(name); it != re.NamedCapturingGroups().end()) {
      out += Cut(s, m[static_cast<size_t>(it->second)]);
    }
  }
}

Value PatternIsValid(Call& c) {
  return Value::Bool(c[0].is_string() && c.services.regexes->Get(c[0].text(), nullptr) != nullptr);
}

Value MatchRe(Call& c) {
  std::string_view pattern, s;
  if (!TakeString(c, 0, pattern) || !TakeString(c, 1, s)) return Value();
  const re2::RE2* re = Compile(c, pattern);
  if (re == nullptr) return Value();
  return Value::Bool(re->Match(StringPiece(s.data(), s.size()), 0, s.size(), re2::RE2::UNANCHORED, nullptr, 0));
}

Value SplitRe(Call& c) {
  std::string_view pattern, s;
  if (!TakeString(c, 0, pattern) || !TakeString(c, 1, s)) return Value();
  const re2::RE2* re = Compile(c, pattern);
  if (re == nullptr) return Value();
  ArrayBuilder out(c.arena);
  if (!pattern.empty() && s.empty()) {
    out.Add(c.Text(""));
    return out.Finish();
  }
  int64_t begin = 0, end = 0;
  for (const Match& m : FindAll(c, *re, s, -1, false)) {
    end = m[0].from;
    if (m[0].to != 0) out.Add(c.Text(s.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin))));
    begin = m[0].to;
  }
  if (c.failed()) return Value();
  if (end != static_cast<int64_t>(s.size())) out.Add(c.Text(s.substr(static_cast<size_t>(begin))));
  return out.Finish();
}

Value FindN(Call& c) {
  std::string_view pattern, s;
  int64_t n = 0;
  if (!TakeString(c, 0, pattern) || !TakeString(c, 1, s) || !TakeInt(c, 2, n)) return Value();
  const re2::RE2* re = Compile(c, pattern);
  if (re == nullptr) return Value();
  ArrayBuilder out(c.arena);
  for (const Match& m : FindAll(c, *re, s, n, false)) out.Add(c.Text(Cut(s, m[0])));
  return c.failed() ? Value() : out.Finish();
}
Value FindAllSubmatch(Call& c) {
  std::string_view pattern, s;
  int64_t n = 0;
  if (!TakeString(c, 0, pattern) || !TakeString(c, 1, s) || !TakeInt(c, 2, n)) return Value();
  const re2::RE2* re = Compile(c, pattern);
  if (re == nullptr) return Value();
  ArrayBuilder out(c.arena);
  for (const Match& m : FindAll(c, *re, s, n, true)) {
    ArrayBuilder groups(c.arena, m.size());
    for (const Span& g : m) groups.Add(c.Text(Cut(s, g)));
    out.Add(groups.Finish());
  }
  return c.failed() ? Value() : out.Finish();
}
Value ReplaceRe(Call& c) {
  std::string_view s, pattern, value;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, pattern) || !TakeString(c, 2, value)) return Value();
  const re2::RE2* re = Compile(c, pattern);
  if (re == nullptr) return Value();
  std::string out;
  int64_t last = 0;
  for (const Match& m : FindAll(c, *re, s, -1, true)) {
    out += s.substr(static_cast<size_t>(last), static_cast<size_t>(m[0].from - last));
    Expand(*re, value, s, m, out);
    last = m[0].to;
    if (!c.Reserve(out.size())) return Value();
  }
  if (c.failed()) return Value();
  out += s.substr(static_cast<size_t>(last));
  return c.Text(out);
}

// Text outside the delimiters is literal, inside it is a pattern.
Value TemplateMatch(Call& c) {
  std::string_view pattern, s, open, close;
  if (!TakeString(c, 0, pattern) || !TakeString(c, 1, s) || !TakeString(c, 2, open) || !TakeString(c, 3, close))
    return Value();
  if (open.size() != 1)
    return c.Fail("start delimiter has to be exactly one character long but is " + std::to_string(open.size()) +
                  " long");
  if (close.size() != 1)
    return c.Fail("end delimiter has to be exactly one character long but is " + std::to_string(open.size()) + " long");
  std::string full = "^";
  int depth = 0;
  size_t start = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == open[0]) {
      if (depth++ == 0) {
        full += re2::RE2::QuoteMeta(StringPiece(pattern.data() + start, i - start));
        start = i + 1;
      }
    } else if (pattern[i] == close[0]) {
      if (--depth < 0) return c.Fail("unbalanced braces in \"" + std::string(pattern) + "\"");
      if (depth == 0) {
        full += "(" + std::string(pattern.substr(start, i - start)) + ")";
        start = i + 1;
      }
    }
  }
  if (depth != 0) return c.Fail("unbalanced braces in \"" + std::string(pattern) + "\"");
  full += re2::RE2::QuoteMeta(StringPiece(pattern.data() + start, pattern.size() - start)) + "$";
  const re2::RE2* re = Compile(c, full);
  if (re == nullptr) return Value();
  return Value::Bool(re2::RE2::PartialMatch(StringPiece(s.data(), s.size()), *re));
}

// One step of the small pattern language of regex.globs_match.
struct PatternStep {
  bool any = false;
  std::vector<std::pair<char32_t, char32_t>> runes;  // first and last of each range
  char flag = 0;                                     // 0, * or +
};

class GlobReader {
 public:
  explicit GlobReader(std::string_view text) : text_(text) {
    for (size_t i = 0; i < text.size();) input_.push_back(NextRune(text, i));
  }
  bool Read(std::vector<PatternStep>& out, std::string& error) {
    while (at_ < input_.size()) {
      PatternStep step;
      bool escaped = false;
      char32_t r = 0;
      if (!Rune(r, escaped, error)) return false;
      if (!escaped && r == '.') {
        step.any = true;
      } else if (!escaped && r == ']') {
        return Bad("set-close ']' with no preceding '['", error);
      } else if (!escaped && r == '[') {
        if (!ReadSet(step, error)) return false;
      } else if (!escaped && (r == '+' || r == '*')) {
        return Bad(std::string("flag '") + static_cast<char>(r) + "' must be preceded by a non-flag", error);
      } else {
        step.runes.emplace_back(r, r);
      }
      if (at_ < input_.size() && (input_[at_] == '+' || input_[at_] == '*'))
        step.flag = static_cast<char>(input_[at_++]);
      out.push_back(std::move(step));
    }
    return true;
  }

 private:
  bool Bad(const std::string& why, std::string& error) const {
    error =
        "input:" + std::string(text_) + ", pos:" + std::to_string(at_) + ", " + why + ": the input provided is invalid";
    return false;
  }
  bool Rune(char32_t& r, bool& escaped, std::string& error) {
    escaped = input_[at_] == '\\';
    if (!escaped) {
      r = input_[at_++];
      return true;
    }
    if (at_ + 1 >= input_.size()) return Bad("input ends with a \\ (escape) character", error);
    r = input_[at_ + 1];
    at_ += 2;
    return true;
  }
  bool ReadSet(PatternStep& step, std::string& error) {
    char32_t previous = 0;
    bool have = false;
    while (at_ < input_.size()) {
      bool escaped = false;
      char32_t r = 0;
      if (!Rune(r, escaped, error)) return false;
      if (!escaped && r == ']') {
        return true;
      }
      if (!escaped && r == '-') {
        if (!have) return Bad("range character '-' must be preceded by a Unicode character", error);
        if (at_ + 1 >= input_.size()) return Bad("range character '-' must be followed by a Unicode character", error);
        if (!Rune(r, escaped, error)) return false;
        if (!escaped && (r == ']' || r == '-'))
          return Bad("range character '-' cannot be followed by a special symbol", error);
        if (r < previous) return Bad("range is out of order", error);
        step.runes.emplace_back(previous, r);
        have = false;
        continue;
      }
      step.runes.emplace_back(r, r);
      previous = r;
      have = true;
    }
    return Bad("found [ without matching ]", error);
  }

  std::string_view text_;
  std::u32string input_;
  size_t at_ = 0;
};

bool Meet(const PatternStep& a, const PatternStep& b) {
  if (a.any || b.any) return true;
  return std::any_of(a.runes.begin(), a.runes.end(), [&](const auto& x) {
    return std::any_of(b.runes.begin(), b.runes.end(),
                       [&](const auto& y) { return x.first <= y.second && y.first <= x.second; });
  });
}

// Is there a non-empty string that both accept? Reachability over pairs of positions.
Value GlobsMatch(Call& c) {
  std::string_view a, b;
  if (!TakeString(c, 0, a) || !TakeString(c, 1, b)) return Value();
  std::vector<PatternStep> x, y;
  std::string error;
  if (!GlobReader(a).Read(x, error) || !GlobReader(b).Read(y, error)) return c.Fail(error);
  if (x.empty() && y.empty()) return Value::Bool(true);
  size_t columns = y.size() + 1;
  if (!c.Reserve((x.size() + 1) * columns * 8)) return Value();
  // seen[i][j][began]: a string leads to position i of x and j of y; `began` once it holds a character. A + that has
  // matched once goes on as a *: bit 2 and bit 4 note that.
  std::vector<uint8_t> seen((x.size() + 1) * columns * 8, 0);
  struct State {
    size_t i, j;
    unsigned bits;
  };
  std::vector<State> todo{{0, 0, 0}};
  auto push = [&](size_t i, size_t j, unsigned bits) {
    uint8_t& s = seen[(i * columns + j) * 8 + bits];
    if (s == 0) {
      s = 1;
      todo.push_back({i, j, bits});
    }
  };
  while (!todo.empty()) {
    State s = todo.back();
    todo.pop_back();
    if (s.i == x.size() && s.j == y.size()) {
      if (s.bits & 1) return Value::Bool(true);
      continue;
    }
    bool skip_x = s.i < x.size() && (x[s.i].flag == '*' || (s.bits & 2));
    bool skip_y = s.j < y.size() && (y[s.j].flag == '*' || (s.bits & 4));
    if (skip_x) push(s.i + 1, s.j, s.bits & 5);
    if (skip_y) push(s.i, s.j + 1, s.bits & 3);
    if (s.i < x.size() && s.j < y.size()) {
      if (!c.Spend(1 + x[s.i].runes.size() * y[s.j].runes.size() / 16)) return Value();
      if (!Meet(x[s.i], y[s.j])) continue;
      bool stay_x = x[s.i].flag != 0, stay_y = y[s.j].flag != 0;
      push(stay_x ? s.i : s.i + 1, stay_y ? s.j : s.j + 1, 1u | (stay_x ? 2u : 0u) | (stay_y ? 4u : 0u));
    }
  }
  return Value::Bool(false);
}

}  // namespace

std::span<const Builtin> RegexBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "regex.is_valid", .arity = 1, .fn = PatternIsValid},
      {.name = "regex.match", .arity = 2, .fn = MatchRe},
      {.name = "re_match", .arity = 2, .fn = MatchRe, .deprecated = true},
      {.name = "regex.split", .arity = 2, .fn = SplitRe},
      {.name = "regex.find_n", .arity = 3, .fn = FindN},
      {.name = "regex.find_all_string_submatch_n", .arity = 3, .fn = FindAllSubmatch},
      {.name = "regex.replace", .arity = 3, .fn = ReplaceRe},
      {.name = "regex.template_match", .arity = 4, .fn = TemplateMatch},
      {.name = "regex.globs_match", .arity = 2, .fn = GlobsMatch},
  };
  return kTable;
}

}  // namespace hexr::rego
