#include "policy/rego/syntax/ast_json.h"

#include <algorithm>

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

class Writer {
 public:
  explicit Writer(Arena& arena) : arena_(arena) {}

  Value Module(const rego::Module& m) {
    ObjectBuilder out(arena_, 4);
    ObjectBuilder package(arena_, 1);
    package.Add("path", Terms(m.package->items, 0));
    out.Add("package", package.Finish());
    if (!m.imports.empty()) {
      ArrayBuilder imports(arena_, m.imports.size());
      for (const Import& i : m.imports) {
        ObjectBuilder one(arena_, 2);
        one.Add("path", Term(*i.path));
        if (!i.alias.empty()) one.Add("alias", Text(i.alias));
        imports.Add(one.Finish());
      }
      out.Add("imports", imports.Finish());
    }
    if (!m.rules.empty()) {
      ArrayBuilder rules(arena_, m.rules.size());
      for (const auto& r : m.rules) rules.Add(Rule(*r));
      out.Add("rules", rules.Finish());
    }
    if (!m.annotations.empty()) {
      ArrayBuilder list(arena_, m.annotations.size());
      for (const Annotations& a : m.annotations) {
        auto v = ParseJson(arena_, a.json);
        if (v.ok()) list.Add(*v);
      }
      out.Add("annotations", list.Finish());
    }
    if (!m.comments.empty()) {
      ArrayBuilder list(arena_, m.comments.size());
      for (const Comment& c : m.comments) {
        ObjectBuilder location(arena_, 3), one(arena_, 2);
        location.Add("file", Text(m.file));
        location.Add("row", Value::Int(c.at.row));
        location.Add("col", Value::Int(c.at.col));
        one.Add("Location", location.Finish());
        one.Add("Text", Text(c.text));
        list.Add(one.Finish());
      }
      out.Add("comments", list.Finish());
    }
    return out.Finish();
  }

 private:
  Value Text(std::string_view s) { return Value::String(arena_, s); }
  Value Typed(std::string_view type, const Value& value) {
    ObjectBuilder b(arena_, 2);
    b.Add("type", Text(type));
    if (value.defined()) b.Add("value", value);
    return b.Finish();
  }
  Value Terms(const std::vector<TermPtr>& items, size_t from) {
    ArrayBuilder b(arena_, items.size());
    for (size_t i = from; i < items.size(); ++i) b.Add(Term(*items[i]));
    return b.Finish();
  }
  Value Pairs(const std::vector<TermPtr>& items) {
    ArrayBuilder b(arena_, items.size() / 2);
    for (size_t i = 0; i < items.size(); i += 2) {
      Value pair[] = {Term(*items[i]), Term(*items[i + 1])};
      b.Add(MakeArray(arena_, pair));
    }
    return b.Finish();
  }
  Value Comprehension(std::string_view type, const rego::Term& t) {
    ObjectBuilder b(arena_, 3);
    if (t.items.size() == 2) {
      b.Add("key", Term(*t.items[0]));
      b.Add("value", Term(*t.items[1]));
    } else {
      b.Add("term", Term(*t.items[0]));
    }
    b.Add("body", Body(t.body));
    return Typed(type, b.Finish());
  }
  Value Term(const rego::Term& t) {
    switch (t.kind) {
      case TermKind::kNull: return Typed("null", Value());
      case TermKind::kBool: return Typed("boolean", Value::Bool(t.text == "true"));
      case TermKind::kNumber: {
        auto n = ParseNumber(arena_, t.text);
        return Typed("number", n ? *n : Value::Int(0));
      }
      case TermKind::kString: return Typed("string", Text(t.text));
      case TermKind::kVar: return Typed("var", Text(t.text));
      case TermKind::kRef: return Typed("ref", Terms(t.items, 0));
      case TermKind::kArray: return Typed("array", Terms(t.items, 0));
      case TermKind::kSet: return Typed("set", Terms(t.items, 0));
      case TermKind::kObject: return Typed("object", Pairs(t.items));
      case TermKind::kCall: return Typed("call", Terms(t.items, 0));
      case TermKind::kArrayComp: return Comprehension("arraycomprehension", t);
      case TermKind::kSetComp: return Comprehension("setcomprehension", t);
      case TermKind::kObjectComp: return Comprehension("objectcomprehension", t);
      case TermKind::kTemplate: {
        ObjectBuilder b(arena_, 1);
        b.Add("parts", Terms(t.items, 0));
        return Typed("templatestring", b.Finish());
      }
      case TermKind::kTemplateExpr: return Expr(*t.body[0], 0);
    }
    return Value();
  }
  Value Body(const rego::Body& body) {
    ArrayBuilder b(arena_, body.size());
    for (size_t i = 0; i < body.size(); ++i) b.Add(Expr(*body[i], i));
    return b.Finish();
  }
  Value Expr(const rego::Expr& e, size_t index) {
    ObjectBuilder b(arena_, 4);
    b.Add("index", Value::Int(static_cast<int64_t>(index)));
    if (e.negated) b.Add("negated", Value::Bool(true));
    switch (e.kind) {
      case ExprKind::kTerm: b.Add("terms", Term(*e.terms[0])); break;
      case ExprKind::kCall: b.Add("terms", Terms(e.terms, 0)); break;
      case ExprKind::kSome: {
        ObjectBuilder some(arena_, 1);
        some.Add("symbols", Terms(e.terms, 0));
        b.Add("terms", some.Finish());
        break;
      }
      case ExprKind::kEvery: {
        ObjectBuilder every(arena_, 4);
        every.Add("key", e.terms[0] ? Term(*e.terms[0]) : Value::Null());
        every.Add("value", Term(*e.terms[1]));
        every.Add("domain", Term(*e.terms[2]));
        every.Add("body", Body(e.body));
        b.Add("terms", every.Finish());
        break;
      }
      case ExprKind::kNot: {
        ObjectBuilder inner(arena_, 1);
        inner.Add("body", Body(e.body));
        b.Add("terms", inner.Finish());
        break;
      }
    }
    if (!e.with.empty()) {
      ArrayBuilder list(arena_, e.with.size());
      for (const auto& w : e.with) {
        ObjectBuilder one(arena_, 2);
        one.Add("target", Term(*w.target));
        one.Add("value", Term(*w.value));
        list.Add(one.Finish());
      }
      b.Add("with", list.Finish());
    }
    return b.Finish();
  }
  Value Head(const rego::Head& h) {
    ObjectBuilder b(arena_, 6);
    b.Add("name", Text(h.ref->items[0]->text));
    if (!h.args.empty()) b.Add("args", Terms(h.args, 0));
    // p[x] := y has its variable as a key as well.
    bool keyed = !h.key && h.args.empty() && h.ref->items.size() == 2 && !IsGround(*h.ref->items[1]);
    if (h.key || keyed) b.Add("key", Term(h.key ? *h.key : *h.ref->items[1]));
    if (h.value) b.Add("value", Term(*h.value));
    if (h.assign) b.Add("assign", Value::Bool(true));
    b.Add("ref", Terms(h.ref->items, 0));
    return b.Finish();
  }
  Value Rule(const rego::Rule& r) {
    ObjectBuilder b(arena_, 4);
    if (r.is_default) b.Add("default", Value::Bool(true));
    b.Add("head", Head(r.head));
    b.Add("body", Body(r.body));
    if (r.else_rule) b.Add("else", Rule(*r.else_rule));
    return b.Finish();
  }

  Arena& arena_;
};

}  // namespace

Value ModuleJson(Arena& arena, const Module& module) { return Writer(arena).Module(module); }

}  // namespace hexr::rego
