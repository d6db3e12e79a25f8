# Tests of coding_agent.rego alone: the guardrails are not asked here. The broker derives `in_workspace`, `in_home` and
# `granted_by_person`; here they are written down.
package valetkey_test

import data.valetkey.decision
import data.valetkey.for_files
import data.valetkey.hosts
import data.valetkey.looking
import data.valetkey.readable
import data.valetkey.writable

of(actions, resource, facts) := {
	"request": {"resource": resource, "actions": actions, "constraints": {}},
	"resource": object.union({"scheme": "file", "in_workspace": false, "in_home": false}, facts),
	"subject": {
		"user": {"home_resource": "file:/home/alice"},
		"session": {"labels": []},
	},
}

in_workspace(actions) := of(actions, "file:/home/alice/work/a.rs", {"in_workspace": true, "in_home": true})

in_home(actions, name) := of(actions, concat("", ["file:/home/alice/", name]), {"in_home": true})

elsewhere(actions) := of(actions, "file:/srv/x", {})

connects(resource, labels) := object.union(
	of(["connect"], resource, {"scheme": "https"}),
	{"subject": {"session": {"labels": labels}}},
)

plain(got) := object.remove(got, ["reasons"])

given := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
}

given_quietly := object.union(given, {"obligations": {"view": "quiet_if_wanted"}})

asked(scope, seconds) := {
	"effect": "ask",
	"policy_id": "valetkey-coding-agent",
	"ttl_seconds": 300,
	"approval": {
		"quorum": [{"role": "owner", "count": 1}],
		"expires_seconds": 120,
		"lease": {"scope": scope, "max_seconds": seconds},
	},
}

refused := {"effect": "deny", "policy_id": "valetkey-coding-agent", "requestable": true}

test_everything_in_the_workspace_is_given if {
	every action in ["read", "write", "append", "create", "delete", "execute", "list", "metadata"] {
		got := decision with input as in_workspace([action])
		plain(got) == object.union(given_quietly, {"except": []})
	}
	every actions in [[], ["connect"], ["read", "connect"]] {
		got := decision with input as in_workspace(actions)
		plain(got) == refused
	}
	another := decision with input as of(["read"], "exec:/home/alice/work/a", {"scheme": "exec", "in_workspace": true, "in_home": true})
	plain(another) == refused
}

# The lists are written down here too, so that a place that goes missing or is misspelt is noticed.
test_these_are_the_places_and_hosts if {
	readable == [
		".cache/", ".cargo/bin/", ".cargo/git/", ".cargo/registry/", ".config/git/ignore/", ".deno/", ".gradle/caches/",
		".local/lib/", ".local/share/pnpm/", ".m2/repository/", ".npm/", ".nuget/packages/", ".nvm/", ".pyenv/",
		".rbenv/", ".rustup/", ".yarn/", "go/pkg/",
	]
	writable == [
		".cache/go-build/", ".cache/pip/", ".cargo/git/", ".cargo/registry/", ".gradle/caches/", ".m2/repository/",
		".npm/_cacache/", ".nuget/packages/", "go/pkg/mod/",
	]
	hosts == {
		"crates.io", "files.pythonhosted.org", "github.com", "gitlab.com", "index.crates.io", "proxy.golang.org",
		"pypi.org", "registry.npmjs.org", "repo.maven.apache.org", "static.crates.io", "sum.golang.org",
	}
}

test_tools_and_caches_are_read if {
	every place in readable {
		every actions in [["read"], ["list"], ["metadata", "read"], ["execute"]] {
			got := decision with input as in_home(actions, trim_suffix(place, "/"))
			plain(got) == given
			below := decision with input as in_home(actions, concat("", [place, "x/y"]))
			below.reasons == ["tools and caches in the home directory can be read"]
		}
	}
	near := decision with input as in_home(["read"], ".npmrc")
	near.effect == "ask"
	every outside in [
		of(["read"], "file:/srv/.npm/x", {}),
		# A place below `.npm` that the broker says is not in the home, and one that is no file.
		of(["read"], "file:/home/alice/.npm/x", {}),
		of(["read"], "file:/home/alice/.npm/x", {"scheme": "exec", "in_home": true}),
	] {
		got := decision with input as outside
		got.effect != "allow"
	}
}

test_caches_of_build_tools_are_written if {
	every place in writable {
		every action in ["write", "append", "create", "delete"] {
			got := decision with input as in_home([action, "metadata"], concat("", [place, "x"]))
			plain(got) == given
		}
		run := decision with input as in_home(["write", "execute"], concat("", [place, "x"]))
		run.effect == "ask"
	}
	read_alone := decision with input as in_home(["write"], ".rustup/toolchains/x")
	read_alone.effect == "ask"
}

test_names_in_the_home_are_seen if {
	got := decision with input as in_home(["metadata"], "notes")
	plain(got) == given
	got.reasons == ["names in the home directory can be seen"]
	nowhere := decision with input as elsewhere(["metadata"])
	nowhere.effect == "deny"
}

