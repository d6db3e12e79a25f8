# Tests of documents.rego alone: the guardrails are not asked here.
package valetkey_test

import data.valetkey.decision
import data.valetkey.kinds
import data.valetkey.with_macros

asks(actions, resource, facts) := {
	"request": {"resource": resource, "actions": actions, "constraints": {}},
	"resource": object.union(
		{"scheme": "file", "is_pattern": contains(resource, "*"), "in_workspace": true, "in_home": true, "kind": "file"},
		facts,
	),
}

letter := "file:/home/alice/Letters/a.odt"

owner_once(seconds) := {
	"quorum": [{"role": "owner", "count": 1}],
	"expires_seconds": 120,
	"lease": {"scope": "once", "max_seconds": seconds},
}

outside := {"in_workspace": false}

without_reasons(got) := object.remove(got, ["reasons"])

test_names_in_the_folder_are_seen if {
	every resource in [letter, "file:/home/alice/Letters", "file:/home/alice/Letters/x.bin", "file:/home/alice/Letters/**"] {
		every actions in [["list"], ["metadata"], ["list", "metadata"]] {
			got := decision with input as asks(actions, resource, {})
			without_reasons(got) == {
				"effect": "allow",
				"policy_id": "valetkey-documents",
				"ttl_seconds": 3600,
				"obligations": {"durability": "streamed"},
			}
		}
	}
	every scheme in ["exec", "https", "tool"] {
		got := decision with input as asks(["metadata"], letter, {"scheme": scheme})
		got.effect == "deny"
	}
	got := decision with input as asks(["metadata"], "file:/home/alice/x.bin", outside)
	got.effect == "deny"
}

test_documents_in_the_folder_are_read if {
	every kind in kinds {
		got := decision with input as asks(["read", "metadata"], sprintf("file:/home/alice/Letters/a%s", [upper(kind)]), {})
		without_reasons(got) == {
			"effect": "allow",
			"policy_id": "valetkey-documents",
			"ttl_seconds": 3600,
			"constraints": {"allow_macros": false},
			"obligations": {"durability": "streamed", "labels": ["documents"]},
		}
	}
	pattern := decision with input as asks(["read", "list"], "file:/home/alice/Letters/*.odt", {})
	pattern.effect == "allow"
}

# The list is written down here too, so that a kind that goes missing or is misspelt is noticed.
test_these_are_the_kinds if {
	concat(" ", kinds) == ".csv .docx .html .jpeg .jpg .json .md .odp .ods .odt .pdf .png .pptx .rtf .svg .txt .xlsx .xml .yaml .yml"
	concat(" ", with_macros) == ".doc .docm .dotm .pot .potm .ppam .pps .ppsm .ppt .pptm .sldm .xla .xlam .xls .xlsb .xlsm .xltm"
}

test_files_of_other_kinds_are_not_read if {
	every name in ["a", "a.sh", "a.exe", "odt", "a.py"] {
		got := decision with input as asks(["read"], sprintf("file:/home/alice/Letters/%s", [name]), {})
		without_reasons(got) == {"effect": "deny", "policy_id": "valetkey-documents", "requestable": true}
	}
}

test_documents_with_macros_are_refused if {
	every kind in with_macros {
		every action in ["read", "metadata", "create", "write"] {
			got := decision with input as asks([action], sprintf("file:/home/alice/Letters/a%s", [upper(kind)]), {})
			got == {
				"effect": "deny",
				"policy_id": "valetkey-documents",
				"reasons": ["documents that can hold macros are not worked on"],
			}
		}
	}
	# What only ends like one is something else.
	got := decision with input as asks(["metadata"], "https://example.com/a.xlsm", {"scheme": "https"})
	got.reasons == ["only documents of the folder are worked on"]
}

test_nothing_is_run if {
	every resource in [letter, "file:/home/alice/Letters/x"] {
		every actions in [["execute"], ["read", "execute"]] {
			got := decision with input as asks(actions, resource, {})
			got == {
				"effect": "deny",
				"policy_id": "valetkey-documents",
				"reasons": ["an assistant for documents runs nothing"],
			}
		}
	}
}

