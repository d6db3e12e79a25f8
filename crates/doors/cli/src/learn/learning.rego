# Learning: a program that nobody knows yet does what it does, in a cell that is otherwise closed, and the log tells what that was.
#
#   what the person granted, the workspace     allow
#   look at files and run them                 allow
#   change things in the home                  allow, and kept for undo
#   connect                                    deny; what was wanted stands in the log
#   anything else                              deny
#
# The guardrails hold: keys and credentials are not given, and what runs later is not changed.
package valetkey

actions := {action | some action in input.request.actions}

looking := {"read", "list", "metadata", "execute"}

changing := {"write", "append", "create", "delete"}

is_file if input.resource.scheme == "file"

given if is_object(input.request.granted_by_person)

given if {
	is_file
	input.resource.in_workspace
}

given if {
	is_file
	count(actions) > 0
	count(actions - looking) == 0
}

given if {
	is_file
	input.resource.in_home
	count((actions - looking) - changing) == 0
}

decision := {
	"effect": "allow",
	"policy_id": "valetkey-learning",
	"reasons": ["it is recorded, to be learned from"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	given
} else := {
	"effect": "deny",
	"policy_id": "valetkey-learning",
	"reasons": ["it is recorded, and not done while a profile is learned"],
}
