//! Inputs for tests: Alice's session on her own machine, asking for something.

use valetkey_model::{
    AgentFacts, AgentId, Constraints, ContextFacts, Grant, PolicyInput, RequestFacts, RequestId,
    ResourceFacts, SessionFacts, SessionId, SubjectFacts, Timestamp, UserFacts,
};

use crate::{Bundle, BundleLimits, Policy, PolicyError};

/// Alice works in `/home/alice/work` and asks for `resource`.
pub(crate) fn asks(actions: &str, resource: &str) -> PolicyInput {
    asks_in("file:/home/alice/work/**", actions, resource)
}

/// As [`asks`], with another workspace.
pub(crate) fn asks_in(workspace: &str, actions: &str, resource: &str) -> PolicyInput {
    let resource = resource.parse().unwrap();
    let time = Timestamp::from_unix_ms(1_768_662_720_000);
    PolicyInput {
        resource: ResourceFacts::of(&resource),
        request: RequestFacts {
            id: RequestId::new(time, [1; 10]),
            resource,
            actions: actions.parse().unwrap(),
            constraints: Constraints::default(),
            justification: Some("to finish the report".into()),
            granted_by_person: None,
        },
        subject: SubjectFacts {
            user: UserFacts {
                uid: 1000,
                name: "alice".into(),
                home: "/home/alice".into(),
                home_resource: None,
                groups: vec![1000, 27],
            },
            agent: AgentFacts {
                id: AgentId::sanitised("coder"),
                digest: None,
                attested: false,
            },
            session: SessionFacts {
                id: SessionId::new(time, [2; 10]),
                purpose: Some("tidy up".into()),
                workspace: Some(workspace.parse().unwrap()),
                grants: vec![grant("file:/srv/data/**", "read")],
                age_seconds: 12,
                labels: vec![],
            },
        },
        context: ContextFacts {
            time,
            platform: "linux".into(),
            requests_last_minute: 3,
            requests_last_hour: 40,
            protected: vec!["file:/home/alice/.vk/**".parse().unwrap()],
        },
    }
}

/// A grant without constraints.
pub(crate) fn grant(resource: &str, actions: &str) -> Grant {
    Grant {
        resource: resource.parse().unwrap(),
        actions: actions.parse().unwrap(),
        constraints: Constraints::default(),
        except: vec![],
    }
}

/// A bundle of one module `policy.rego`.
pub(crate) fn bundle(rego: &str) -> Result<Bundle, PolicyError> {
    files(&[("policy.rego", rego)])
}

/// A bundle of these files.
pub(crate) fn files(files: &[(&str, &str)]) -> Result<Bundle, PolicyError> {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    Bundle::from_files(files, BundleLimits::default())
}

/// The policy of one module with this body in `package valetkey`.
pub(crate) fn policy(body: &str) -> Policy {
    let bundle = bundle(&format!("package valetkey\n\n{body}\n")).unwrap();
    Policy::compile(&bundle).unwrap()
}
