# Grants by role and service.
#
# A call is allowed when its role has a grant for the service, the action, and what is acted upon.
package hexr.authz

default allow := false

allow if {
	some grant in data.roles[input.role].services
	grant.service == input.service
	input.action in grant.actions
	model_fits(grant)
	host_fits(grant)
}

# Credentials live no longer than the role says.
obligations["max_ttl"] := data.roles[input.role].max_ttl

# A grant that names no models is not about models.
model_fits(grant) if not grant.models

model_fits(grant) if {
	some pattern in grant.models
	glob.match(pattern, [], input.model)
}

host_fits(grant) if not grant.hosts

host_fits(grant) if {
	some pattern in grant.hosts
	glob.match(pattern, ["."], input.destination.host)
}
