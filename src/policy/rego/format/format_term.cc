#include <algorithm>

#include "policy/rego/format/formatter.h"
#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

constexpr std::string_view kKeywords[] = {"as",    "contains", "data",   "default", "else",  "every",
                                          "false", "if",       "import", "in",      "input", "not",
                                          "null",  "package",  "some",   "true",    "with"};

bool IsMember(std::string_view name) { return name == "internal.member_2" || name == "internal.member_3"; }

bool IsName(std::string_view s) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (s.empty() || !letter(s[0])) return false;
  return std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

uint32_t Rows(std::string_view text) { return static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n')); }

bool IsUnion(const Term& t) { return t.kind == TermKind::kCall && RefText(*t.items[0]) == "or"; }

}  // namespace

bool Formatter::WriteBody(const Body& body) {
  if (!w_.Insert(body[0]->at.row)) return false;
  for (size_t i = 0; i < body.size(); ++i) {
    if (i > 0 && body[i]->at.row > body[i - 1]->at.row + Rows(TextOf(body[i - 1]->at)) + 1) w_.BlankLine();
    w_.StartLine();
    (void)WriteExpr(*body[i]);  // what could not be laid out stands as it was
    w_.EndLine();
  }
  return true;
}

bool Formatter::WriteExpr(const Expr& e) {
  if (!w_.Insert(e.at.row)) return false;
  if (!w_.inline_) w_.StartLine();
  if (e.negated) w_.Write("not ");
  bool good = true;
  switch (e.kind) {
    case ExprKind::kSome: good = WriteSome(e); break;
    case ExprKind::kEvery: good = WriteEvery(e); break;
    case ExprKind::kNot: good = WriteNot(e); break;
    case ExprKind::kCall: good = WriteCallExpr(e); break;
    case ExprKind::kTerm: good = WriteTerm(*e.terms[0]); break;
  }
  if (!good) return false;
  if (e.with.empty()) return true;
  std::string_view text = TextOf(e.at);
  text = text.substr(0, e.with[0].at.begin - e.at.begin);
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  uint32_t last = e.at.row + Rows(text);
  size_t i = 0;
  if (e.with[0].at.row == last) {
    if (!WriteWith(e.with[0], false)) return false;
    last = e.with[i++].at.row;
  }
  bool indented = false;
  for (; i < e.with.size() && good; ++i) {
    const bool indent = e.with[i].at.row > last;
    if (indent) {
      if (!indented) w_.Up();
      indented = true;
      w_.EndLine();
      w_.StartLine();
      last = e.with[i].at.row;
    }
    good = WriteWith(e.with[i], indent);
  }
  if (indented) w_.Down();
  return good;
}

bool Formatter::WriteWith(const With& with, bool indented) {
  if (!w_.Insert(with.at.row)) return false;
  w_.Write(indented ? "with " : " with ");
  if (!WriteTerm(*with.target)) return false;
  w_.Write(" as ");
  (void)WriteTerm(*with.value);
  return true;
}

bool Formatter::WriteSome(const Expr& e) {
  w_.Write("some ");
  if (e.terms[0]->kind == TermKind::kCall) return WriteIn(e.terms[0]->items, false);
  uint32_t row = e.at.row;
  for (size_t i = 0; i < e.terms.size(); ++i) {
    if (e.terms[i]->at.row > row) {
      w_.EndLine();
      w_.StartLine();
      w_.Write("\t");
      row = e.terms[i]->at.row;
    } else if (i > 0) {
      w_.Write(" ");
    }
    if (!WriteTerm(*e.terms[i])) return false;
    if (i + 1 < e.terms.size()) w_.Write(",");
  }
  return true;
}

bool Formatter::WriteEvery(const Expr& e) {
  w_.Write("every ");
  if (e.terms[0]) {
    if (!WriteTerm(*e.terms[0])) return false;
    w_.Write(", ");
  }
  if (!WriteTerm(*e.terms[1])) return false;
  w_.Write(" in ");
  if (!WriteTerm(*e.terms[2])) return false;
  w_.Write(" {");
  (void)WriteInnerBody('{', '}', e.body, e.at.row, e.at);
  if (e.body.size() == 1 && e.body[0]->at.row == e.at.row) w_.Write(" ");
  w_.Write("}");
  return true;
}

