#include "policy/rest/evaluator.h"

#include "policy/rego/value/json.h"

namespace hexr::policy {

using rego::Value;

DocumentEvaluator::DocumentEvaluator(const PolicyStore& store, const Clock& clock, Random& random)
    : store_(store), services_(clock, random) {
  Refresh();
}

void DocumentEvaluator::Refresh() {
  const uint64_t epoch = store_.epoch();
  if (epoch == epoch_) return;
  epoch_ = epoch;
  auto set = store_.current();
  if (!set) return;
  if (machine_)
    machine_->Rebind(set->policy().program());
  else
    machine_ = std::make_unique<rego::Machine>(set->policy().program(), services_);
  set_ = std::move(set);
}

Result<DocumentEvaluator::Answer> DocumentEvaluator::Ask(const std::vector<std::string>& path,
                                                         std::string_view input_json) {
  Refresh();
  if (!set_) return FailedPrecondition("no policy is in force");
  Answer answer;
  answer.revision = set_->revision();
  Value input;
  rego::Arena& arena = machine_->Prepare();
  if (!input_json.empty()) {
    ASSIGN_OR_RETURN(input, rego::ParseJson(arena, input_json));
  }
  machine_->Begin(input, set_->data());
  // Down the tree of rules as far as it goes; below a rule, and where no rule is, by the steps that are left.
  const rego::Program& program = set_->policy().program();
  int place = 0;
  size_t used = 0;
  while (used < path.size() && program.tree[static_cast<size_t>(place)].function < 0) {
    const int child = program.tree[static_cast<size_t>(place)].Child(Value::String(arena, path[used]));
    if (child < 0) break;
    place = child;
    ++used;
  }
  const rego::TreePlace& at = program.tree[static_cast<size_t>(place)];
  Value v = set_->data();
  if (used == path.size() || at.function >= 0) {
    if (at.takes_arguments) return answer;
    const auto outcome = machine_->RunDocument(place, v);
    if (outcome == rego::Machine::Outcome::kError) {
      answer.error_code = machine_->error().code;
      answer.error = machine_->error().ToString();
      return answer;
    }
    if (outcome == rego::Machine::Outcome::kUndefined) return answer;
  } else {
    used = 0;
  }
  for (; used < path.size() && v.defined(); ++used) {
    const std::string& step = path[used];
    const bool index = !step.empty() && step.size() < 10 && step.find_first_not_of("0123456789") == std::string::npos;
    v = rego::Lookup(v, v.is_array() && index ? Value::Int(std::stoll(step)) : Value::String(arena, step));
  }
  answer.value = v;
  return answer;
}

}  // namespace hexr::policy
