# Labels.
#
# What an agent has read marks it for its whole life. One that has read untrusted text and something secret or personal
# sends nothing out any more, whatever its model was talked into.
package hexr.authz

deny contains {"code": "exfiltration", "message": "an agent that has read untrusted text and secrets sends nothing out"} if {
	"untrusted" in input.labels
	some label in input.labels
	label in {"secret", "pii"}
	is_sink
}

is_sink if input.service in data.sinks.services

is_sink if {
	is_tool_call
	some word in data.sinks.tools
	contains(lower(input.tool.name), word)
}
