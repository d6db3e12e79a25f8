//! Who is chosen, and when a canary is taken back.

use super::*;

fn canary(of: CanaryOf) -> Canary {
    Canary {
        of,
        max_rise_percent: 10,
        window_seconds: 60,
        min_requests: 20,
    }
}

fn decided(effect: Effect) -> Decision {
    Decision {
        effect,
        ..Decision::denied("p", "why")
    }
}

fn session(number: u8) -> SessionId {
    SessionId::new(valetkey_model::Timestamp::from_unix_ms(1), [number; 10])
}

#[test]
fn a_percentage_is_stable_and_about_right() {
    let (agent, resource): (AgentId, Resource) =
        (AgentId::sanitised("a"), "file:/srv/x".parse().unwrap());
    let bundle = Digest::of(b"b");
    let chosen = |percent: u32, bundle: &Digest| {
        let canary = canary(CanaryOf::Percent(percent));
        let all = (0..=255).map(session);
        all.filter(|one| canary.selects(bundle, &agent, "u", one, &resource))
            .collect::<Vec<_>>()
    };
    let some = chosen(30, &bundle);
    assert!((50..105).contains(&some.len()), "{}", some.len());
    assert_eq!(some, chosen(30, &bundle));
    assert!(
        some.iter().all(|one| chosen(60, &bundle).contains(one)),
        "more are more of the same"
    );
    assert_ne!(some, chosen(30, &Digest::of(b"c")));
    assert_eq!(chosen(100, &bundle).len(), 256);
    assert!(chosen(0, &bundle).is_empty());
}

#[test]
fn agents_users_and_places_are_chosen_exactly() {
    let bundle = Digest::of(b"b");
    let selects = |of: CanaryOf, agent: &str, user: &str, resource: &str| {
        let (agent, resource) = (AgentId::sanitised(agent), resource.parse().unwrap());
        canary(of).selects(&bundle, &agent, user, &session(1), &resource)
    };
    let agents = || CanaryOf::Agents(vec![AgentId::sanitised("a")]);
    assert!(selects(agents(), "a", "u", "file:/x") && !selects(agents(), "ab", "u", "file:/x"));
    let users = || CanaryOf::Users(vec!["u".to_owned()]);
    assert!(selects(users(), "a", "u", "file:/x") && !selects(users(), "a", "U", "file:/x"));
    let places = || CanaryOf::Resources(vec!["file:/srv/**".parse().unwrap()]);
    assert!(selects(places(), "a", "u", "file:/srv/x") && !selects(places(), "a", "u", "file:/x"));
    assert!(
        !selects(places(), "a", "u", "file:/**"),
        "what is wider is not covered"
    );
}

#[test]
fn figures_that_cannot_be_kept_to_are_refused() {
    assert!(canary(CanaryOf::Percent(1)).is_usable() && canary(CanaryOf::Percent(100)).is_usable());
    for bad in [
        canary(CanaryOf::Percent(0)),
        canary(CanaryOf::Percent(101)),
        canary(CanaryOf::Users(Vec::new())),
        canary(CanaryOf::Users(vec!["u".to_owned(); 65])),
        Canary {
            window_seconds: 0,
            ..canary(CanaryOf::Percent(5))
        },
        Canary {
            min_requests: 0,
            ..canary(CanaryOf::Percent(5))
        },
        Canary {
            min_requests: 5000,
            ..canary(CanaryOf::Percent(5))
        },
        Canary {
            max_rise_percent: 101,
            ..canary(CanaryOf::Percent(5))
        },
    ] {
        assert!(!bad.is_usable(), "{bad:?}");
    }
}

#[test]
fn a_rise_of_denials_is_noticed_once_there_are_enough_and_forgotten_in_time() {
    let (allow, deny) = (decided(Effect::Allow), decided(Effect::Deny));
    let canary = canary(CanaryOf::Percent(50));
    let mut watch = Watch::default();
    // What both deny is no rise.
    for ms in 0..50 {
        assert!(!watch.push(&canary, ms, &deny, &deny));
    }
    let mut watch = Watch::default();
    for ms in 0..19 {
        assert!(!watch.push(&canary, ms, &allow, &deny), "too few to tell");
    }
    assert!(watch.push(&canary, 19, &allow, &deny));
    // A minute later they do not count any more.
    assert!(!watch.push(&canary, 70_000, &allow, &deny));
    // Two of twenty are ten in a hundred, and three are more.
    let mut watch = Watch::default();
    for ms in 0..18 {
        assert!(!watch.push(&canary, ms, &allow, &allow));
    }
    assert!(!watch.push(&canary, 18, &allow, &deny));
    assert!(!watch.push(&canary, 19, &allow, &deny));
    assert!(watch.push(&canary, 20, &allow, &deny));
    // What the candidate gives and the other denies weighs against it.
    assert!(!watch.push(&canary, 21, &deny, &allow));
    for ms in 0..10_000 {
        let _tripped = watch.push(&canary, 21, &allow, &allow);
        assert!(watch.seen.len() <= WATCHED_MAX, "{ms}");
    }
}

#[test]
fn a_difference_is_what_is_given_not_how_it_is_said() {
    let (allow, ask, deny) = (
        decided(Effect::Allow),
        decided(Effect::Ask),
        decided(Effect::Deny),
    );
    assert_eq!(Difference::of(&deny, &allow), Difference::Wider);
    assert_eq!(Difference::of(&ask, &allow), Difference::Wider);
    assert_eq!(Difference::of(&allow, &ask), Difference::Narrower);
    let said = Decision {
        policy_id: "q".to_owned(),
        reasons: vec!["other".to_owned()],
        ..allow.clone()
    };
    assert_eq!(Difference::of(&allow, &said), Difference::Same);
    let longer = Decision {
        ttl_seconds: 301,
        ..allow.clone()
    };
    assert_eq!(Difference::of(&allow, &longer), Difference::Otherwise);
    let hinted = Decision {
        requestable: true,
        ..deny.clone()
    };
    assert_eq!(Difference::of(&deny, &hinted), Difference::Same);
}
