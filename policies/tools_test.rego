package hexr.authz_test

import data.hexr.authz

read := {
	"role": "researcher",
	"service": "mcp",
	"action": "tools/call",
	"tool": {"server": "files", "name": "read_file", "args": {"path": "/reports/q3"}, "pinned": true},
}

with_tool(change) := object.union(read, {"tool": change})

codes contains d.code if some d in authz.deny

test_granted_tool if {
	authz.allow with input as read
	count(authz.deny) == 0 with input as read
}

test_other_tool_is_not_granted if not authz.allow with input as with_tool({"name": "write_file"})

test_path_outside_is_denied if "tool_argument" in codes with input as with_tool({"args": {"path": "/etc/passwd"}})

test_path_that_climbs_is_denied if {
	"tool_argument" in codes with input as with_tool({"args": {"path": "/reports/../etc/passwd"}})
}

test_missing_argument_is_denied if {
	"tool_argument" in codes with input as json.remove(read, ["tool/args/path"])
}

test_argument_of_another_kind_is_denied if "tool_argument" in codes with input as with_tool({"args": {"path": 7}})

test_changed_definition_is_denied if "tool_changed" in codes with input as with_tool({"pinned": false})

test_proposed_call_is_governed_too if {
	authz.allow with input as object.union(read, {"service": "llm", "action": "tool_call"})
}

mail := {
	"role": "writer",
	"service": "mcp",
	"action": "tools/call",
	"on_behalf_of": {"sub": "bob", "issuer": "https://login.example.org"},
	"tool": {"server": "mail", "name": "send", "args": {"to": "editor@example.org"}},
}

test_value_from_the_list if {
	authz.allow with input as mail
	count(authz.deny) == 0 with input as mail
}

test_value_beside_the_list_is_denied if {
	"tool_argument" in codes with input as object.union(mail, {"tool": {"args": {"to": "all@example.org"}}})
}
