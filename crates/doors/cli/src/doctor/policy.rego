# The doctor's session: its workspace, and nobody is ever asked.
package valetkey

default decision := {
	"effect": "deny",
	"policy_id": "valetkey-doctor",
	"reasons": ["the doctor's cell is given its workspace alone"],
}

decision := {
	"effect": "allow",
	"policy_id": "valetkey-doctor",
	"reasons": ["it is in the workspace"],
	"ttl_seconds": 300,
	"obligations": {"durability": "streamed"},
} if {
	input.resource.scheme == "file"
	input.resource.in_workspace
}
