package hexr.authz_test

import data.hexr.authz

chat := {"role": "researcher", "service": "llm", "action": "chat", "model": "claude-sonnet"}

browse := {
	"role": "researcher",
	"service": "egress",
	"action": "GET",
	"destination": {"host": "www.example.org", "port": 443},
}

test_granted_model if authz.allow with input as chat

test_other_model_is_not_granted if not authz.allow with input as object.union(chat, {"model": "o1"})

test_other_action_is_not_granted if not authz.allow with input as object.union(chat, {"action": "embed"})

test_unknown_role_is_not_granted if not authz.allow with input as object.union(chat, {"role": "stranger"})

test_granted_host if authz.allow with input as browse

test_other_host_is_not_granted if {
	not authz.allow with input as object.union(browse, {"destination": {"host": "example.org.evil.net"}})
}

test_nothing_is_not_granted if not authz.allow with input as {}

test_credentials_are_short_lived if authz.obligations.max_ttl == "15m" with input as chat
