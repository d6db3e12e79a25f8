# Tests of guardrails.rego: one for each rule. That `trees` takes out all that the lists name is tested by the crate, which
# knows how patterns match.
package valetkey_guardrails_test

import data.valetkey.guardrails.decision
import data.valetkey.lists

asks(actions, path) := asks_with(actions, path, {})

asks_with(actions, path, facts) := {
	"request": {"resource": concat("", ["file:", path]), "actions": actions, "constraints": {}},
	"resource": object.union(
		{
			"scheme": "file",
			"path": literal(path),
			"is_pattern": contains(path, "*"),
			"in_workspace": false,
			"in_home": false,
			"is_protected": false,
		},
		facts,
	),
	"subject": {"user": {"uid": 1000, "home": "/home/alice", "home_resource": "file:/home/alice"}},
	"context": {"protected": ["file:/home/alice/work/vk/**"]},
}

# The longest prefix of whole segments without a `*`, as the broker derives it.
literal(path) := path if not contains(path, "*")

literal(path) := concat("/", array.slice(parts, 0, count(parts) - 1)) if {
	contains(path, "*")
	parts := split(split(path, "*")[0], "/")
	count(parts) > 2
}

literal("/**") := "/"

is_given(actions, path) if decision.effect == "allow" with input as asks(actions, path)

is_asked(actions, path) if decision.effect == "ask" with input as asks(actions, path)

is_refused(actions, path) if {
	got := decision with input as asks(actions, path)
	got.effect == "deny"
	count(got.reasons) > 0
}

test_an_ordinary_file_passes if {
	every action in ["read", "write", "append", "create", "delete", "execute", "list", "metadata"] {
		is_given([action], "/home/alice/work/src/main.rs")
	}
}

test_to_pass_is_neutral if {
	got := decision with input as asks(["read"], "/srv/x")
	got.ttl_seconds == 3600
	got.obligations.durability == "streamed"
	got.except == []
	not got.constraints
}

test_secrets_in_the_home_are_refused_with_all_below if {
	every listed in lists.secrets.home {
		place := trim_suffix(listed, "/")
		every action in ["metadata", "read", "write", "list"] {
			is_refused([action], sprintf("/home/alice/%s", [place]))
		}
		is_refused(["read"], sprintf("/home/alice/%s/x/y/z/w", [place]))
	}
}

test_secrets_of_another_home_are_not_this_rules_matter if {
	is_given(["read"], "/home/bob/.aws/config")
}

test_a_name_that_only_begins_alike_passes if {
	every path in ["/home/alice/.sshx/config", "/home/alice/work/.ssh-notes", "/etc/shadows", "/process", "/rooted"] {
		is_given(["read"], path)
	}
}

test_the_systems_secrets_are_refused if {
	every listed in lists.secrets.system {
		place := trim_suffix(listed, "/")
		is_refused(["read"], place)
		is_refused(["metadata"], concat("/", [place, "x"]))
	}
}

test_names_of_secrets_are_refused_anywhere if {
	every name, _ in lists.secrets.names {
		is_refused(["read"], concat("/", ["/home/alice/work", name]))
		is_refused(["create"], concat("/", ["/srv", name]))
	}
}

test_endings_of_secrets_are_refused_anywhere if {
	every ending in lists.secrets.endings {
		is_refused(["read"], sprintf("/srv/x%s", [ending]))
		is_given(["read"], sprintf("/srv/x%s", [trim_prefix(ending, ".")]))
		is_given(["read"], sprintf("/srv/x%s-x", [ending]))
	}
}

test_beginnings_of_secrets_are_refused_anywhere if {
	every beginning in lists.secrets.beginnings {
		is_refused(["read"], sprintf("/srv/%sx", [beginning]))
	}
}

test_public_files_with_such_names_pass if {
	every name, _ in lists.secrets.public {
		is_given(["read"], concat("/", ["/home/alice/work", name]))
	}
}

test_roots_home_is_for_root if {
	is_refused(["read"], "/root")
	is_refused(["read"], "/root/notes")
	asked := object.union(asks(["read"], "/root/notes"), {"subject": {"user": {
		"uid": 0,
		"home": "/root",
		"home_resource": "file:/root",
	}}})
	decision.effect == "allow" with input as asked
}

