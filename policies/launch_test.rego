package hexr.authz_test

import data.hexr.authz

launch := {"role": "researcher", "service": "launch", "action": "exec", "resource": "alice"}

sub_agent(parent) := {
	"role": "writer",
	"service": "launch",
	"action": "exec",
	"on_behalf_of": {"sub": "bob", "issuer": "https://login.example.org"},
	"lineage": [
		sprintf("spiffe://example.org/agent/default/crew/%s", [parent]),
		"spiffe://example.org/agent/default/crew/writer",
	],
}

test_person_on_the_list if authz.allow with input as launch

test_person_beside_the_list_is_not_granted if not authz.allow with input as object.union(launch, {"resource": "mallory"})

test_agent_on_the_list if authz.allow with input as sub_agent("researcher")

test_agent_beside_the_list_is_not_granted if not authz.allow with input as sub_agent("intern")

test_agents_do_not_launch_in_a_persons_name if {
	not authz.allow with input as object.union(sub_agent("intern"), {"role": "researcher", "resource": "alice"})
}
