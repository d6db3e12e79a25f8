# Base: default deny, with what a person at a desktop means by "work here".
#
#   what the person granted when starting        allow, as granted
#   anything in the workspace                    allow
#   to see that a thing in the home exists       allow (so that an open can then wait for a person)
#   to read, list or run things in the home      ask the owner, once for the task
#   to change things in the home                 ask the owner, each time
#   anything else                                deny
#
# Keys, credentials and files that run later are the guardrails' matter, which hold beside this policy.
package valetkey

actions := {action | some action in input.request.actions}

for_files := {"read", "write", "append", "create", "delete", "execute", "list", "metadata"}

changing := {"write", "append", "create", "delete"}

is_file if {
	input.resource.scheme == "file"
	count(actions) > 0
	count(actions - for_files) == 0
}

changes if count(actions & changing) > 0

default durability := "streamed"

durability := "before_effect" if changes

granted if is_object(input.request.granted_by_person)

in_workspace if {
	is_file
	input.resource.in_workspace
}

in_home if {
	is_file
	input.resource.in_home
}

# In an emergency an owner takes what lies in the home for at most a quarter of an hour, twice a day, with a ticket. The guardrails hold all the
# same: keys and credentials are not given then either. Another owner closes the review.
break_glass := {
	"policy_id": "valetkey-base",
	"roles": ["owner"],
	"max_per_day": 2,
	"max_minutes": 15,
	"scope": [{
		"resource": sprintf("%s/**", [trim_suffix(input.subject.user.home_resource, "/")]),
		"actions": ["read", "write", "create", "list", "metadata"],
	}],
	"justification": {"min_length": 20, "ticket": "^[A-Z]{2,10}-[0-9]+$"},
	"review_role": "owner",
} if {
	input.subject.user.home_resource
}

decision := {
	"effect": "allow",
	"policy_id": "valetkey-base",
	"reasons": ["the person granted it when starting the session"],
	"ttl_seconds": 3600,
	"constraints": object.get(input.request.granted_by_person, "constraints", {}),
	"except": object.get(input.request.granted_by_person, "except", []),
	"obligations": {"durability": durability, "view": "quiet_if_wanted"},
} if {
	granted
} else := {
	"effect": "allow",
	"policy_id": "valetkey-base",
	"reasons": ["it is in the workspace"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed", "view": "quiet_if_wanted"},
} if {
	in_workspace
} else := {
	"effect": "allow",
	"policy_id": "valetkey-base",
	"reasons": ["names in the home directory can be seen"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	in_home
	actions == {"metadata"}
} else := {
	"effect": "ask",
	"policy_id": "valetkey-base",
	"reasons": ["it is in the home directory, outside of the workspace"],
	"ttl_seconds": 300,
	"approval": {
		"quorum": [{"role": "owner", "count": 1}],
		"justification": false,
		"expires_seconds": 120,
		"lease": {"scope": "task", "max_seconds": 3600},
	},
} if {
	in_home
	not changes
} else := {
	"effect": "ask",
	"policy_id": "valetkey-base",
	"reasons": ["it would change the home directory, outside of the workspace"],
	"ttl_seconds": 300,
	"approval": {
		"quorum": [{"role": "owner", "count": 1}],
		"justification": false,
		"expires_seconds": 120,
		"lease": {"scope": "once", "max_seconds": 300},
	},
} if {
	in_home
} else := {
	"effect": "deny",
	"policy_id": "valetkey-base",
	"reasons": ["it is neither in the workspace nor in the home directory, and the person did not grant it"],
	"requestable": true,
}
