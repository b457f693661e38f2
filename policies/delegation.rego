# On behalf of people.
#
# A role that works for people does nothing without one, and takes the word of known issuers alone.
package hexr.authz

deny contains {"code": "delegation", "message": reason} if {
	issuers := data.roles[input.role].on_behalf_of.issuers
	not issued_by(issuers)
	reason := sprintf("%s works on behalf of a person, and no issuer it knows has named one", [input.role])
}

issued_by(issuers) if input.on_behalf_of.issuer in issuers
