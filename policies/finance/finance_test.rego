# Tests of finance.rego alone: the guardrails are not asked here.
package valetkey_test

import data.valetkey.decision

asks(actions, resource) := {
	"request": {"resource": resource, "actions": actions, "constraints": {}},
	"resource": {"scheme": "file", "is_pattern": contains(resource, "*")},
	"subject": {"session": {"workspace": "file:/srv/Finance/**"}},
}

report := "file:/srv/Finance/Reports/Q3.xlsx"

test_a_report_can_be_read if {
	got := decision with input as asks(["read", "metadata"], report)
	got.effect == "allow"
	got.constraints == {"allow_macros": false}
	got.ttl_seconds == 300
	got.obligations.labels == ["finance"]
}

test_all_reports_can_be_read_at_once if {
	decision.effect == "allow" with input as asks(["read"], "file:/srv/Finance/Reports/*.xlsx")
}

test_an_append_is_asked_with_its_limits if {
	got := decision with input as asks(["append"], report)
	got.effect == "ask"
	got.constraints == {"max_rows": 50, "max_write_bytes": 65536, "allow_macros": false}
	got.approval.quorum == [{"role": "owner", "count": 1}]
	got.ttl_seconds == 300
}

test_read_and_append_are_asked_together if {
	decision.effect == "ask" with input as asks(["read", "append"], report)
}

test_an_append_is_to_one_report if {
	decision.effect == "deny" with input as asks(["append"], "file:/srv/Finance/Reports/*.xlsx")
}

test_other_changes_are_denied if {
	every action in ["write", "create", "delete", "execute"] {
		decision.effect == "deny" with input as asks([action], report)
		decision.effect == "deny" with input as asks(["append", action], report)
	}
}

test_workbooks_with_macros_are_denied_with_the_reason if {
	every name in ["Q3.xlsm", "Q3.XLSM", "Q3.xltm", "Q3.xlam", "Q3.xlsb", "Q3.xls"] {
		got := decision with input as asks(["read"], concat("", ["file:/srv/Finance/Reports/", name]))
		got.effect == "deny"
		contains(got.reasons[0], "macros")
	}
}

test_the_folders_can_be_listed_and_nothing_more if {
	every folder in ["file:/srv/Finance", "file:/srv/Finance/Reports"] {
		decision.effect == "allow" with input as asks(["list", "metadata"], folder)
		decision.effect == "deny" with input as asks(["read"], folder)
		decision.effect == "deny" with input as asks(["create"], folder)
	}
}

test_other_places_are_denied if {
	every resource in [
		"file:/srv/Finance/Reports/old/Q3.xlsx",
		"file:/srv/Finance/Reports/**",
		"file:/srv/Finance/Reports/**/Q3.xlsx",
		"file:/srv/Finance/Reports/.xlsx",
		"file:/srv/Finance/Reports/Q3.xlsx.bak",
		"file:/srv/Finance/Q3.xlsx",
		"file:/srv/FinanceReports/Q3.xlsx",
		"file:/srv/Finance2/Reports/Q3.xlsx",
		"exec:/srv/Finance/Reports/Q3.xlsx",
		"file:/srv",
	] {
		decision.effect == "deny" with input as asks(["read"], resource)
		decision.effect == "deny" with input as asks(["list"], resource)
	}
}

test_without_a_workspace_nothing_is_given if {
	every workspace in [null, "file:/srv/Finance", "file:/srv/Finance/Reports/Q3.xlsx"] {
		asked := object.union(asks(["read"], report), {"subject": {"session": {"workspace": workspace}}})
		decision.effect == "deny" with input as asked
	}
}

test_a_request_for_nothing_is_denied if {
	decision.effect == "deny" with input as asks([], report)
	decision.effect == "deny" with input as asks([], "file:/srv/Finance")
}

test_an_empty_input_is_denied if {
	decision.effect == "deny" with input as {}
}

# Every answer whole, so that nothing in it changes unseen.
test_the_answers_whole if {
	reading := decision with input as asks(["read", "metadata"], report)
	reading == {
		"effect": "allow",
		"policy_id": "finance-reports",
		"reasons": ["reports can be read"],
		"ttl_seconds": 300,
		"constraints": {"allow_macros": false},
		"obligations": {"durability": "before_effect", "labels": ["finance"]},
	}
	seeing := decision with input as asks(["metadata"], report)
	seeing.effect == "allow"
	listing := decision with input as asks(["list"], "file:/srv/Finance")
	listing == {
		"effect": "allow",
		"policy_id": "finance-reports",
		"reasons": ["the folder can be listed"],
		"ttl_seconds": 300,
		"obligations": {"durability": "streamed"},
	}
	every actions in [["append"], ["append", "read", "metadata"]] {
		appending := decision with input as asks(actions, report)
		appending == {
			"effect": "ask",
			"policy_id": "finance-reports",
			"reasons": ["rows appended to a report need the owner's consent"],
			"ttl_seconds": 300,
			"constraints": {"max_rows": 50, "max_write_bytes": 65536, "allow_macros": false},
			"approval": {
				"quorum": [{"role": "owner", "count": 1}],
				"justification": false,
				"expires_seconds": 120,
				"lease": {"scope": "once", "max_seconds": 300},
			},
			"obligations": {"durability": "before_effect", "labels": ["finance"]},
		}
	}
	macros := decision with input as asks(["read"], "file:/srv/Finance/Reports/Q3.xlsm")
	macros == {
		"effect": "deny",
		"policy_id": "finance-reports",
		"reasons": ["workbooks that can hold macros (.xlsm) are not worked on"],
	}
	nothing := decision with input as asks(["append"], "file:/srv/Finance/Reports/Q3.txt")
	nothing == {
		"effect": "deny",
		"policy_id": "finance-reports",
		"reasons": ["only the reports `Reports/*.xlsx` can be read, and rows appended to them"],
	}
}

test_no_file_outside_of_the_folder_is_a_report_whatever_its_name if {
	every resource in ["file:/tmp/Q3.xlsx", "Q3.xlsx", "file:/srv/Finance/Reports/Q3.xlsx/Q4.xlsx"] {
		every action in ["read", "append"] {
			decision.effect == "deny" with input as asks([action], resource)
		}
	}
}

test_a_workspace_that_is_no_tree_holds_no_reports if {
	asked := object.union(asks(["read"], "file:/srv/Finance/Reports/Q3.xlsx"), {"subject": {"session": {"workspace": "file:/srv/Finance/"}}})
	decision.effect == "deny" with input as asked
}
