# Guardrails: what no other policy can give away.
#
# Evaluated beside the policy that grants, whichever it is; the stricter answer counts. `allow` here only means that
# there is nothing to hold against a request.
#
#   secrets   keys, credentials, wallets, histories, the kernel's and Valetkey's own places: never given, not even seen
#   lasting   files that run later outside the cell or steer the next session (shell start-up, hooks, editor tasks,
#             agents' settings and memory, autostart): a person is asked before one is changed
#
#   services  services of the desktop that hand out keys, start programs outside the cell, or drive the desktop: never called
#
# The names are in data.json: `secrets` and `lasting` decide about one path. For a request of many paths (a tree, a
# pattern), `trees` holds patterns that are taken out of the grant, so that those paths are asked for one by one. They
# may take out more than the lists name, never less: the crate's tests hold them together.
package valetkey.guardrails

import data.valetkey.lists

asked := input.request.resource

path := input.resource.path

# Lists of places end in `/`, and so do the texts they are compared with: `/etc/ssh/` holds `/etc/ssh/x/`, not `/etc/sshx/`.
place := concat("", [trim_right(path, "/"), "/"])

home := concat("", [trim_right(input.subject.user.home, "/"), "/"])

home_place := trim_prefix(place, home) if {
	startswith(place, home)
	place != home
}

segments := split(trim_prefix(path, "/"), "/")

name := segments[count(segments) - 1]

# The home directory's canonical text, `file:/home/alice`; of a home that is `/`, `file:`.
home_text := trim_suffix(input.subject.user.home_resource, "/")

changes := {action | some action in input.request.actions} & {"write", "append", "create", "delete"}

# Making, moving or removing one name; a pattern's names are dealt with below, by what is taken out.
moves := changes & {"create", "delete"} if not input.resource.is_pattern

else := set()

# Whoever asks for content without its secrets may have files of settings, whose secrets are masked one by one. This
# policy's own answer says so too, so that no other can leave the mask out.

asks_masked if "secrets" in input.request.constraints.redact

asks_masked if "secrets" in input.request.granted_by_person.constraints.redact

is_masked if {
	asks_masked
	startswith(concat("", [name, "."]), lists.secrets.masked)
}

# What is never given: each entry says why.

secrets contains sprintf("`%s` in the home directory holds keys, credentials or private history", [listed]) if {
	strings.any_prefix_match(home_place, lists.secrets.home)
	some listed in lists.secrets.home
	startswith(home_place, listed)
}

secrets contains sprintf("`%s` belongs to the system's keys, devices or services", [listed]) if {
	strings.any_prefix_match(place, lists.secrets.system)
	some listed in lists.secrets.system
	startswith(place, listed)
}

secrets contains sprintf("a file named `%s` usually holds credentials", [name]) if {
	lists.secrets.names[name]
	not is_masked
}

secrets contains sprintf("a file with the ending of `%s` usually holds keys", [name]) if {
	strings.any_suffix_match(name, lists.secrets.endings)
	not lists.secrets.public[name]
}

secrets contains sprintf("a file whose name begins as `%s` does usually holds keys or credentials", [name]) if {
	strings.any_prefix_match(name, lists.secrets.beginnings)
	not lists.secrets.public[name]
	not is_masked
}

secrets contains "the home directory of root" if {
	segments[0] == "root"
	input.subject.user.uid != 0
}

secrets contains "Valetkey's own files are never given" if input.resource.is_protected

secrets contains "devices, sockets and pipes outside the workspace are not given" if {
	input.resource.kind == "other"
	not input.resource.in_workspace
}

# Moving away a directory would carry the secrets in it to a name that no rule knows.
secrets contains "the directory holds others that are never given" if {
	"delete" in moves
	home_place in lists.secrets.home_parents
}

secrets contains "the home directory itself stays where it is" if {
	"delete" in moves
	startswith(home, place)
}

secrets contains "the directory holds Valetkey's own files" if {
	"delete" in moves
	some tree in input.context.protected
	startswith(tree, concat("", [asked, "/"]))
}

# What a person is asked about when it is to be changed: each entry says why.

lasting contains sprintf("`%s` in the home directory is run or read by later programs", [listed]) if {
	strings.any_prefix_match(home_place, lists.lasting.home)
	some listed in lists.lasting.home
	startswith(home_place, listed)
}

lasting contains sprintf("`%s` belongs to the system", [listed]) if {
	strings.any_prefix_match(place, lists.lasting.system)
	some listed in lists.lasting.system
	startswith(place, listed)
}

lasting contains sprintf("`%s` is run or read by later programs or agents", [segment]) if {
	some segment in segments
	lists.lasting.names[segment]
}

lasting contains sprintf("`%s/%s` is run or read by later programs", [segment, segments[at + 1]]) if {
	some at, segment in segments
	lists.lasting.pairs[segment][segments[at + 1]]
}

# A directory that is made or moved into place can bring such files with it.
lasting contains sprintf("`%s` can hold files that are run by later programs", [name]) if {
	not input.resource.is_pattern
	lists.lasting.pairs[name]
}

lasting contains "the directory can hold files that are run by later programs" if {
	count(moves) > 0
	some list in [lists.lasting.home_parents, lists.secrets.home_parents]
	home_place in list
}

