# Who starts whom.
#
# `service: launch` asks whether a role may be started: by a person, who stands in `resource`, or by an agent, whose
# identity is the last of `lineage`.
package hexr.authz

allow if {
	input.service == "launch"
	count(object.get(input, "lineage", [])) < 2
	input.resource in data.roles[input.role].launch.by
}

allow if {
	input.service == "launch"
	parent_role in data.roles[input.role].launch.from
}

# …/agent/{tenant}/{agent}/{role} of who asks: the one before the new instance.
parent_role := role if {
	count(input.lineage) > 1
	parts := split(input.lineage[count(input.lineage) - 2], "/")
	role := parts[count(parts) - 1]
}