test_valetkeys_own_files_are_refused if {
	decision.effect == "deny" with input as asks_with(["read"], "/srv/vk/key", {"is_protected": true})
}

test_devices_are_given_in_the_workspace_only if {
	decision.effect == "deny" with input as asks_with(["read"], "/srv/pipe", {"kind": "other"})
	decision.effect == "allow" with input as asks_with(["read"], "/srv/pipe", {"kind": "other", "in_workspace": true})
	decision.effect == "allow" with input as asks_with(["read"], "/srv/file", {"kind": "file"})
}

test_directories_above_secrets_stay_where_they_are if {
	every listed in lists.secrets.home_parents {
		place := trim_suffix(listed, "/")
		is_refused(["delete"], sprintf("/home/alice/%s", [place]))
		is_given(["list", "metadata"], sprintf("/home/alice/%s", [place]))
	}
	every path in ["/home/alice", "/home", "/", "/home/alice/work/vk", "/home/alice/work"] {
		is_refused(["delete"], path)
	}
	is_given(["delete"], "/home/alice/work/src")
}

test_lasting_files_in_the_home_are_asked_about if {
	every listed in lists.lasting.home {
		place := trim_suffix(listed, "/")
		every action in ["write", "append", "create"] {
			is_asked([action], sprintf("/home/alice/%s", [place]))
		}
		is_asked(["delete"], sprintf("/home/alice/%s/x", [place]))
		is_asked(["read", "write"], sprintf("/home/alice/%s/x", [place]))
		is_given(["read", "metadata"], sprintf("/home/alice/%s", [place]))
	}
}

test_the_systems_files_are_asked_about if {
	every listed in lists.lasting.system {
		place := trim_suffix(listed, "/")
		is_asked(["write"], concat("/", [place, "x"]))
		is_given(["read"], concat("/", [place, "x"]))
	}
}

test_lasting_names_are_asked_about_anywhere if {
	every name, _ in lists.lasting.names {
		is_asked(["create"], sprintf("/home/alice/work/a/%s", [name]))
		is_asked(["append"], sprintf("/srv/%s/x/y", [name]))
		is_given(["read"], sprintf("/srv/%s/x", [name]))
	}
}

test_lasting_pairs_are_asked_about_anywhere if {
	every first, seconds in lists.lasting.pairs {
		is_asked(["create"], sprintf("/srv/%s", [first]))
		is_given(["create"], sprintf("/srv/%s/other", [first]))
		every second, _ in seconds {
			is_asked(["write"], sprintf("/srv/%s/%s", [first, second]))
			is_asked(["create"], sprintf("/srv/%s/%s/x", [first, second]))
			is_given(["write"], sprintf("/srv/%s", [second]))
		}
	}
}

test_directories_that_lasting_files_live_in_are_asked_about if {
	every listed in lists.lasting.home_parents {
		place := trim_suffix(listed, "/")
		is_asked(["create"], sprintf("/home/alice/%s", [place]))
	}
}

test_the_question_goes_to_the_owner_each_time if {
	got := decision with input as asks(["write"], "/home/alice/.bashrc")
	got.approval.quorum == [{"role": "owner", "count": 1}]
	got.approval.lease.scope == "once"
	count(got.reasons) == 2
}

test_a_tree_loses_its_secrets if {
	got := decision with input as asks(["read"], "/home/alice/work/**")
	got.effect == "allow"
	every pattern in lists.trees.secrets {
		pattern in got.except
	}
	not "file:/**/.git" in got.except
	"file:/home/alice/work/vk/**" in got.except
}

test_a_tree_to_change_loses_lasting_files_too if {
	got := decision with input as asks(["write"], "/home/alice/work/**")
	got.effect == "allow"
	every pattern in lists.trees.lasting {
		pattern in got.except
	}
	"file:/**/.vscode/**" in got.except
	"file:/**/.cl*/**" in got.except
	not "file:/home/alice/work/vk" in got.except
	"file:/home/alice/work" in got.except
}

test_the_home_loses_its_hidden_files if {
	got := decision with input as asks(["read", "write"], "/home/alice/**")
	got.effect == "allow"
	"file:/home/alice/.*/**" in got.except
	"file:/home/alice/bin/**" in got.except
	"file:/home/alice" in got.except
}

test_a_hidden_tree_is_asked_for_one_by_one if {
	got := decision with input as asks(["read"], "/home/alice/.config/**")
	got.effect == "allow"
	"file:/home/alice/.config/*/**" in got.except
}

