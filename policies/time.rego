# Working hours.
#
# A role with hours works within them, in its own time zone.
package hexr.authz

deny contains {"code": "hours", "message": reason} if {
	hours := data.roles[input.role].hours
	[hour, _, _] := time.clock([input.timestamp * 1000000000, hours.zone])
	not within(hour, hours)
	reason := sprintf("%s works from %d to %d o'clock", [input.role, hours.from, hours.to])
}

within(hour, hours) if {
	hour >= hours.from
	hour < hours.to
}
