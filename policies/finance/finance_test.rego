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
