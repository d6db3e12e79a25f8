# Tests of base.rego alone: the guardrails are not asked here. The broker derives `in_workspace`, `in_home` and
# `granted_by_person`; here they are written down.
package valetkey_test

import data.valetkey.break_glass
import data.valetkey.decision

for_file(actions, facts) := {
	"request": {"resource": "file:/x", "actions": actions, "constraints": {}},
	"resource": object.union(
		{"scheme": "file", "is_pattern": false, "in_workspace": false, "in_home": false},
		facts,
	),
}

workspace := {"in_workspace": true, "in_home": true}

home := {"in_home": true}

elsewhere := {}

granted(grant) := object.union(for_file(["read"], elsewhere), {"request": {
	"resource": "file:/x",
	"actions": ["read"],
	"granted_by_person": grant,
}})

test_everything_in_the_workspace_is_allowed if {
	every action in ["read", "write", "append", "create", "delete", "execute", "list", "metadata"] {
		decision.effect == "allow" with input as for_file([action], workspace)
	}
}

test_the_workspace_is_recorded_as_it_streams if {
	got := decision with input as for_file(["read", "write"], workspace)
	got.obligations.durability == "streamed"
	got.ttl_seconds == 3600
}

test_actions_that_files_do_not_have_are_denied_in_the_workspace if {
	decision.effect == "deny" with input as for_file(["read", "connect"], workspace)
}

test_a_request_for_nothing_is_denied if {
	decision.effect == "deny" with input as for_file([], workspace)
}

test_names_in_the_home_are_seen if {
	got := decision with input as for_file(["metadata"], home)
	got.effect == "allow"
	not got.approval
}

test_reads_in_the_home_are_asked_once_for_the_task if {
	every action in ["read", "list", "execute"] {
		got := decision with input as for_file([action, "metadata"], home)
		got.effect == "ask"
		got.approval.quorum == [{"role": "owner", "count": 1}]
		got.approval.lease.scope == "task"
	}
}

test_changes_in_the_home_are_asked_each_time if {
	every action in ["write", "append", "create", "delete"] {
		got := decision with input as for_file(["read", action], home)
		got.effect == "ask"
		got.approval.lease.scope == "once"
		got.approval.justification == false
	}
}

test_metadata_with_a_change_is_a_change if {
	decision.effect == "ask" with input as for_file(["metadata", "write"], home)
}

test_elsewhere_is_denied_with_a_hint if {
	every action in ["read", "write", "metadata", "list", "execute"] {
		got := decision with input as for_file([action], elsewhere)
		got.effect == "deny"
		got.requestable
	}
}

test_other_schemes_are_denied if {
	every scheme in ["exec", "https", "tcp", "tool", "secret", "bus"] {
		decision.effect == "deny" with input as for_file(["read"], object.union(workspace, {"scheme": scheme}))
	}
}

test_what_the_person_granted_is_allowed if {
	got := decision with input as granted({"resource": "file:/x", "actions": ["read"], "constraints": {}})
	got.effect == "allow"
	got.constraints == {}
	got.except == []
}

test_limits_of_the_persons_grant_are_kept if {
	got := decision with input as granted({
		"resource": "file:/x",
		"actions": ["read"],
		"constraints": {"max_bytes": 9},
		"except": ["file:/x/y"],
	})
	got.constraints.max_bytes == 9
	got.except == ["file:/x/y"]
}

test_a_granted_change_is_recorded_before_its_effect if {
	asked := object.union(granted({"constraints": {}}), {"request": {
		"actions": ["write"],
		"granted_by_person": {"constraints": {}},
	}})
	got := decision with input as asked
	got.obligations.durability == "before_effect"
}

test_a_grant_that_is_no_grant_is_none if {
	decision.effect == "deny" with input as granted(null)
	decision.effect == "deny" with input as granted(false)
}

test_an_empty_input_is_denied if {
	decision.effect == "deny" with input as {}
}

# Every answer whole, so that nothing in it changes unseen.

test_the_answers_whole if {
	grant := {"constraints": {"max_bytes": 9}, "except": ["file:/x/y"]}
	given := decision with input as granted(grant)
	given == {
		"effect": "allow",
		"policy_id": "valetkey-base",
		"reasons": ["the person granted it when starting the session"],
		"ttl_seconds": 3600,
		"constraints": {"max_bytes": 9},
		"except": ["file:/x/y"],
		"obligations": {"durability": "streamed", "view": "quiet_if_wanted"},
	}
	working := decision with input as for_file(["write"], workspace)
	working == {
		"effect": "allow",
		"policy_id": "valetkey-base",
		"reasons": ["it is in the workspace"],
		"ttl_seconds": 3600,
		"obligations": {"durability": "streamed", "view": "quiet_if_wanted"},
	}
	seeing := decision with input as for_file(["metadata"], home)
	seeing == {
		"effect": "allow",
		"policy_id": "valetkey-base",
		"reasons": ["names in the home directory can be seen"],
		"ttl_seconds": 3600,
		"obligations": {"durability": "streamed"},
	}
	reading := decision with input as for_file(["read"], home)
	reading == {
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
	}
	changing := decision with input as for_file(["write"], home)
	changing == {
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
	}
	nothing := decision with input as for_file(["read"], elsewhere)
	nothing == {
		"effect": "deny",
		"policy_id": "valetkey-base",
		"reasons": ["it is neither in the workspace nor in the home directory, and the person did not grant it"],
		"requestable": true,
	}
}

test_in_an_emergency_an_owner_takes_what_lies_in_the_home if {
	every home_resource in ["file:/home/alice", "file:/home/alice/"] {
		got := break_glass with input as {"subject": {"user": {"home_resource": home_resource}}}
		got == {
			"policy_id": "valetkey-base",
			"roles": ["owner"],
			"max_per_day": 2,
			"max_minutes": 15,
			"scope": [{
				"resource": "file:/home/alice/**",
				"actions": ["read", "write", "create", "list", "metadata"],
			}],
			"justification": {"min_length": 20, "ticket": "^[A-Z]{2,10}-[0-9]+$"},
			"review_role": "owner",
		}
	}
	not break_glass with input as {"subject": {"user": {}}}
}
