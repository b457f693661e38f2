#include "guard/engine.h"

#include <re2/re2.h>

namespace hexr::guard {
namespace {

// A plain word as an expression that matches it whole, whatever its letters' case.
std::string WordsPattern(std::string_view words) {
  std::string out = "(?i)(?:";
  while (true) {
    const size_t bar = std::min(words.find('|'), words.size());
    out += R"((?:\b|^))" + re2::RE2::QuoteMeta({words.data(), bar}) + R"((?:\b|$))";
    if (bar == words.size()) break;
    out.push_back('|');
    words.remove_prefix(bar + 1);
  }
  return out + ")";
}

}  // namespace

Result<std::shared_ptr<const Engine>> Engine::Create(EngineOptions options) {
  std::shared_ptr<Engine> e(new Engine);
  std::vector<Rule> rules = ShippedRules();
  for (const CustomRule& c : options.custom) {
    Rule r;
    r.scanner = Scanner::kCustom;
    r.type = c.name;
    r.trigger = c.words ? WordsPattern(c.pattern) : c.pattern;
    r.confirm = r.trigger;
    r.look_back = 512;
    r.score = c.score;
    const re2::RE2 probe(r.confirm, re2::RE2::Quiet);
    if (!probe.ok()) return InvalidArgument("custom rule '" + c.name + "': " + probe.error());
    if (re2::RE2::FullMatch("", probe)) return InvalidArgument("custom rule '" + c.name + "' matches nothing at all");
    rules.push_back(std::move(r));
  }
  ASSIGN_OR_RETURN(e->patterns_, PatternDatabase::Create(std::move(rules), options.cache_dir));
  ASSIGN_OR_RETURN(e->pii_, PiiRecogniser::Create());
  ASSIGN_OR_RETURN(e->names_, NameRecogniser::Create());
  if (options.models) {
    for (const bool tool : {false, true}) {
      ASSIGN_OR_RETURN(auto model, InjectionModel::Parse(ShippedModelBytes(tool)));
      e->models_.push_back(std::move(model));
    }
  }
  return std::shared_ptr<const Engine>(std::move(e));
}

const InjectionModel* Engine::model(Channel c) const {
  if (models_.empty()) return nullptr;
  return &models_[c == Channel::kTool || c == Channel::kRetrieved ? 1 : 0];
}

}  // namespace hexr::guard
