# Documents: an assistant that works on one folder of documents, the session's workspace.
#
#   see, list and read documents in the folder      allow, macros off
#   make new documents there                        allow, macros off; each is recorded before it is made
#   change what is there                            ask the owner, each document by itself
#   read documents elsewhere in the home            ask the owner, each by itself
#   documents with macros, programs, deletions      deny
#   anything else                                   deny
#
# What was granted when starting the session is allowed as it was granted, but nothing is ever run.
package valetkey

actions := {action | some action in input.request.actions}

seeing := {"list", "metadata"}

# What people read and write. A file of another kind is not this assistant's matter.
kinds := [
	".csv", ".docx", ".html", ".jpeg", ".jpg", ".json", ".md", ".odp", ".ods", ".odt", ".pdf", ".png", ".pptx",
	".rtf", ".svg", ".txt", ".xlsx", ".xml", ".yaml", ".yml",
]

# Formats that can hold programs, old binary ones too, whatever is said of their content.
with_macros := [
	".doc", ".docm", ".dotm", ".pot", ".potm", ".ppam", ".pps", ".ppsm", ".ppt", ".pptm", ".sldm", ".xla", ".xlam",
	".xls", ".xlsb", ".xlsm", ".xltm",
]

text := lower(input.request.resource)

is_file if input.resource.scheme == "file"

is_document if {
	is_file
	strings.any_suffix_match(text, kinds)
}

can_hold_macros if strings.any_suffix_match(text, with_macros)

is_single if input.resource.is_pattern == false

granted if is_object(input.request.granted_by_person)

asks_nothing if count(actions) == 0

runs if "execute" in actions

reads_only if count(actions - {"read", "list", "metadata"}) == 0

sees_only if count(actions - seeing) == 0

# A document that is not there yet; what is there is `write`, not `create`.
makes_only if {
	"create" in actions
	count(actions - {"create", "write", "append", "metadata"}) == 0
	input.resource.kind == "absent"
}

changes_only if count(actions - {"read", "write", "append", "metadata"}) == 0

refused contains "nothing is asked for" if asks_nothing

refused contains "an assistant for documents runs nothing" if runs

refused contains "documents that can hold macros are not worked on" if {
	is_file
	can_hold_macros
}

once(seconds) := {
	"quorum": [{"role": "owner", "count": 1}],
	"expires_seconds": 120,
	"lease": {"scope": "once", "max_seconds": seconds},
}

decision := {
	"effect": "deny",
	"policy_id": "valetkey-documents",
	"reasons": [reason | some reason in refused],
} if {
	count(refused) > 0
} else := {
	"effect": "allow",
	"policy_id": "valetkey-documents",
	"reasons": ["the person granted it when starting the session"],
	"ttl_seconds": 3600,
	"constraints": object.union({"allow_macros": false}, object.get(input.request.granted_by_person, "constraints", {})),
	"except": object.get(input.request.granted_by_person, "except", []),
	"obligations": {"durability": "before_effect"},
} if {
	granted
} else := {
	"effect": "allow",
	"policy_id": "valetkey-documents",
	"reasons": ["names in the folder can be seen"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	is_file
	input.resource.in_workspace
	sees_only
} else := {
	"effect": "allow",
	"policy_id": "valetkey-documents",
	"reasons": ["documents in the folder can be read"],
	"ttl_seconds": 3600,
	"constraints": {"allow_macros": false},
	"obligations": {"durability": "streamed", "labels": ["documents"]},
} if {
	is_document
	input.resource.in_workspace
	reads_only
} else := {
	"effect": "allow",
	"policy_id": "valetkey-documents",
	"reasons": ["new documents can be made in the folder"],
	"ttl_seconds": 300,
	"constraints": {"allow_macros": false, "max_write_bytes": 67108864},
	"obligations": {"durability": "before_effect", "labels": ["documents"]},
} if {
	is_document
	is_single
	input.resource.in_workspace
	makes_only
} else := {
	"effect": "ask",
	"policy_id": "valetkey-documents",
	"reasons": ["it would change a document that is there"],
	"ttl_seconds": 300,
	"constraints": {"allow_macros": false, "max_write_bytes": 67108864},
	"approval": once(300),
	"obligations": {"durability": "before_effect", "labels": ["documents"]},
} if {
	is_document
	is_single
	input.resource.in_workspace
	changes_only
} else := {
	"effect": "ask",
	"policy_id": "valetkey-documents",
	"reasons": ["the document lies outside of the folder"],
	"ttl_seconds": 300,
	"constraints": {"allow_macros": false},
	"approval": once(60),
	"obligations": {"durability": "before_effect", "labels": ["documents"]},
} if {
	is_document
	is_single
	input.resource.in_home
	reads_only
} else := {
	"effect": "deny",
	"policy_id": "valetkey-documents",
	"reasons": ["only documents of the folder are worked on"],
	"requestable": true,
}
