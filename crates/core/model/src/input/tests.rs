//! Tests of the derived facts: what they say, and that they cannot be handed in.

use super::*;
use crate::Constraints;

fn input(resource: &str, actions: &str) -> PolicyInput {
    let resource: Resource = resource.parse().unwrap();
    PolicyInput {
        resource: ResourceFacts::of(&resource),
        request: RequestFacts {
            id: RequestId::new(Timestamp::from_unix_ms(0), [0; 10]),
            resource,
            actions: actions.parse().unwrap(),
            constraints: Constraints::default(),
            justification: None,
            granted_by_person: None,
        },
        subject: SubjectFacts {
            user: UserFacts {
                uid: 1000,
                name: "al ice".into(),
                home: "/home/al ice".into(),
                home_resource: None,
                groups: vec![],
            },
            agent: AgentFacts {
                id: AgentId::sanitised("agent"),
                digest: None,
                attested: false,
            },
            session: SessionFacts {
                id: SessionId::new(Timestamp::from_unix_ms(0), [0; 10]),
                purpose: None,
                workspace: Some("file:/home/al%20ice/work/**".parse().unwrap()),
                grants: vec![],
                age_seconds: 0,
                labels: vec![],
            },
        },
        context: ContextFacts {
            time: Timestamp::from_unix_ms(0),
            platform: "linux".into(),
            requests_last_minute: 0,
            requests_last_hour: 0,
            protected: vec![
                "file:/home/al%20ice/.local/state/valetkey/**"
                    .parse()
                    .unwrap(),
            ],
        },
    }
}

fn grant(resource: &str, actions: &str) -> Grant {
    Grant {
        resource: resource.parse().unwrap(),
        actions: actions.parse().unwrap(),
        constraints: Constraints::default(),
        except: vec!["file:/**/.env".parse().unwrap()],
    }
}

#[test]
fn places_are_told_apart() {
    for (resource, workspace, home, protected) in [
        ("file:/home/al%20ice/work/a", true, true, false),
        ("file:/home/al%20ice/work/**", true, true, false),
        ("file:/home/al%20ice/**", false, true, false),
        ("file:/home/al%20ice", false, true, false),
        ("file:/home/al%20icecream", false, false, false),
        ("file:/home/al%20ice/workshop", false, true, false),
        ("file:/home/*/work/a", false, false, false),
        (
            "file:/home/al%20ice/.local/state/valetkey/key",
            false,
            true,
            true,
        ),
        ("exec:/home/al%20ice/work/a", false, false, false),
        (
            "exec:/home/al%20ice/.local/state/valetkey/key",
            false,
            false,
            true,
        ),
        ("tcp:home:1", false, false, false),
    ] {
        let facts = input(resource, "read").with_derived_facts().resource;
        let seen = (facts.in_workspace, facts.in_home, facts.is_protected);
        assert_eq!(seen, (workspace, home, protected), "{resource}");
    }
}

#[test]
fn a_home_that_is_everything_or_nothing_is_no_home() {
    for (home, place) in [
        ("/", Some("file:/")),
        ("//", Some("file:/")),
        ("", None),
        ("home", None),
        ("/a/../b", None),
        ("/a//b", None),
    ] {
        let mut asked = input("file:/a", "read");
        asked.subject.user.home = home.into();
        let derived = asked.with_derived_facts();
        assert!(!derived.resource.in_home, "{home:?}");
        let seen = derived.subject.user.home_resource.map(String::from);
        assert_eq!(seen.as_deref(), place, "{home:?}");
    }
}

#[test]
fn a_slash_after_the_home_changes_nothing() {
    let mut asked = input("file:/home/al%20ice/x", "read");
    asked.subject.user.home = "/home/al ice/".into();
    let derived = asked.with_derived_facts();
    assert!(derived.resource.in_home);
    let seen = derived.subject.user.home_resource.map(String::from);
    assert_eq!(seen.as_deref(), Some("file:/home/al%20ice"));
}

#[test]
fn facts_that_were_handed_in_do_not_count() {
    let mut asked = input("file:/srv/x", "read");
    asked.request.granted_by_person = Some(grant("file:/srv/**", "read"));
    asked.subject.user.home_resource = Some("file:/srv".parse().unwrap());
    asked.resource = ResourceFacts {
        path: Some("/home/al ice/work/x".into()),
        in_workspace: true,
        in_home: true,
        ..asked.resource
    };
    let derived = asked.with_derived_facts();
    assert_eq!(derived.request.granted_by_person, None);
    assert_eq!(derived.resource.path.as_deref(), Some("/srv/x"));
    assert!(!derived.resource.in_workspace && !derived.resource.in_home);
    assert_eq!(
        derived
            .subject
            .user
            .home_resource
            .map(String::from)
            .as_deref(),
        Some("file:/home/al%20ice")
    );
}

#[test]
fn the_guards_own_facts_are_kept() {
    let mut asked = input("file:/srv/x", "read");
    asked.resource.kind = Some(FileKind::Other);
    asked.resource.mode = Some(0o644);
    let facts = asked.with_derived_facts().resource;
    assert_eq!(
        (facts.kind, facts.mode),
        (Some(FileKind::Other), Some(0o644))
    );
}

#[test]
fn a_grant_counts_when_it_covers_the_whole_request() {
    for (resource, actions, granted) in [
        ("file:/srv/a", "read", true),
        ("file:/srv/a", "metadata", true),
        ("file:/srv", "list,metadata", true),
        ("file:/srv/a", "read,write", false),
        ("file:/srv/.env", "read", false),
        ("file:/log/a", "append,metadata", true),
        ("file:/log", "list", false),
        ("file:/**", "read", false),
    ] {
        let mut asked = input(resource, actions);
        asked.subject.session.grants = vec![
            grant("file:/srv/**", "read"),
            grant("file:/log/**", "append"),
        ];
        let derived = asked.with_derived_facts();
        assert_eq!(
            derived.request.granted_by_person.is_some(),
            granted,
            "{resource} {actions}"
        );
    }
}
