# Lockdown: for an agent that nobody knows yet, and for days on which something is wrong.
#
#   what the person granted when starting, to look at     allow, recorded before each read
#   what the person granted when starting, to change      ask the owner each time, with a reason
#   anything else                                         deny, the workspace too
package valetkey

actions := {action | some action in input.request.actions}

looking := {"read", "list", "metadata"}

granted if is_object(input.request.granted_by_person)

decision := {
	"effect": "allow",
	"policy_id": "valetkey-lockdown",
	"reasons": ["the person granted it when starting the session"],
	"ttl_seconds": 300,
	"constraints": object.get(input.request.granted_by_person, "constraints", {}),
	"except": object.get(input.request.granted_by_person, "except", []),
	"obligations": {"durability": "before_effect"},
} if {
	granted
	count(actions) > 0
	count(actions - looking) == 0
} else := {
	"effect": "ask",
	"policy_id": "valetkey-lockdown",
	"reasons": ["in lockdown each change is asked for, although the person granted it when starting the session"],
	"ttl_seconds": 60,
	"constraints": object.get(input.request.granted_by_person, "constraints", {}),
	"except": object.get(input.request.granted_by_person, "except", []),
	"approval": {
		"quorum": [{"role": "owner", "count": 1}],
		"justification": {"min_length": 10},
		"expires_seconds": 120,
		"lease": {"scope": "once", "max_seconds": 60},
	},
	"obligations": {"durability": "before_effect"},
} if {
	granted
	count(actions - looking) > 0
} else := {
	"effect": "deny",
	"policy_id": "valetkey-lockdown",
	"reasons": ["in lockdown nothing is given but what the person granted when starting the session"],
}
