# Finance: the reports of one folder can be read, and rows appended to them with a person's consent.
#
# The session's workspace is the finance folder: `valetkey run --workspace …/Finance --policy policies/finance`.
#
#   read Reports/*.xlsx                allow, macros off
#   append to one Reports/*.xlsx       ask the owner; five minutes, 50 rows, 64 KiB, macros off
#   see and list Finance and Reports   allow
#   workbooks with macros (.xlsm …)    deny, also when a person is there to ask
#   anything else                      deny
package valetkey

actions := {action | some action in input.request.actions}

# Canonical text of the folder, `file:/srv/Finance/`, and what follows it in the text of what is asked.
folder := trim_suffix(input.subject.session.workspace, "**") if {
	is_string(input.subject.session.workspace)
	endswith(input.subject.session.workspace, "/**")
}

reports := concat("", [folder, "Reports/"])

asked := input.request.resource

file_name := trim_prefix(asked, reports) if {
	startswith(asked, reports)
	not contains(trim_prefix(asked, reports), "/")
}

# `*.xlsx` itself is such a name too: then all reports are asked for, and nothing else.
is_report if {
	endswith(file_name, ".xlsx")
	file_name != ".xlsx"
}

with_macros contains ending if {
	some ending in [".xlsm", ".xltm", ".xlam", ".xlsb", ".xls"]
	endswith(lower(file_name), ending)
}

is_folder if asked in {trim_suffix(folder, "/"), trim_suffix(reports, "/")}

decision := {
	"effect": "deny",
	"policy_id": "finance-reports",
	"reasons": [sprintf("workbooks that can hold macros (%s) are not worked on", [concat(", ", with_macros)])],
} if {
	count(with_macros) > 0
} else := {
	"effect": "allow",
	"policy_id": "finance-reports",
	"reasons": ["reports can be read"],
	"ttl_seconds": 300,
	"constraints": {"allow_macros": false},
	"obligations": {"durability": "before_effect", "labels": ["finance"]},
} if {
	is_report
	count(actions) > 0
	count(actions - {"read", "metadata"}) == 0
} else := {
	"effect": "allow",
	"policy_id": "finance-reports",
	"reasons": ["the folder can be listed"],
	"ttl_seconds": 300,
	"obligations": {"durability": "streamed"},
} if {
	is_folder
	count(actions) > 0
	count(actions - {"list", "metadata"}) == 0
} else := {
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
} if {
	is_report
	not input.resource.is_pattern
	"append" in actions
	count(actions - {"append", "read", "metadata"}) == 0
} else := {
	"effect": "deny",
	"policy_id": "finance-reports",
	"reasons": ["only the reports `Reports/*.xlsx` can be read, and rows appended to them"],
}