test_reads_in_the_home_are_asked_once_for_the_task if {
	every actions in [["read"], ["list"], ["execute"], ["read", "metadata"]] {
		got := decision with input as in_home(actions, "notes")
		plain(got) == object.union(asked("task", 3600), {"except": [], "obligations": {"durability": "before_effect"}})
	}
}

test_changes_in_the_home_are_asked_each_time if {
	every action in ["write", "append", "create", "delete"] {
		every actions in [[action], ["read", action]] {
			got := decision with input as in_home(actions, "notes")
			plain(got) == asked("once", 300)
		}
	}
}

test_elsewhere_is_denied_with_a_hint if {
	every action in for_files {
		got := decision with input as elsewhere([action])
		plain(got) == refused
	}
	looking == {"read", "list", "metadata", "execute"}
}

test_packages_and_sources_are_asked_for if {
	every name in hosts {
		every resource in [sprintf("https://%s/**", [name]), sprintf("https://%s:8443/x", [name])] {
			got := decision with input as connects(resource, ["public"])
			got == {
				"effect": "ask",
				"policy_id": "valetkey-coding-agent",
				"reasons": [sprintf("packages and sources come from %s", [name])],
				"ttl_seconds": 3600,
				"approval": asked("task", 3600).approval,
				"obligations": {"durability": "before_effect"},
			}
		}
	}
	every resource in ["https://example.com/", "https://crates.io.example.com/", "https://example.com/crates.io"] {
		got := decision with input as connects(resource, [])
		plain(got) == refused
	}
	more := decision with input as object.union(connects("https://crates.io/", []), {"request": {"actions": ["connect", "read"]}})
	plain(more) == refused
	other := decision with input as object.union(connects("https://crates.io/", []), {"resource": {"scheme": "tcp"}})
	plain(other) == refused
}

test_who_has_read_what_is_confidential_connects_to_nothing if {
	every resource in ["https://crates.io/", "https://example.com/"] {
		got := decision with input as connects(resource, ["public", "confidential"])
		got == {
			"effect": "deny",
			"policy_id": "valetkey-coding-agent",
			"reasons": ["the session has read what is confidential: it connects to nothing any more"],
		}
	}
	granted := object.union(connects("https://example.com/", ["confidential"]), {"request": {"granted_by_person": {}}})
	decision.effect == "deny" with input as granted
	# It still works on its files.
	work := object.union(in_workspace(["write"]), {"subject": {"session": {"labels": ["confidential"]}}})
	decision.effect == "allow" with input as work
}

test_what_is_confidential_labels_who_reads_it if {
	every resource in ["file:/home/alice/work/confidential/pay.csv", "file:/home/alice/work/confidential/a/b", "file:/home/alice/work/confidential"] {
		work := decision with input as of(["read"], resource, {"in_workspace": true, "in_home": true})
		plain(work) == object.union(given_quietly, {"except": [], "obligations": {"durability": "streamed", "labels": ["confidential"]}})
		home := decision with input as of(["read"], resource, {"in_home": true})
		home.effect == "ask"
		home.obligations == {"durability": "before_effect", "labels": ["confidential"]}
		given_by_person := object.union(of(["read"], resource, {}), {"request": {"granted_by_person": {}}})
		granted := decision with input as given_by_person
		granted.obligations == {"durability": "streamed", "labels": ["confidential"], "view": "quiet_if_wanted"}
	}
	every resource in ["file:/home/alice/work/confidential.txt", "file:/home/alice/work/not-confidential/a", "file:/home/alice/work/a"] {
		work := decision with input as of(["read"], resource, {"in_workspace": true, "in_home": true})
		work.obligations == given_quietly.obligations
	}
	# What is no file has no directories.
	far := decision with input as object.union(connects("https://crates.io/confidential/x", []), {})
	far.obligations == {"durability": "before_effect"}
}

test_a_tree_is_given_without_what_is_confidential if {
	apart := ["file:/**/confidential/**"]
	every tree in [
		of(["read"], "file:/home/alice/work/**", {"in_workspace": true, "in_home": true, "is_pattern": true}),
		of(["read"], "file:/home/alice/**", {"in_home": true, "is_pattern": true}),
	] {
		got := decision with input as tree
		got.except == apart
	}
	grant := {"except": ["file:/x/y"]}
	tree := of(["read"], "file:/srv/**", {"is_pattern": true})
	got := decision with input as object.union(tree, {"request": {"granted_by_person": grant}})
	got.except == array.concat(["file:/x/y"], apart)
}

test_what_the_person_granted_is_allowed_as_granted if {
	grant := {"constraints": {"max_bytes": 9}, "except": ["file:/x/y"]}
	got := decision with input as object.union(elsewhere(["read"]), {"request": {"granted_by_person": grant}})
	plain(got) == object.union(given_quietly, grant)
	changed := decision with input as object.union(elsewhere(["write"]), {"request": {"granted_by_person": {}}})
	plain(changed) == object.union(given_quietly, {"constraints": {}, "except": [], "obligations": {"durability": "before_effect"}})
	every nothing in [null, false, "x"] {
		decision.effect == "deny" with input as object.union(elsewhere(["read"]), {"request": {"granted_by_person": nothing}})
	}
}

test_an_empty_input_is_denied if {
	decision.effect == "deny" with input as {}
}
