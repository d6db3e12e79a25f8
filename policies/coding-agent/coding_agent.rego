# Coding agent: a program that works on the source tree of the session's workspace.
#
#   anything in the workspace                                 allow
#   read tools and caches in the home (`readable` below)      allow
#   write what build tools keep (`writable` below)            allow
#   names in the home                                         can be seen
#   read anything else in the home                            ask the owner, once for the task
#   change anything else in the home                          ask the owner, each time
#   connect to where packages and sources come from           ask the owner, once for the task
#   anything else                                             deny
#
# A flow rule: what lies in a directory named `confidential` labels the session that reads it, and a session with that label connects to
# nothing any more, whatever was granted. A tree is given without such directories, so that each of their files is decided by itself and no
# read of them goes without its label.
#
# Keys, credentials and files that run later are the guardrails' matter, which hold beside this policy: a hook in
# `.git/hooks` or a task of an editor is asked for, although it lies in the workspace.
package valetkey

actions := {action | some action in input.request.actions}

for_files := {"read", "write", "append", "create", "delete", "execute", "list", "metadata"}

changing := {"write", "append", "create", "delete"}

looking := {"read", "list", "metadata", "execute"}

# Places in the home that tools of many languages live from, below the home directory.
readable := [
	".cache/", ".cargo/bin/", ".cargo/git/", ".cargo/registry/", ".config/git/ignore/", ".deno/", ".gradle/caches/",
	".local/lib/", ".local/share/pnpm/", ".m2/repository/", ".npm/", ".nuget/packages/", ".nvm/", ".pyenv/", ".rbenv/",
	".rustup/", ".yarn/", "go/pkg/",
]

# What build tools write besides the workspace. Nothing in it is run by a later program of the person's own accord.
writable := [
	".cache/go-build/", ".cache/pip/", ".cargo/git/", ".cargo/registry/", ".gradle/caches/", ".m2/repository/",
	".npm/_cacache/", ".nuget/packages/", "go/pkg/mod/",
]

# Hosts of packages and sources.
hosts := {
	"crates.io", "files.pythonhosted.org", "github.com", "gitlab.com", "index.crates.io", "proxy.golang.org",
	"pypi.org", "registry.npmjs.org", "repo.maven.apache.org", "static.crates.io", "sum.golang.org",
}

is_file if {
	input.resource.scheme == "file"
	count(actions) > 0
	count(actions - for_files) == 0
}

changes if count(actions & changing) > 0

looks if count(actions - looking) == 0

# What is asked for as a place below the home, with a `/` behind it: `.npm/` holds `.npm/x/`, not `.npmrc/`.
below_home := trim_prefix(concat("", [input.request.resource, "/"]), concat("", [input.subject.user.home_resource, "/"])) if {
	is_file
	input.resource.in_home
}

reads_tools if {
	looks
	strings.any_prefix_match(below_home, readable)
}

writes_caches if {
	not "execute" in actions
	strings.any_prefix_match(below_home, writable)
}

host := split(split(trim_prefix(input.request.resource, "https://"), "/")[0], ":")[0] if input.resource.scheme == "https"

connects if actions == {"connect"}

# Directories by their name, in the spelling of file systems that tell capitals apart.
apart := ["file:/**/confidential/**"]

is_confidential if {
	is_file
	contains(concat("", [input.request.resource, "/"]), "/confidential/")
}

default left_out := []

left_out := apart if input.resource.is_pattern

marks(when) := {"durability": when, "labels": ["confidential"]} if is_confidential

marks(when) := {"durability": when} if not is_confidential

has_read_confidential if "confidential" in input.subject.session.labels

granted if is_object(input.request.granted_by_person)

default durability := "streamed"

durability := "before_effect" if changes

once_for(scope, seconds) := {
	"quorum": [{"role": "owner", "count": 1}],
	"expires_seconds": 120,
	"lease": {"scope": scope, "max_seconds": seconds},
}

decision := {
	"effect": "deny",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["the session has read what is confidential: it connects to nothing any more"],
} if {
	"connect" in actions
	has_read_confidential
} else := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["the person granted it when starting the session"],
	"ttl_seconds": 3600,
	"constraints": object.get(input.request.granted_by_person, "constraints", {}),
	"except": array.concat(object.get(input.request.granted_by_person, "except", []), left_out),
	"obligations": object.union(marks(durability), {"view": "quiet_if_wanted"}),
} if {
	granted
} else := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["it is in the workspace"],
	"ttl_seconds": 3600,
	"except": left_out,
	"obligations": object.union(marks("streamed"), {"view": "quiet_if_wanted"}),
} if {
	is_file
	input.resource.in_workspace
} else := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["tools and caches in the home directory can be read"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	reads_tools
} else := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["caches of build tools can be written"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	writes_caches
} else := {
	"effect": "allow",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["names in the home directory can be seen"],
	"ttl_seconds": 3600,
	"obligations": {"durability": "streamed"},
} if {
	input.resource.in_home
	actions == {"metadata"}
} else := {
	"effect": "ask",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["it is in the home directory, outside of the workspace"],
	"ttl_seconds": 300,
	"except": left_out,
	"approval": once_for("task", 3600),
	"obligations": marks("before_effect"),
} if {
	is_file
	input.resource.in_home
	not changes
} else := {
	"effect": "ask",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["it would change the home directory, outside of the workspace"],
	"ttl_seconds": 300,
	"approval": once_for("once", 300),
} if {
	is_file
	input.resource.in_home
} else := {
	"effect": "ask",
	"policy_id": "valetkey-coding-agent",
	"reasons": [sprintf("packages and sources come from %s", [host])],
	"ttl_seconds": 3600,
	"approval": once_for("task", 3600),
	"obligations": {"durability": "before_effect"},
} if {
	connects
	host in hosts
} else := {
	"effect": "deny",
	"policy_id": "valetkey-coding-agent",
	"reasons": ["it is neither in the workspace nor in the home directory, and the person did not grant it"],
	"requestable": true,
}
