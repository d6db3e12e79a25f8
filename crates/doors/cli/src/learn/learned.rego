# Learned from one run: what data.json lists, and no more. Read that list before you use it.
#
#   what the person granted when starting     allow
#   anything in the workspace                 allow
#   `read`                                    allow, to look at and run
#   `write`                                   allow, to change too
#   `hosts`                                   allow, to connect to
#   anything else                             deny
#
# `~/` stands for the home, and a place that ends in `/` for all below it. Keys, credentials and files that run later are the guardrails' matter.
package valetkey

import data.valetkey.learned

actions := {action | some action in input.request.actions}

looking := {"read", "list", "metadata", "execute"}

changing := {"write", "append", "create", "delete"}

is_file if {
	input.resource.scheme == "file"
	count(actions) > 0
}

place := concat("", [trim_suffix(input.resource.path, "/"), "/"])

at(entry) := concat("", [trim_suffix(input.subject.user.home, "/"), trim_prefix(entry, "~")]) if startswith(entry, "~/")

at(entry) := entry if not startswith(entry, "~/")

is_in(list) if {
	some entry in list
	endswith(entry, "/")
	startswith(place, at(entry))
}

is_in(list) if {
	some entry in list
	at(entry) == input.resource.path
}

given["the person granted it when starting the session"] if is_object(input.request.granted_by_person)

given["it is in the workspace"] if {
	is_file
	input.resource.in_workspace
}

given["the agent was seen to read it"] if {
	is_file
	count(actions - looking) == 0
	is_in(learned.read)
}

given["the agent was seen to change it"] if {
	is_file
	count((actions - looking) - changing) == 0
	is_in(learned.write)
}

given["the agent was seen to connect to it"] if {
	input.resource.scheme == "tcp"
	actions == {"connect"}
	trim_prefix(input.request.resource, "tcp:") in learned.hosts
}

decision := {
	"effect": "allow",
	"policy_id": "learned",
	"reasons": [reason | some reason, _ in given],
	"ttl_seconds": 3600,
	"constraints": object.get(input, ["request", "granted_by_person", "constraints"], {}),
	"except": object.get(input, ["request", "granted_by_person", "except"], []),
	"obligations": {"durability": "streamed"},
} if {
	count(given) > 0
} else := {
	"effect": "deny",
	"policy_id": "learned",
	"reasons": ["the agent did not need it when its profile was learned, and the person did not grant it"],
}