# A tree within something that would be taken out of it: the person is asked about all of it.
lasting contains sprintf("things below `%s` can be run or read by later programs", [segment]) if {
	input.resource.is_pattern
	some segment in segments
	is_taken_out(segment)
}

is_taken_out(segment) if lists.trees.lasting_names[segment]

is_taken_out(segment) if strings.any_prefix_match(segment, lists.trees.lasting_beginnings)

# What is taken out of a request for many paths: secrets always, and lasting files where the request is to change things
# and the person is not asked about all of it anyway.

stem := split(asked, "*")[0]

holds_home if startswith(concat("", [home_text, "/"]), stem)

without_secrets contains pattern if {
	some pattern in lists.trees.secrets
	not is_masked_in_trees(pattern)
}

is_masked_in_trees(pattern) if {
	asks_masked
	pattern == sprintf("file:/**/%s*", [trim_suffix(lists.secrets.masked, ".")])
}

without_secrets contains sprintf("%s/%s/**", [home_text, listed]) if {
	holds_home
	some listed in lists.trees.home_secrets
}

# A tree in the home directory with listed places somewhere below: each thing in it is asked for by itself.
without_secrets contains sprintf("%s*/**", [stem]) if {
	some list in [lists.secrets.home_parents, lists.lasting.home_parents]
	home_place in list
}

without_secrets contains pattern if {
	place == "/"
	some pattern in lists.trees.root_secrets
}

without_secrets contains sprintf("file:%s**", [listed]) if {
	place != "/"
	some listed in lists.secrets.system
	startswith(listed, place)
}

without_secrets contains tree if {
	some tree in input.context.protected
	startswith(tree, stem)
}

# The directories on the way to Valetkey's own files stay where they are.
without_secrets contains directory if {
	count(changes) > 0
	some tree in input.context.protected
	parts := split(trim_suffix(tree, "/**"), "/")
	some at, _ in parts
	at > 1
	directory := concat("/", array.slice(parts, 0, at))
	startswith(concat("", [directory, "/"]), stem)
}

# A tree above the home directory: the directory itself is not moved with it.
without_secrets contains home_text if {
	count(changes) > 0
	holds_home
}

without_lasting contains pattern if some pattern in lists.trees.lasting

# Elsewhere what is taken out of trees for the sake of secrets has it.
without_lasting contains "file:/**/.envrc" if asks_masked

without_lasting contains sprintf("file:/**/%s/**", [segment]) if {
	some segment, _ in lists.trees.lasting_names
}

without_lasting contains sprintf("file:/**/%s*/**", [beginning]) if {
	some beginning in lists.trees.lasting_beginnings
}

without_lasting contains sprintf("%s/%s/**", [home_text, listed]) if {
	holds_home
	some listed in lists.trees.home_lasting
}

without_lasting contains pattern if {
	place == "/"
	some pattern in lists.trees.root_lasting
}

without_lasting contains sprintf("file:%s**", [listed]) if {
	place != "/"
	some listed in lists.lasting.system
	startswith(listed, place)
}

# The answer.

is_file if {
	input.resource.scheme == "file"
	is_string(path)
	is_string(home_text)
}

# Nothing is listed about resources of other kinds.
is_other if input.resource.scheme in {"exec", "https", "tcp", "tool", "secret", "bus"}

# A service of the desktop is listed by its name, and so are those below it.
services contains sprintf("`%s` is a desktop service that is never called from a cell", [listed]) if {
	input.resource.scheme == "bus"
	called := split(trim_prefix(asked, "bus:"), "/")[0]
	some listed in lists.services
	startswith(concat("", [called, "."]), concat("", [listed, "."]))
}

is_kept if {
	is_file
	count(secrets) > 0
}

# A program that may be run may be read.
is_kept if {
	input.resource.scheme == "exec"
	count(secrets) > 0
}

asks if {
	count(changes) > 0
	count(lasting) > 0
}

default taken_out := set()

taken_out := without_secrets if {
	input.resource.is_pattern
	asks
} else := without_secrets if {
	input.resource.is_pattern
	count(changes) == 0
} else := without_secrets | without_lasting if {
	input.resource.is_pattern
}

decision := object.union(answer, {"constraints": {"redact": ["secrets"]}}) if {
	asks_masked
	answer.effect != "deny"
} else := answer

answer := {
	"effect": "deny",
	"policy_id": "valetkey-guardrails",
	"reasons": [reason | some reason in secrets],
} if {
	is_kept
} else := {
	"effect": "ask",
	"policy_id": "valetkey-guardrails",
	"reasons": [reason | some reason in lasting],
	"ttl_seconds": 300,
	"except": [pattern | some pattern in taken_out],
	"approval": {
		"quorum": [{"role": "owner", "count": 1}],
		"expires_seconds": 120,
		"lease": {"scope": "once", "max_seconds": 300},
	},
} if {
	is_file
	asks
} else := {
	"effect": "allow",
	"policy_id": "valetkey-guardrails",
	"ttl_seconds": 3600,
	"except": [pattern | some pattern in taken_out],
	"obligations": {"durability": "streamed", "view": "quiet"},
} if {
	is_file
} else := {
	"effect": "allow",
	"policy_id": "valetkey-guardrails",
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	is_other
	count(services) == 0
} else := {
	"effect": "deny",
	"policy_id": "valetkey-guardrails",
	"reasons": [reason | some reason in services],
} if {
	is_other
}
