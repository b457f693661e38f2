package a

default allow := false

allow if {
	some grant in granted
	input.action == grant.action
	every x in input.list { x < data.limit }
}

granted contains g if {
	some role in data.roles[input.user]
	some g in data.grants[role]
}

paths[input.a].b contains x if some x in input.list
f(x) := y if { y := sprintf("%v", [x]) } else := "no"
n := f(input.n) with input.n as data.limit
total := sum([x | some x in input.list]) + count({k | data.grants[k]})
---
{"action": "read", "user": "bob", "list": [1, 2.5, 3], "a": "k", "n": {"x": []}}
---
{"limit": 4, "roles": {"bob": ["r"]}, "grants": {"r": [{"action": "read"}, 7]}}