test_the_whole_system_loses_its_own if {
	got := decision with input as asks(["read", "write"], "/**")
	got.effect == "allow"
	"file:/etc/**" in got.except
	"file:/usr/**" in got.except
}

test_a_system_tree_loses_its_secrets if {
	got := decision with input as asks(["read"], "/var/**")
	"file:/var/lib/docker/**" in got.except
	wrote := decision with input as asks(["write"], "/var/**")
	"file:/var/spool/**" in wrote.except
	not "file:/var/spool/**" in got.except
}

test_a_secret_tree_is_refused if {
	is_refused(["read"], "/home/alice/.ssh/**")
	is_refused(["read"], "/home/alice/.ssh/*.pub")
}

test_a_lasting_tree_is_asked_about_whole if {
	every path in ["/home/alice/.claude/**", "/srv/.vscode/**", "/srv/.clx/**", "/srv/.cargo/**", "/etc/**"] {
		got := decision with input as asks(["write"], path)
		got.effect == "ask"
		not "file:/**/.vscode/**" in got.except
		"file:/**/*.pem" in got.except
	}
}

test_other_schemes_pass_and_unknown_ones_do_not if {
	every scheme in ["exec", "https", "tcp", "tool", "secret", "bus"] {
		decision.effect == "allow" with input as asks_with(["use"], "/x", {"scheme": scheme})
	}
	not decision with input as asks_with(["use"], "/x", {"scheme": "gopher"})
}

test_a_home_that_is_unknown_leaves_no_answer if {
	asked := asks(["read"], "/srv/x")
	without := object.union(object.remove(asked, ["subject"]), {"subject": {"user": {"uid": 1000, "home": ""}}})
	not decision with input as without
	not decision with input as {}
}

test_the_parents_are_those_of_the_lists if {
	every kind in ["secrets", "lasting"] {
		{parent | some parent in lists[kind].home_parents} == {concat("/", array.concat(array.slice(parts, 0, n), [""])) |
			some listed in lists[kind].home
			parts := split(trim_suffix(listed, "/"), "/")
			some n in [1, 2, 3, 4, 5]
			n < count(parts)
		}
	}
}

masked(actions, path) := object.union(asks(actions, path), {"request": {"constraints": {"redact": ["pii", "secrets"]}}})

test_a_file_of_settings_is_given_to_whoever_asks_for_it_masked if {
	every path in ["/srv/w/.env", "/srv/w/.env.local"] {
		is_refused(["read"], path)
		got := decision with input as masked(["read"], path)
		got.effect == "allow"
		got.constraints == {"redact": ["secrets"]}
	}
}

test_a_persons_grant_with_masks_counts_as_asking if {
	grant := {"request": {"granted_by_person": {"constraints": {"redact": ["secrets"]}}}}
	got := decision with input as object.union(asks(["read"], "/srv/w/.env"), grant)
	got.effect == "allow"
	got.constraints == {"redact": ["secrets"]}
}

test_other_secrets_are_not_given_masked if {
	every path in ["/srv/w/.netrc", "/srv/w/x.pem", "/srv/w/id_rsa", "/home/alice/.aws/credentials", "/srv/w/.env.key"] {
		got := decision with input as masked(["read"], path)
		got.effect == "deny"
	}
	got := decision with input as object.union(
		asks(["read"], "/srv/w/.env"),
		{"request": {"constraints": {"redact": ["pii"]}}},
	)
	got.effect == "deny"
}

test_a_masked_tree_has_its_files_of_settings if {
	got := decision with input as masked(["read"], "/srv/w/**")
	not "file:/**/.env*" in got.except
	"file:/**/*.pem" in got.except
	got.constraints == {"redact": ["secrets"]}
	plain := decision with input as asks(["read"], "/srv/w/**")
	"file:/**/.env*" in plain.except
}

