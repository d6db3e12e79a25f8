# Tests of lockdown.rego alone: the guardrails are not asked here.
package valetkey_test

import data.valetkey.decision

asks(actions, grant) := {
	"request": {"resource": "file:/x", "actions": actions, "constraints": {}, "granted_by_person": grant},
	"resource": {"scheme": "file", "in_workspace": true, "in_home": true},
}

grant := {"resource": "file:/x", "actions": ["read", "write"], "constraints": {"max_bytes": 9}, "except": ["file:/x/y"]}

nothing := {
	"effect": "deny",
	"policy_id": "valetkey-lockdown",
	"reasons": ["in lockdown nothing is given but what the person granted when starting the session"],
}

test_what_was_granted_is_looked_at_within_its_limits if {
	every actions in [["read"], ["list"], ["metadata"], ["read", "list", "metadata"]] {
		got := decision with input as asks(actions, grant)
		object.remove(got, ["reasons"]) == {
			"effect": "allow",
			"policy_id": "valetkey-lockdown",
			"ttl_seconds": 300,
			"constraints": {"max_bytes": 9},
			"except": ["file:/x/y"],
			"obligations": {"durability": "before_effect"},
		}
	}
}

test_a_grant_without_limits_has_none if {
	got := decision with input as asks(["read"], {"resource": "file:/x"})
	got.constraints == {}
	got.except == []
	changed := decision with input as asks(["write"], {"resource": "file:/x"})
	changed.constraints == {}
	changed.except == []
}

test_each_change_is_asked_for_with_a_reason if {
	every action in ["write", "append", "create", "delete", "execute", "connect", "call", "use"] {
		every actions in [[action], ["read", action]] {
			got := decision with input as asks(actions, grant)
			object.remove(got, ["reasons"]) == {
				"effect": "ask",
				"policy_id": "valetkey-lockdown",
				"ttl_seconds": 60,
				"constraints": {"max_bytes": 9},
				"except": ["file:/x/y"],
				"approval": {
					"quorum": [{"role": "owner", "count": 1}],
					"justification": {"min_length": 10},
					"expires_seconds": 120,
					"lease": {"scope": "once", "max_seconds": 60},
				},
				"obligations": {"durability": "before_effect"},
			}
		}
	}
}

test_the_workspace_is_not_given if {
	every action in ["read", "write", "metadata", "list"] {
		every given in [null, false, "file:/x"] {
			nothing == decision with input as asks([action], given)
		}
	}
}

test_a_request_for_nothing_is_denied if {
	nothing == decision with input as asks([], grant)
}

test_an_empty_input_is_denied if {
	nothing == decision with input as {}
}
