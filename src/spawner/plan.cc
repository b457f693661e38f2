#include "spawner/plan.h"

namespace hexr::spawner {

void ChildPlan::Seal() {
  const auto point = [](std::vector<char*>& to, const std::vector<std::string>& from, size_t skip = 0) {
    for (size_t i = skip; i < from.size(); ++i) to.push_back(const_cast<char*>(from[i].c_str()));
    to.push_back(nullptr);
  };
  static constexpr char kShell[] = "sh";
  argv_pointers.clear();
  env_pointers.clear();
  shell_pointers = {const_cast<char*>(kShell), nullptr};
  point(argv_pointers, argv);
  point(env_pointers, env);
  point(shell_pointers, argv, 1);
}

}  // namespace hexr::spawner