test_a_new_document_is_made if {
	every actions in [["create"], ["create", "write"], ["create", "append", "metadata"]] {
		got := decision with input as asks(actions, letter, {"kind": "absent"})
		without_reasons(got) == {
			"effect": "allow",
			"policy_id": "valetkey-documents",
			"ttl_seconds": 300,
			"constraints": {"allow_macros": false, "max_write_bytes": 67108864},
			"obligations": {"durability": "before_effect", "labels": ["documents"]},
		}
	}
}

test_what_is_there_is_not_made_anew if {
	every kind in ["file", "directory", "symlink", "other"] {
		got := decision with input as asks(["create"], letter, {"kind": kind})
		got.effect == "deny"
	}
	# Deletion makes no document, and a pattern is not one; elsewhere none is made.
	every asked in [
		asks(["create", "delete"], letter, {"kind": "absent"}),
		asks(["create"], "file:/home/alice/Letters/*.odt", {"kind": "absent"}),
		asks(["create"], letter, {"kind": "absent", "in_workspace": false}),
		asks(["create"], "file:/home/alice/Letters/a.sh", {"kind": "absent"}),
	] {
		decision.effect == "deny" with input as asked
	}
	only_written := decision with input as asks(["write"], letter, {"kind": "absent"})
	only_written.effect == "ask"
}

test_a_change_is_asked_each_time if {
	every actions in [["write"], ["append"], ["read", "write", "metadata"]] {
		got := decision with input as asks(actions, letter, {})
		without_reasons(got) == {
			"effect": "ask",
			"policy_id": "valetkey-documents",
			"ttl_seconds": 300,
			"constraints": {"allow_macros": false, "max_write_bytes": 67108864},
			"approval": owner_once(300),
			"obligations": {"durability": "before_effect", "labels": ["documents"]},
		}
	}
	every asked in [
		asks(["write"], "file:/home/alice/Letters/*.odt", {}),
		asks(["write"], letter, outside),
		asks(["write"], "file:/home/alice/Letters/a.sh", {}),
	] {
		decision.effect == "deny" with input as asked
	}
}

test_a_deletion_is_denied if {
	every actions in [["delete"], ["write", "delete"], ["read", "delete"]] {
		decision.effect == "deny" with input as asks(actions, letter, {})
	}
}

test_a_document_elsewhere_in_the_home_is_asked_for if {
	every actions in [["read"], ["read", "metadata"]] {
		got := decision with input as asks(actions, letter, outside)
		without_reasons(got) == {
			"effect": "ask",
			"policy_id": "valetkey-documents",
			"ttl_seconds": 300,
			"constraints": {"allow_macros": false},
			"approval": owner_once(60),
			"obligations": {"durability": "before_effect", "labels": ["documents"]},
		}
	}
	every asked in [
		asks(["read"], "file:/home/alice/*.odt", outside),
		asks(["read"], "file:/home/alice/a.sh", outside),
		asks(["read"], letter, {"in_workspace": false, "in_home": false}),
	] {
		decision.effect == "deny" with input as asked
	}
}

granted(actions, grant) := object.union(
	asks(actions, "file:/srv/x.bin", {"in_workspace": false, "in_home": false}),
	{"request": {"granted_by_person": grant}},
)

test_what_the_person_granted_is_allowed_as_granted if {
	got := decision with input as granted(["read"], {"constraints": {"max_bytes": 9}, "except": ["file:/x/y"]})
	without_reasons(got) == {
		"effect": "allow",
		"policy_id": "valetkey-documents",
		"ttl_seconds": 3600,
		"constraints": {"allow_macros": false, "max_bytes": 9},
		"except": ["file:/x/y"],
		"obligations": {"durability": "before_effect"},
	}
	bare := decision with input as granted(["read"], {})
	bare.constraints == {"allow_macros": false}
	bare.except == []
	every given in [null, false, "x"] {
		decision.effect == "deny" with input as granted(["read"], given)
	}
	decision.effect == "deny" with input as granted(["execute"], {})
}

test_a_request_for_nothing_is_denied if {
	got := decision with input as asks([], letter, {})
	got.reasons == ["nothing is asked for"]
}

test_an_empty_input_is_denied if {
	decision.effect == "deny" with input as {}
}