bool Formatter::WriteNot(const Expr& e) {
  w_.Write("not ");
  std::string_view text = TextOf(e.at).substr(3);
  const size_t first = text.find_first_not_of(" \t\r\n");
  const bool braces = first != std::string_view::npos && text[first] == '{' && e.body[0]->at.begin > e.at.begin;
  if (!braces && e.body.size() == 1) {
    (void)WriteExpr(*e.body[0]);
    return true;
  }
  w_.Write("{");
  (void)WriteInnerBody('{', '}', e.body, e.at.row, e.at);
  if (e.body.size() == 1 && e.body[0]->at.row == e.at.row) w_.Write(" ");
  w_.Write("}");
  return true;
}

bool Formatter::WriteCallExpr(const Expr& e) {
  const std::string name = e.Operator();
  if (IsMember(name)) return WriteIn(e.terms, false);
  const std::string_view sign = Infix(name);
  if (sign.empty() || e.terms.size() < 3 || e.terms.size() > 4) return WriteCall(e.terms);
  // With a fourth term the call's result is named: plus(1, 2, x) is x = 1 + 2.
  if (e.terms.size() == 4) {
    if (!WriteTerm(*e.terms[3])) return false;
    w_.Write(" = ");
  }
  if (!WriteTerm(*e.terms[1])) return false;
  w_.Write(" " + std::string(sign) + " ");
  return WriteTerm(*e.terms[2]);
}

bool Formatter::WriteCall(const std::vector<TermPtr>& items) {
  if (items[0]->is_ref()) {
    if (!WriteRef(*items[0])) return false;
  } else {
    w_.Write(TermText(*items[0]));
  }
  w_.Write("(");
  std::vector<Item> arguments;
  for (size_t i = 1; i < items.size(); ++i) arguments.push_back({nullptr, items[i].get()});
  const bool good = WriteItems(std::move(arguments), items[0]->at.row, 0);
  w_.Write(")");
  return good;
}

bool Formatter::WriteIn(const std::vector<TermPtr>& items, bool parens) {
  const bool with_key = items.size() == 4;
  if (with_key && parens) w_.Write("(");
  bool good = WriteTermIn(true, *items[1]);
  if (good && with_key) {
    w_.Write(", ");
    good = WriteTermIn(true, *items[2]);
  }
  if (good) {
    w_.Write(" in ");
    good = WriteTermIn(true, *items.back());
  }
  if (with_key && parens) w_.Write(")");
  return good;
}

bool Formatter::WriteTerm(const Term& t) {
  if (w_.comments_.empty()) return WriteTermIn(false, t);
  const LayoutWriter::Saved saved = w_.Save();
  if (WriteTermIn(false, t)) return true;
  w_.WriteRaw(saved, t.at, TextOf(t.at));
  return false;
}

bool Formatter::WriteTermIn(bool parens, const Term& t) {
  if (!w_.Insert(t.at.row)) return false;
  if (!w_.inline_) w_.StartLine();
  if (!WriteValue(parens, t)) return false;
  if (!w_.inline_) w_.StartLine();
  return true;
}

