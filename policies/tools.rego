# Tools and their arguments.
#
# A tool call, made or proposed by a model, is allowed when the role has the tool. Arguments that the grant names must
# fit it; a tool whose definition has changed since it was pinned is denied.
package hexr.authz

allow if {
	is_tool_call
	some grant in data.roles[input.role].tools
	tool_fits(grant)
}

deny contains {"code": "tool_argument", "message": reason} if {
	is_tool_call
	some grant in data.roles[input.role].tools
	tool_fits(grant)
	some name, rule in grant.arguments
	value := object.get(input.tool, ["args", name], null)
	not argument_fits(rule, value)
	reason := sprintf("argument '%s' of %s/%s is not one that the role may give", [name, input.tool.server, input.tool.name])
}

deny contains {"code": "tool_changed", "message": "the tool's definition is not the pinned one"} if {
	is_tool_call
	input.tool.pinned == false
}

is_tool_call if input.action in {"tools/call", "tool_call"}

tool_fits(grant) if {
	grant.server == input.tool.server
	glob.match(grant.name, [], input.tool.name)
}

argument_fits(rule, value) if value in rule.one_of

argument_fits(rule, value) if {
	startswith(value, rule.prefix)
	not contains(value, "..")
}
