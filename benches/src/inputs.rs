//! Inputs of policy: one as the broker makes it, and many that between them reach most rules of the starter bundles.

use std::path::Path;

use valetkey_model::{
    Action, ActionSet, AgentFacts, AgentId, Constraints, ContextFacts, PolicyInput, RequestFacts,
    RequestId, Resource, ResourceFacts, SessionFacts, SessionId, SubjectFacts, Timestamp,
    UserFacts,
};

use crate::Failure;

/// Places beside the workspace that the starter bundles have something to say of, and some of which they have nothing.
const PLACES: [&str; 26] = [
    "file:/home/alice",
    "file:/home/alice/**",
    "file:/home/alice/notes.txt",
    "file:/home/alice/Reports/q3.xlsx",
    "file:/home/alice/Reports/**",
    "file:/home/alice/.ssh/id_ed25519",
    "file:/home/alice/.ssh/**",
    "file:/home/alice/.aws/credentials",
    "file:/home/alice/.bashrc",
    "file:/home/alice/.config/autostart/x.desktop",
    "file:/home/alice/code/.git/hooks/pre-commit",
    "file:/home/alice/code/.env",
    "file:/home/alice/code/**/.env",
    "file:/etc/passwd",
    "file:/etc/shadow",
    "file:/etc/**",
    "file:/usr/bin/git",
    "file:/srv/elsewhere/file.txt",
    "file:/**",
    "file:/",
    "exec:/usr/bin/git",
    "https://api.example.com/v1/**",
    "tcp:db.internal:5432",
    "tool:github/create_issue",
    "secret:vault/database/creds/reporting",
    "bus:org.freedesktop.Notifications/Notify",
];

/// Places below the workspace.
const WITHIN: [&str; 6] = [
    "",
    "a.txt",
    "src/main.rs",
    ".env",
    ".git/config",
    ".git/hooks/x",
];

/// A request to read `path` in a session that works in `workspace`.
///
/// # Errors
/// When a path is not canonical.
pub fn read(path: &Path, workspace: &Path) -> Result<PolicyInput, Failure> {
    of(
        Resource::file(path)?,
        ActionSet::of(&[Action::Read]),
        workspace,
    )
}

/// Every place with every action, and with some together.
///
/// # Errors
/// When a path is not canonical.
pub fn all(workspace: &Path) -> Result<Vec<PolicyInput>, Failure> {
    let mut places = vec![Resource::tree(workspace)?];
    for name in WITHIN {
        let path = workspace.join(name);
        // An empty name would leave a `/` at the end.
        places.push(Resource::file(if name.is_empty() {
            workspace
        } else {
            &path
        })?);
    }
    for text in PLACES {
        places.push(text.parse()?);
    }
    let mut wishes: Vec<ActionSet> = Action::ALL
        .iter()
        .map(|one| ActionSet::of(&[*one]))
        .collect();
    wishes.push("read,list,metadata".parse()?);
    wishes.push("read,write,create,delete".parse()?);
    wishes.push("read,connect".parse()?);
    let mut inputs = Vec::new();
    for place in places {
        for wish in &wishes {
            inputs.push(of(place.clone(), *wish, workspace)?);
        }
    }
    Ok(inputs)
}

fn of(resource: Resource, actions: ActionSet, workspace: &Path) -> Result<PolicyInput, Failure> {
    let time = Timestamp::from_unix_ms(1_768_662_720_000);
    let facts = PolicyInput {
        resource: ResourceFacts::of(&resource),
        request: RequestFacts {
            id: RequestId::new(time, [1; 10]),
            resource,
            actions,
            constraints: Constraints::default(),
            justification: None,
            granted_by_person: None,
        },
        subject: SubjectFacts {
            user: UserFacts {
                uid: 1000,
                name: "alice".to_owned(),
                home: "/home/alice".to_owned(),
                home_resource: None,
                groups: vec![1000, 27],
            },
            agent: AgentFacts {
                id: AgentId::sanitised("bench"),
                digest: None,
                attested: false,
            },
            session: SessionFacts {
                id: SessionId::new(time, [2; 10]),
                purpose: Some("to be measured".to_owned()),
                workspace: Some(Resource::tree(workspace)?),
                grants: Vec::new(),
                age_seconds: 1,
                labels: Vec::new(),
            },
        },
        context: ContextFacts {
            time,
            platform: "linux".to_owned(),
            requests_last_minute: 3,
            requests_last_hour: 40,
            protected: Vec::new(),
        },
    };
    Ok(facts.with_derived_facts())
}