bool Formatter::WriteValue(bool parens, const Term& t) {
  const std::string_view text = TextOf(t.at);
  std::vector<Item> items;
  bool good = true;
  switch (t.kind) {
    case TermKind::kRef: return WriteRef(t);
    case TermKind::kString: return WriteString(t);
    case TermKind::kTemplate: return WriteTemplate(t);
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp: return WriteComprehension(t);
    case TermKind::kObject:
      w_.Write("{");
      for (size_t i = 0; i < t.items.size(); i += 2) {
        // Of a repeated key the last value stands.
        auto same = std::find_if(items.begin(), items.end(),
                                 [&](const Item& x) { return IsGround(*x.key) && SameTerm(*x.key, *t.items[i]); });
        if (same != items.end())
          same->value = t.items[i + 1].get();
        else
          items.push_back({t.items[i].get(), t.items[i + 1].get()});
      }
      good = WriteItems(std::move(items), t.at.row, ClosingRow(text, t.at.row, '{', '}'));
      w_.Write("}");
      return good;
    case TermKind::kArray:
      w_.Write("[");
      for (const auto& i : t.items) items.push_back({nullptr, i.get()});
      good = WriteItems(std::move(items), t.at.row, ClosingRow(text, t.at.row, '[', ']'));
      w_.Write("]");
      return good;
    case TermKind::kSet: {
      if (t.items.empty()) {
        w_.Write("set()");
        return true;
      }
      w_.Write("{");
      for (const auto& i : t.items) {
        const bool repeated =
            std::any_of(items.begin(), items.end(), [&](const Item& x) { return SameTerm(*x.value, *i); });
        if (!repeated || !IsGround(*i)) items.push_back({nullptr, i.get()});
      }
      good = WriteItems(std::move(items), t.at.row, ClosingRow(text, t.at.row, '{', '}'));
      w_.Write("}");
      return good;
    }
    case TermKind::kCall: {
      const std::string name = RefText(*t.items[0]);
      if (IsMember(name)) return WriteIn(t.items, true);
      const std::string_view sign = Infix(name);
      if (sign.empty() || t.items.size() != 3) return WriteCall(t.items);
      if (parens) w_.Write("(");
      if (!WriteTermIn(true, *t.items[1])) return false;
      w_.Write(" " + std::string(sign) + " ");
      if (!WriteTermIn(true, *t.items[2])) return false;
      if (parens) w_.Write(")");
      return true;
    }
    default: w_.Write(TermText(t)); return true;
  }
}

// As written: escapes and raw strings are kept.
bool Formatter::WriteString(const Term& t) {
  const std::string_view text = TextOf(t.at);
  const size_t quote = text.find_first_of("\"`");
  w_.Write(quote == std::string_view::npos ? TermText(t)
                                           : std::string(text.substr(quote, text.rfind(text[quote]) + 1 - quote)));
  return true;
}

bool Formatter::WriteTemplate(const Term& t) {
  const std::string_view text = TextOf(t.at);
  const bool raw = text.size() > 1 && text[1] == '`';
  w_.Write(raw ? "$`" : "$\"");
  for (size_t i = 0; i < t.items.size(); ++i) {
    const Term& part = *t.items[i];
    if (part.is_string() && !TextOf(part.at).starts_with('"') && !TextOf(part.at).starts_with('`')) {
      w_.Write(TextOf(part.at));
      continue;
    }
    if (part.kind != TermKind::kTemplateExpr) {  // a constant in braces
      w_.Write("{" + std::string(TextOf(part.at)) + "}");
      continue;
    }
    w_.Write("{");
    w_.Up();
    const bool good = WriteExpr(*part.body[0]);
    w_.Down();
    w_.Write("}");
    if (!good) return false;
  }
  w_.Write(raw ? "`" : "\"");
  return true;
}

bool Formatter::WriteRef(const Term& ref) {
  const Term& head = *ref.items[0];
  if (!WriteTermIn(head.kind == TermKind::kCall && StartsWithParen(head), head)) return false;
  for (size_t i = 1; i < ref.items.size(); ++i) {
    const Term& step = *ref.items[i];
    if (step.is_string()) {
      const bool keyword = std::find(std::begin(kKeywords), std::end(kKeywords), step.text) != std::end(kKeywords);
      if (!IsName(step.text) || (keyword && TextOf(step.at).starts_with('"')))
        w_.Write("[" + TermText(step) + "]");
      else
        w_.Write("." + step.text);
    } else if (step.is_var()) {
      w_.Write("[" + TermText(step) + "]");
    } else {
      w_.Write("[");
      // The bracket may not become part of a comment.
      if (!WriteTerm(step)) w_.Write("\n");
      w_.Write("]");
    }
  }
  return true;
}

