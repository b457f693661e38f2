// What a call is to policy, and what policy answers. Values that other layers may see; no behaviour.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hexr::policy {

// The input of a decision, field by field as docs/policy/input.md names them. A field that does not apply is left empty
// and is then absent from `input`, never null. Views: they live as long as the call to Decide.
struct Call {
  // Always there.
  std::string_view spiffe_id, tenant, agent, role;
  std::string_view service, action;
  int64_t unix_seconds = 0;

  std::string_view instance;
  std::string_view assurance;             // attested, matched, asserted
  std::vector<std::string_view> lineage;  // root first
  std::vector<std::string_view> shares;

  struct Process {
    bool known = false;  // false: input.process is "unknown"
    int64_t pid = 0;
    std::string_view exe, digest;
    bool registered = false;
  };
  std::optional<Process> process;

  struct OnBehalfOf {
    std::string_view sub, issuer;
    std::string_view claims_json;  // an object
  };
  std::optional<OnBehalfOf> on_behalf_of;

  std::string_view resource, model;

  struct Tool {
    std::string_view server, name;
    std::string_view args_json;  // any JSON value
    std::optional<bool> pinned;
    std::string_view annotations_json;  // an object
  };
  std::optional<Tool> tool;
  std::vector<std::string_view> tools;

  struct Destination {
    std::string_view host;
    int64_t port = 0;
    std::string_view scheme, sni, method, path;
  };
  std::optional<Destination> destination;

  std::string_view peer;
  std::vector<std::string_view> labels;
  std::string_view findings_json;  // an object

  struct Budget {
    int64_t calls = 0, tokens_in = 0, tokens_out = 0;
    double cost_usd = 0;
    int64_t window_s = 0;
  };
  std::optional<Budget> budget;

  struct Session {
    std::string_view id;
    int64_t turn = 0;
  };
  std::optional<Session> session;
};

struct Reason {
  std::string code;  // empty when the rule gave text alone
  std::string message;
};

struct Decision {
  bool allow = false;              // `allow` is true and `deny` is empty
  std::vector<Reason> deny;        // why not: never empty when not allowed
  std::string obligations_json;    // an object; "{}" when there are none
  bool failed = false;             // the policy could not be evaluated: a deny
  bool would_deny = false;         // allowed in audit mode alone: `deny` says why it would not be
  std::vector<std::string> rules;  // that decided: "authz.rego:12"
  std::string revision, digest;    // of the policy that decided
};

}  // namespace hexr::policy
