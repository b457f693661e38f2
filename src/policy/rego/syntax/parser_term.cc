#include "policy/rego/syntax/parser_impl.h"

namespace hexr::rego {
namespace {

struct Operator {
  Tok token;
  int level;
  std::string_view name;
};
// Loosest first: relations, |, &, + -, * / %. (`in` and := are outside this table.)
constexpr Operator kOperators[] = {{Tok::kEqual, 2, "equal"}, {Tok::kNeq, 2, "neq"}, {Tok::kLt, 2, "lt"},
                                   {Tok::kGt, 2, "gt"},       {Tok::kLte, 2, "lte"}, {Tok::kGte, 2, "gte"},
                                   {Tok::kOr, 3, "or"},       {Tok::kAnd, 4, "and"}, {Tok::kAdd, 5, "plus"},
                                   {Tok::kSub, 5, "minus"},   {Tok::kMul, 6, "mul"}, {Tok::kQuo, 6, "div"},
                                   {Tok::kRem, 6, "rem"}};
constexpr int kRelation = 2;
constexpr int kTightest = 7;

TermPtr BinaryCall(TermPtr op, TermPtr a, TermPtr b) {
  auto t = std::make_unique<Term>(TermKind::kCall, a->at);
  t->items.push_back(std::move(op));
  t->items.push_back(std::move(a));
  t->items.push_back(std::move(b));
  t->at.end = t->items.back()->at.end;
  return t;
}

bool IsRoot(const std::string& name) { return name == "data" || name == "input"; }

}  // namespace

// Up to `end`, which is left current.
bool Parser::ParseBody(Tok end, Body& out) {
  Depth depth(*this);
  if (!depth.ok()) return false;
  if (Is(end)) {
    Fail(Cur().at, end == Tok::kEof ? "empty query" : "found empty body");
    return false;
  }
  while (true) {
    while (Is(Tok::kSemicolon)) Next();
    ExprPtr e = ParseLiteral();
    if (!e) return false;
    out.push_back(std::move(e));
    if (Is(Tok::kSemicolon)) {
      while (Is(Tok::kSemicolon)) Next();
      if (Is(end)) return true;
      continue;
    }
    if (Is(end)) return true;
    if (!Cur().newline_before) {
      Illegal("expected \\n or ; or " + std::string(TokenName(end)));
      return false;
    }
  }
}

ExprPtr Parser::ParseLiteral() {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  Location at = Cur().at;
  bool negated = false;
  if (IsKeyword("not")) {
    negated = true;
    Next();
    if (not_bodies_ && Is(Tok::kLBrace)) {
      // `not { … }` is a negated body unless the braces turn out to hold a set or an object.
      Mark mark = Save();
      auto e = std::make_unique<Expr>(ExprKind::kNot, at);
      Next();
      if (ParseBody(Tok::kRBrace, e->body)) {
        Next();
        if (!ParseWith(*e)) return nullptr;
        e->at.end = LastEnd();
        return e;
      }
      Restore(mark);
    }
  }
  ExprPtr e;
  if (IsKeyword("some") || IsKeyword("every")) {
    if (negated) {
      Illegal("illegal negation of '" + Cur().text + "'");
      return nullptr;
    }
    e = IsKeyword("some") ? ParseSome() : ParseEvery();
  } else {
    e = ParseExpr();
    if (e && !ParseWith(*e)) return nullptr;
  }
  if (!e) return nullptr;
  at.end = LastEnd();
  e->at = at;
  if (negated && not_bodies_) {
    auto outer = std::make_unique<Expr>(ExprKind::kNot, at);
    outer->with = std::move(e->with);
    e->with.clear();
    outer->body.push_back(std::move(e));
    return outer;
  }
  e->negated = negated;
  return e;
}

bool Parser::ParseWith(Expr& e) {
  while (IsKeyword("with")) {
    With w;
    w.at = Cur().at;
    Next();
    w.target = ParseTerm();
    if (!w.target) return false;
    if (w.target->is_var()) {
      auto ref = std::make_unique<Term>(TermKind::kRef, w.target->at);
      ref->items.push_back(std::move(w.target));
      w.target = std::move(ref);
    }
    if (!w.target->is_ref()) {
      Fail(w.at, "with target must be a ref");
      return false;
    }
    if (!IsKeyword("as")) {
      Illegal("expected as keyword");
      return false;
    }
    Next();
    w.value = ParseInfix(true);
    if (!w.value) return false;
    w.at.end = LastEnd();
    e.with.push_back(std::move(w));
  }
  return true;
}

ExprPtr Parser::ParseSome() {
  auto e = std::make_unique<Expr>(ExprKind::kSome, Cur().at);
  Next();
  Mark mark = Save();
  if (TermPtr t = ParseInfix(true); t && t->kind == TermKind::kCall) {
    std::string op = RefText(*t->items[0]);
    if (op != "internal.member_2" && op != "internal.member_3") {
      Illegal("expected `x in xs` or `x, y in xs` expression");
      return nullptr;
    }
    e->terms.push_back(std::move(t));
    return ParseWith(*e) ? std::move(e) : nullptr;
  }
  Restore(mark);
  while (true) {
    if (!Is(Tok::kIdent) || (IsAnyKeyword(Cur()) && Cur().text != "contains")) {
      Illegal("expected var");
      return nullptr;
    }
    e->terms.push_back(ParseVar());
    if (!Is(Tok::kComma)) return e;
    Next();
  }
}

ExprPtr Parser::ParseEvery() {
  auto e = std::make_unique<Expr>(ExprKind::kEvery, Cur().at);
  Next();
  TermPtr t = ParseInfix(true);
  if (!t) return nullptr;
  std::string op = t->kind == TermKind::kCall ? RefText(*t->items[0]) : "";
  if (op != "internal.member_2" && op != "internal.member_3") {
    Illegal("expected `x[, y] in xs { ... }` expression");
    return nullptr;
  }
  if (t->items.size() == 4)
    e->terms.push_back(std::move(t->items[1]));
  else
    e->terms.push_back(nullptr);
  e->terms.push_back(std::move(t->items[t->items.size() - 2]));
  e->terms.push_back(std::move(t->items.back()));
  if (e->terms[0] && !e->terms[0]->is_var()) {
    Illegal("expected key to be a variable");
    return nullptr;
  }
  if (!e->terms[1]->is_var()) {
    Illegal("expected value to be a variable");
    return nullptr;
  }
  if (!Is(Tok::kLBrace)) {
    Illegal("missing body");
    return nullptr;
  }
  Next();
  if (!ParseBody(Tok::kRBrace, e->body)) return nullptr;
  Next();
  return ParseWith(*e) ? std::move(e) : nullptr;
}

ExprPtr Parser::ParseExpr() {
  Location at = Cur().at;
  TermPtr lhs = ParseInfix(true);
  if (!lhs) return nullptr;
  if (Is(Tok::kAssign) || Is(Tok::kUnify)) {
    std::string name = Is(Tok::kAssign) ? "assign" : "eq";
    Next();
    TermPtr rhs = ParseInfix(true);
    if (!rhs) return nullptr;
    std::vector<TermPtr> operands;
    operands.push_back(std::move(lhs));
    operands.push_back(std::move(rhs));
    return MakeCall(name, std::move(operands), at);
  }
  auto e = std::make_unique<Expr>(lhs->kind == TermKind::kCall ? ExprKind::kCall : ExprKind::kTerm, at);
  if (lhs->kind == TermKind::kCall) {
    e->terms = std::move(lhs->items);
  } else {
    e->terms.push_back(std::move(lhs));
  }
  return e;
}

TermPtr Parser::ParseIn(TermPtr lhs, bool key_value) {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  lhs = ParseBinary(std::move(lhs), kRelation);
  if (!lhs) return nullptr;
  if (key_value && Is(Tok::kComma)) {
    Mark mark = Save();
    Next();
    TermPtr mid = ParseBinary(nullptr, kRelation);
    if (mid && IsKeyword("in")) {
      Location at = Cur().at;
      Next();
      TermPtr rhs = ParseBinary(nullptr, kRelation);
      if (!rhs) return nullptr;
      TermPtr call = BinaryCall(OperatorRef("internal.member_3", at), std::move(lhs), std::move(mid));
      call->items.push_back(std::move(rhs));
      call->at.end = LastEnd();
      return IsKeyword("in") ? ParseIn(std::move(call), key_value) : std::move(call);
    }
    if (over_budget_) return nullptr;
    Restore(mark);
  }
  while (IsKeyword("in")) {
    Location at = Cur().at;
    Next();
    TermPtr rhs = ParseBinary(nullptr, kRelation);
    if (!rhs) return nullptr;
    lhs = BinaryCall(OperatorRef("internal.member_2", at), std::move(lhs), std::move(rhs));
    lhs->at.end = LastEnd();
  }
  return lhs;
}

// Operators of `min_level` and tighter, left-associative. `lhs` may be a term parsed already.
TermPtr Parser::ParseBinary(TermPtr lhs, int min_level) {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  if (!lhs) lhs = ParseTerm();
  while (lhs) {
    const Operator* op = nullptr;
    for (const Operator& o : kOperators) {
      if (o.token == Cur().type && o.level >= min_level) op = &o;
    }
    if (op == nullptr || op->level >= kTightest) return lhs;
    Location at = Cur().at;
    Next();
    TermPtr rhs = ParseBinary(nullptr, op->level + 1);
    if (!rhs) return nullptr;
    lhs = BinaryCall(OperatorRef(std::string(op->name), at), std::move(lhs), std::move(rhs));
    lhs->at.end = LastEnd();
  }
  return lhs;
}

TermPtr Parser::ParseVar() {
  const Token& t = Cur();
  TermPtr v = MakeVar(t.text == "_" ? Wildcard() : t.text, t.at);
  Next();
  return v;
}

TermPtr Parser::ParseTerm() {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  const Token& t = Cur();
  Location at = t.at;
  TermPtr term;
  switch (t.type) {
    case Tok::kNumber: term = std::make_unique<Term>(TermKind::kNumber, at, t.text); break;
    case Tok::kString: term = MakeString(t.text, at); break;
    case Tok::kSub: {
      const Token& n = Peek();
      if (n.type == Tok::kNumber && !n.space_before) {
        Next();
        term = std::make_unique<Term>(TermKind::kNumber, at, "-" + n.text);
        term->at.end = n.end;
        break;
      }
      if (n.type == Tok::kIdent) {
        Next();
        TermPtr operand = ParseTerm();
        if (!operand) return nullptr;
        operand = BinaryCall(OperatorRef("minus", at), std::make_unique<Term>(TermKind::kNumber, at, "0"),
                             std::move(operand));
        operand->at.end = LastEnd();
        return operand;
      }
      Next();
      Illegal("expected number");
      return nullptr;
    }
    case Tok::kTemplateStart: return ParseTemplate();
    case Tok::kLBrack:
      term = ParseArray();
      if (!term) return nullptr;
      term->at.end = Cur().end;
      break;
    case Tok::kLBrace:
      term = ParseSetOrObject();
      if (!term) return nullptr;
      term->at.end = Cur().end;
      break;
    case Tok::kLParen: {
      Next();
      term = ParseInfix(true);
      if (!term) return nullptr;
      if (!Is(Tok::kRParen)) {
        Fail(Cur().at, "non-terminated expression");
        return nullptr;
      }
      // The parentheses belong to the text, and to nothing else.
      term->at.begin = at.begin;
      term->at.end = Cur().end;
      break;
    }
    case Tok::kIdent: {
      bool keyword = IsAnyKeyword(t) && t.text != "contains";
      if (!keyword || StartsRef()) {
        return ParseRef(MakeVar(t.text == "_" ? Wildcard() : t.text, at), false);
      }
      if (t.text == "null") {
        term = std::make_unique<Term>(TermKind::kNull, at);
      } else if (t.text == "true" || t.text == "false") {
        term = MakeBool(t.text == "true", at);
      } else {
        Illegal();
        return nullptr;
      }
      break;
    }
    default: Illegal(); return nullptr;
  }
  // The current token is the last of the term: a ref goes on only without white space.
  const Token& n = Peek();
  if (!n.space_before && (n.type == Tok::kDot || n.type == Tok::kLBrack || n.type == Tok::kLParen)) {
    if (term->is_scalar()) {
      Fail(at,
           "illegal ref (head cannot be " + std::string(term->kind == TermKind::kString ? "string" : "scalar") + ")");
      return nullptr;
    }
    return ParseRef(std::move(term), false);
  }
  Next();
  return term;
}

// `head`'s last token is current. Path steps follow directly; in rule heads (`space_ok`) one space is let through.
TermPtr Parser::ParseRef(TermPtr head, bool space_ok) {
  Depth depth(*this);
  if (!depth.ok()) return nullptr;
  Location at = head->at;
  Next();
  auto follows = [&] {
    return (!Cur().space_before || (space_ok && !Cur().newline_before)) &&
           (Is(Tok::kDot) || Is(Tok::kLBrack) || Is(Tok::kLParen));
  };
  auto ref = std::make_unique<Term>(TermKind::kRef, at);
  bool root = head->is_var() && IsRoot(head->text);
  if (!follows() && !root) return head;
  ref->at.end = LastEnd();
  ref->items.push_back(std::move(head));
  while (follows()) {
    if (Is(Tok::kLParen)) {
      if (ref->items.size() == 1 && ref->items[0]->is_var() && ref->items[0]->text == "set" &&
          Peek().type == Tok::kRParen) {
        Next();
        Next();
        at.end = LastEnd();
        return std::make_unique<Term>(TermKind::kSet, at);
      }
      TermPtr call = ParseCallArgs(std::move(ref));
      if (!call) return nullptr;
      call->at.end = Cur().end;
      // The closing parenthesis is current: a ref may go on after it.
      const Token& n = Peek();
      if (!n.space_before && (n.type == Tok::kDot || n.type == Tok::kLBrack)) return ParseRef(std::move(call), false);
      Next();
      return call;
    }
    space_ok = false;
    if (Is(Tok::kDot)) {
      Next();
      if (!Is(Tok::kIdent)) {
        Illegal("expected identifier");
        return nullptr;
      }
      ref->items.push_back(MakeString(Cur().text, Cur().at));
      Next();
      ref->at.end = LastEnd();
    } else {
      Next();
      TermPtr part = ParseInfix(true);
      if (!part) return nullptr;
      if (!Is(Tok::kRBrack)) {
        Illegal("expected ]");
        return nullptr;
      }
      ref->items.push_back(std::move(part));
      Next();
      ref->at.end = LastEnd();
    }
  }
  return ref;
}

// At the opening parenthesis; leaves the closing one current.
TermPtr Parser::ParseCallArgs(TermPtr op) {
  auto call = std::make_unique<Term>(TermKind::kCall, op->at);
  call->items.push_back(std::move(op));
  Next();
  if (Is(Tok::kRParen)) return call;
  if (!ParseTermList(Tok::kRParen, call->items)) return nullptr;
  return call;
}

// Terms separated by commas, one trailing comma allowed; `end` is left current.
bool Parser::ParseTermList(Tok end, std::vector<TermPtr>& out) {
  while (true) {
    if (Is(end)) return true;
    TermPtr t = ParseInfix(false);
    if (!t) return false;
    out.push_back(std::move(t));
    if (Is(end)) return true;
    if (!Is(Tok::kComma)) {
      Illegal("expected \",\" or \"" + std::string(TokenName(end)) + "\"");
      return false;
    }
    Next();
  }
}

// At the |. True with the end token current; false with nothing consumed when this is no comprehension.
bool Parser::ParseComprehensionBody(Tok end, Body& out) {
  Mark mark = Save();
  Next();
  if (ParseBody(end, out)) return true;
  if (over_budget_) return false;
  // A comma right after what parsed as one expression: the | was an operator in a list.
  if (!Is(Tok::kComma)) return false;
  Restore(mark);
  out.clear();
  return false;
}

// Leaves the closing bracket current.
TermPtr Parser::ParseArray() {
  Location at = Cur().at;
  Next();
  auto array = std::make_unique<Term>(TermKind::kArray, at);
  if (Is(Tok::kRBrack)) return array;
  bool leading_comma = Is(Tok::kComma);
  if (leading_comma) Next();
  TermPtr head = ParseTerm();
  if (!head) return nullptr;
  if (Is(Tok::kOr) && !leading_comma) {
    auto comp = std::make_unique<Term>(TermKind::kArrayComp, at);
    if (ParseComprehensionBody(Tok::kRBrack, comp->body)) {
      comp->items.push_back(std::move(head));
      return comp;
    }
    if (!Is(Tok::kOr)) return nullptr;
  }
  head = ParseIn(std::move(head), false);
  if (!head) return nullptr;
  array->items.push_back(std::move(head));
  if (Is(Tok::kComma)) {
    Next();
    if (!ParseTermList(Tok::kRBrack, array->items)) return nullptr;
  }
  if (!Is(Tok::kRBrack)) {
    Illegal("expected \",\" or \"]\"");
    return nullptr;
  }
  return array;
}

TermPtr Parser::ParseSetOrObject() {
  Location at = Cur().at;
  Next();
  if (Is(Tok::kRBrace)) return std::make_unique<Term>(TermKind::kObject, at);
  bool leading_comma = Is(Tok::kComma);
  if (leading_comma) Next();
  TermPtr head = ParseTerm();
  if (!head) return nullptr;
  if (Is(Tok::kOr) && !leading_comma) {
    auto comp = std::make_unique<Term>(TermKind::kSetComp, at);
    if (ParseComprehensionBody(Tok::kRBrace, comp->body)) {
      comp->items.push_back(std::move(head));
      return comp;
    }
    if (!Is(Tok::kOr)) return nullptr;
  }
  if (Is(Tok::kColon)) return ParseObjectRest(std::move(head), !leading_comma, at);
  head = ParseIn(std::move(head), false);
  if (!head) return nullptr;
  if (Is(Tok::kColon)) return ParseObjectRest(std::move(head), !leading_comma, at);
  return ParseSetRest(std::move(head), at);
}

TermPtr Parser::ParseSetRest(TermPtr head, Location at) {
  auto set = std::make_unique<Term>(TermKind::kSet, at);
  set->items.push_back(std::move(head));
  if (Is(Tok::kComma)) {
    Next();
    if (!ParseTermList(Tok::kRBrace, set->items)) return nullptr;
  }
  if (!Is(Tok::kRBrace)) {
    Illegal("non-terminated set");
    return nullptr;
  }
  return set;
}

// At the colon after the first key.
TermPtr Parser::ParseObjectRest(TermPtr key, bool may_be_comprehension, Location at) {
  auto object = std::make_unique<Term>(TermKind::kObject, at);
  Next();
  TermPtr value = ParseTerm();
  if (!value) return nullptr;
  if (Is(Tok::kOr) && may_be_comprehension) {
    auto comp = std::make_unique<Term>(TermKind::kObjectComp, at);
    if (ParseComprehensionBody(Tok::kRBrace, comp->body)) {
      comp->items.push_back(std::move(key));
      comp->items.push_back(std::move(value));
      return comp;
    }
    if (!Is(Tok::kOr)) return nullptr;
  }
  value = ParseIn(std::move(value), false);
  while (value) {
    object->items.push_back(std::move(key));
    object->items.push_back(std::move(value));
    if (Is(Tok::kComma)) {
      Next();
      if (Is(Tok::kRBrace)) return object;
    } else if (Is(Tok::kRBrace)) {
      return object;
    } else {
      Illegal("non-terminated object");
      return nullptr;
    }
    key = ParseInfix(false);
    if (!key) return nullptr;
    if (!Is(Tok::kColon)) {
      Illegal("expected :");
      return nullptr;
    }
    Next();
    value = ParseInfix(false);
  }
  return nullptr;
}

TermPtr Parser::ParseTemplate() {
  auto t = std::make_unique<Term>(TermKind::kTemplate, Cur().at);
  Next();
  while (true) {
    if (!Is(Tok::kTemplateText)) {
      Illegal();
      return nullptr;
    }
    if (!Cur().text.empty()) t->items.push_back(MakeString(Cur().text, Cur().at));
    Next();
    if (Is(Tok::kTemplateEnd)) {
      Next();
      t->at.end = LastEnd();
      return t;
    }
    if (!Is(Tok::kLBrace)) {
      Illegal();
      return nullptr;
    }
    Next();
    Location at = Cur().at;
    ExprPtr e = ParseLiteral();
    if (!e) {
      Fail(at, "invalid template-string expression");
      return nullptr;
    }
    std::string_view wrong = e->negated || e->kind == ExprKind::kNot ? "negation ('not')"
                             : e->IsCallOf("eq")                     ? "unification ('=')"
                             : e->IsCallOf("assign")                 ? "assignment (':=')"
                             : e->kind == ExprKind::kEvery           ? "'every'"
                             : e->kind == ExprKind::kSome            ? "'some'"
                                                                     : "";
    if (!wrong.empty()) {
      Fail(at, "unexpected " + std::string(wrong) + " in template-string expression");
      return nullptr;
    }
    if (!Is(Tok::kRBrace)) {
      Fail(Cur().at, "expected } to end template string expression");
      return nullptr;
    }
    Next();
    if (e->kind == ExprKind::kTerm && e->terms[0]->is_scalar() && e->with.empty()) {
      t->items.push_back(std::move(e->terms[0]));
      continue;
    }
    auto part = std::make_unique<Term>(TermKind::kTemplateExpr, e->at);
    part->body.push_back(std::move(e));
    t->items.push_back(std::move(part));
  }
}

}  // namespace hexr::rego
