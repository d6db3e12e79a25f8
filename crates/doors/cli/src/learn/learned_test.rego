# Tests of learned.rego with what was learned: the guardrails are not asked here.
package valetkey_test

import data.valetkey.decision
import data.valetkey.learned

home := "/home/somebody"

at(entry) := concat("", [home, trim_prefix(entry, "~")]) if startswith(entry, "~/")

at(entry) := entry if not startswith(entry, "~/")

# Something at or below a place of the lists.
below(entry) := concat("", [at(entry), "some/thing"]) if endswith(entry, "/")

below(entry) := at(entry) if not endswith(entry, "/")

asks(path, actions) := {
	"request": {"resource": concat("", ["file:", path]), "actions": actions},
	"subject": {"user": {"home": home}},
	"resource": {"scheme": "file", "path": path, "in_workspace": false, "in_home": true},
}

connects(host) := {
	"request": {"resource": concat("", ["tcp:", host]), "actions": ["connect"]},
	"subject": {"user": {"home": home}},
	"resource": {"scheme": "tcp"},
}

test_what_was_learned_is_given if {
	every entry in learned.read {
		got := decision with input as asks(below(entry), ["read", "metadata"])
		got.effect == "allow"
	}
	every entry in learned.write {
		got := decision with input as asks(below(entry), ["write", "create"])
		got.effect == "allow"
	}
	every host in learned.hosts {
		got := decision with input as connects(host)
		got.effect == "allow"
	}
}

test_what_was_read_is_not_changed if {
	only_read := [entry | some entry in learned.read; not entry in learned.write]
	every entry in only_read {
		under := [place | some place in learned.write; endswith(place, "/"); startswith(entry, place)]
		got := decision with input as asks(below(entry), ["write"])
		got.effect == {true: "deny", false: "allow"}[count(under) == 0]
	}
}

test_nothing_else_is_given if {
	every path in [concat("", [home, "/.ssh/id_ed25519"]), concat("", [home, "/never/learned"]), "/never/learned"] {
		every actions in [["read"], ["write"], ["execute"]] {
			got := decision with input as asks(path, actions)
			got.effect == "deny"
		}
	}
	got := decision with input as connects("never-learned.example:443")
	got.effect == "deny"
}

test_the_workspace_and_grants_are_given if {
	work := decision with input as object.union(asks("/work/x", ["write"]), {"resource": {"in_workspace": true}})
	work.effect == "allow"
	granted := decision with input as object.union(asks("/x", ["write"]), {"request": {"granted_by_person": {"resource": "file:/x"}}})
	granted.effect == "allow"
}