# Every answer whole, so that nothing in it changes unseen.
test_the_answers_whole if {
	refused := decision with input as asks(["read"], "/srv/x/.env")
	refused == {
		"effect": "deny",
		"policy_id": "valetkey-guardrails",
		"reasons": ["a file named `.env` usually holds credentials"],
	}
	asked := decision with input as asks(["write"], "/home/alice/.bashrc")
	object.remove(asked, ["reasons"]) == {
		"effect": "ask",
		"policy_id": "valetkey-guardrails",
		"ttl_seconds": 300,
		"except": [],
		"approval": {
			"quorum": [{"role": "owner", "count": 1}],
			"expires_seconds": 120,
			"lease": {"scope": "once", "max_seconds": 300},
		},
	}
	given := decision with input as asks(["read"], "/srv/x/a.txt")
	given == {
		"effect": "allow",
		"policy_id": "valetkey-guardrails",
		"ttl_seconds": 3600,
		"except": [],
		"obligations": {"durability": "streamed", "view": "quiet"},
	}
	every scheme in ["exec", "https", "tcp", "tool", "secret", "bus"] {
		other := decision with input as {"resource": {"scheme": scheme}, "request": {"actions": ["call"]}}
		other == {
			"effect": "allow",
			"policy_id": "valetkey-guardrails",
			"ttl_seconds": 3600,
			"obligations": {"durability": "streamed"},
		}
	}
	not decision with input as {"resource": {"scheme": "ftp"}, "request": {"actions": ["call"]}}
}

# The reasons name the place in the list, and only that one.
test_a_secret_is_named_once if {
	home_place := decision with input as asks(["read"], "/home/alice/.aws/credentials")
	home_place.reasons == ["`.aws/` in the home directory holds keys, credentials or private history"]
	system_place := decision with input as asks(["read"], "/etc/shadow")
	system_place.reasons == ["`/etc/shadow/` belongs to the system's keys, devices or services"]
	later := decision with input as asks(["write"], "/usr/bin/x")
	later.reasons == ["`/usr/bin/` belongs to the system"]
}

# What is taken out of a tree, counted by where it stands.
test_a_tree_beside_the_home_keeps_the_home_out_of_it if {
	got := decision with input as asks(["read"], "/srv/**")
	every pattern in got.except {
		not startswith(pattern, "file:/home/alice")
		not startswith(pattern, "file:/etc")
		not startswith(pattern, "file:/boot")
	}
}

test_reading_a_tree_leaves_the_home_where_it_is if {
	reading := decision with input as asks(["read"], "/home/**")
	not "file:/home/alice" in reading.except
	changing := decision with input as asks(["write"], "/home/**")
	"file:/home/alice" in changing.except
	elsewhere := decision with input as asks(["write"], "/srv/**")
	not "file:/home/alice" in elsewhere.except
}

test_reading_a_tree_leaves_directories_on_the_way_to_valetkeys_own if {
	reading := decision with input as asks(["read"], "/home/alice/work/**")
	not "file:/home/alice/work" in reading.except
	"file:/home/alice/work/vk/**" in reading.except
	changing := decision with input as asks(["write"], "/home/alice/work/**")
	"file:/home/alice/work" in changing.except
	not "file:/home/alice" in changing.except
	other := decision with input as asks(["write"], "/home/alice/other/**")
	not "file:/home/alice/work" in other.except
	not "file:/home/alice/work/vk/**" in other.except
}

calls(service) := {
	"request": {"actions": ["call"], "resource": concat("", ["bus:", service, "/org.x.Any.Do"])},
	"resource": {"scheme": "bus"},
}

test_services_that_lead_out_are_never_called if {
	every service in [
		"org.freedesktop.secrets", "org.freedesktop.systemd1", "org.gnome.keyring.SystemPrompter", "org.freedesktop.portal.Flatpak",
		"org.freedesktop.portal.Desktop", "org.freedesktop.Flatpak", "org.freedesktop.DBus", "org.gnome.Shell", "org.kde.kwalletd6",
	] {
		got := decision with input as calls(service)
		got.effect == "deny"
		count(got.reasons) == 1
	}
	every service in ["org.freedesktop.Notifications", "org.freedesktop.secretsandlies", "org.gnome.Shells", "com.example.org.gnome.Shell"] {
		decision.effect == "allow" with input as calls(service)
	}
}

test_a_secret_is_no_program if {
	every path in ["/home/alice/.ssh/id_rsa", "/srv/x/.env", "/etc/shadow", "/srv/key.pem"] {
		decision.effect == "deny" with input as asks_with(["execute"], path, {"scheme": "exec"})
	}
	decision.effect == "allow" with input as asks_with(["execute"], "/srv/tool", {"scheme": "exec"})
}
