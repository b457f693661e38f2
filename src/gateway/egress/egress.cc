#include "gateway/egress/egress.h"

#include "gateway/egress/names.h"

namespace hexr::gateway {

Step RouteEgress() {
  return [](const std::shared_ptr<Call>& call, StepDone done) {
    call->service = call->door == Door::kDns ? Service::kDns : Service::kEgress;
    if (const IpAddress* address = call->destination.host.address()) {
      if (Classify(*address) == AddressClass::kMetadata) {
        return done(PermissionDenied(
            address->ToString() +
            " is a cloud metadata address. It would hand out the node's own credentials; agents do not reach it"));
      }
      if (SyntheticNames::IsSynthetic(*address)) {
        return done(PermissionDenied("no name of this agent has the address " + address->ToString() +
                                     "; ask DNS for the name again"));
      }
    }
    done(Ok());
  };
}

void AllowListDecider::Decide(std::shared_ptr<const Call> call, Done done) {
  const HostPort& to = call->destination;
  const bool dns = call->service == Service::kDns;
  if (const AllowRule* rule = dns ? rules_.FindHost(to.host) : rules_.Find(to)) return done(Allow(rule->text()));
  const std::string wanted = dns ? to.host.ToString() : to.ToString();
  done(Deny("default_deny", "no rule of egress.allow names " + wanted + "; ask the operator for a rule" +
                                (dns ? std::string() : " such as \"" + wanted + "\"") + " if this agent needs it"));
}

}  // namespace hexr::gateway
