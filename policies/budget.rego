# Budgets.
#
# What a role may use up in a window; the gateway counts, policy says where it ends.
package hexr.authz

deny contains {"code": "budget", "message": reason} if {
	some what, limit in data.roles[input.role].budget
	input.budget[what] >= limit
	reason := sprintf("the %s budget of %s is used up: %v of %v", [what, input.role, input.budget[what], limit])
}

obligations["budget"] := data.roles[input.role].budget