bool Formatter::WriteComprehension(const Term& t) {
  const bool array = t.kind == TermKind::kArrayComp;
  const char open = array ? '[' : '{', close = array ? ']' : '}';
  w_.Write(std::string_view(&open, 1));
  const Term* head = t.items[0].get();
  uint32_t row = head->at.row;
  bool good = true;
  if (t.kind == TermKind::kObjectComp) {
    if (row > t.at.row + 1) {
      w_.EndLine();
      w_.StartLine();
    }
    good = WriteTerm(*head);
    w_.Write(": ");
    head = t.items[1].get();
  }
  if (row > t.at.row) {
    w_.EndLine();
    w_.StartLine();
  }
  good = good && WriteTermIn(head->kind == TermKind::kCall && StartsWithParen(*head), *head);
  if (good) {
    w_.Write(" |");
    good = WriteInnerBody(open, close, t.body, row, t.at);
  }
  w_.Write(std::string_view(&close, 1));
  return good;
}

// A body in brackets, on one line when it was; `row`: of what stands before it.
bool Formatter::WriteInnerBody(char open, char close, const Body& body, uint32_t row, const Location& whole) {
  bool lines = body[0]->at.row > row;
  for (size_t i = 1; i < body.size(); ++i) lines = lines || body[i]->at.row > body[i - 1]->at.row;
  bool good = true;
  if (lines) {
    w_.EndLine();
    w_.Up();
    good = WriteBody(body);
  } else {
    w_.Write(" ");
    for (size_t i = 0; i < body.size() && good; ++i) {
      if (i > 0) w_.Write("; ");
      good = WriteExpr(*body[i]);
    }
  }
  if (good) good = w_.Insert(ClosingRow(TextOf(whole), whole.row, open, close));
  if (lines) {
    w_.Down();
    w_.StartLine();
  }
  return good;
}

bool Formatter::WriteItems(std::vector<Item> items, uint32_t first_row, uint32_t closing_row) {
  std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return a.at().row != b.at().row ? a.at().row < b.at().row : a.at().col < b.at().col;
  });
  // What stood on one line stays on one.
  std::vector<std::vector<Item>> lines(1);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0 && items[i].at().row > items[i - 1].at().row) lines.emplace_back();
    lines.back().push_back(items[i]);
  }
  bool comment_at_edge = false;
  if (lines.size() == 1) {
    if (w_.line_end_ != nullptr)
      comment_at_edge = w_.line_end_->at.row >= first_row && w_.line_end_->at.row <= closing_row;
    for (const Comment* c : w_.comments_) {
      if (c->at.row > first_row && c->at.row < closing_row) return false;
      comment_at_edge = comment_at_edge || c->at.row == first_row || c->at.row == closing_row;
    }
  }
  const bool spread = lines.size() > 1 || (!items.empty() && closing_row > first_row && !comment_at_edge);
  if (spread) w_.BeginMultiline();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      w_.Write(",");
      w_.EndLine();
      w_.StartLine();
    }
    if (!WriteItemLine(lines[i])) return false;
  }
  if (spread) {
    w_.Write(",");
    w_.EndLine();
    if (!w_.Insert(closing_row)) return false;
    w_.Down();
    w_.StartLine();
  }
  return true;
}

bool Formatter::WriteItemLine(const std::vector<Item>& line) {
  // A union in brackets keeps them: {(a | b)} is no comprehension.
  auto write = [&](const Term& t) {
    const bool brackets = IsUnion(t) && StartsWithParen(t);
    if (brackets) w_.Write("(");
    const bool good = WriteTerm(t);
    if (brackets) w_.Write(")");
    return good;
  };
  for (size_t i = 0; i < line.size(); ++i) {
    if (i > 0) w_.Write(", ");
    if (line[i].key != nullptr) {
      if (!write(*line[i].key)) return false;
      w_.Write(": ");
    }
    if (!write(*line[i].value)) return false;
  }
  return true;
}

}  // namespace hexr::rego
