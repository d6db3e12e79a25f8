//! The table against a model that knows nothing but a list: random lives of capabilities, and no child outlives its parent.

use std::collections::BTreeSet;

use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Confirmation};
use valetkey_model::{AgentId, Constraints, Digest, Grant, SessionId};

use super::*;

const START: u64 = 1_800_000_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

fn id(number: u64) -> CapabilityId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    CapabilityId::new(at(0), random)
}

fn claims(number: u64, ttl: u64, now: u64, single: bool) -> Claims {
    Claims {
        iss: "local-broker".to_owned(),
        sub: AgentId::sanitised("agent"),
        aud: AUDIENCE_GUARD.to_owned(),
        jti: id(number),
        iat: START + now,
        nbf: START + now,
        exp: START + now + ttl,
        cnf: Confirmation {
            valetkey_session: SessionId::new(at(0), [1; 10]),
        },
        authorization_details: [AuthorizationDetail::of(grant(single))],
        parent: None,
        approvals: vec![],
        policy_id: "p".to_owned(),
        policy_digest: Digest::of(b"policy"),
    }
}

fn grant(single: bool) -> Grant {
    Grant {
        resource: "file:/w/**".parse().unwrap(),
        actions: "read,write".parse().unwrap(),
        constraints: Constraints {
            single_use: single.then_some(true),
            ..Constraints::default()
        },
        except: vec![],
    }
}

fn child(parent: &Entry, number: u64, ttl: u64, now: u64, single: bool) -> Option<Claims> {
    parent
        .claims
        .narrow(&grant(single), ttl, id(number), at(now))
        .ok()
}

fn ids(entries: &[Entry]) -> Vec<CapabilityId> {
    entries
        .iter()
        .map(|entry| entry.claims.jti.clone())
        .collect()
}

/// Three generations of one family, and one beside it.
fn family() -> Live {
    let mut live = Live::default();
    live.add(claims(1, 100, 0, false), false, at(0)).unwrap();
    live.add(claims(9, 100, 0, false), false, at(0)).unwrap();
    for (parent, number) in [(1, 2), (1, 3), (2, 4)] {
        let above = live.get(&id(parent), at(0)).unwrap().clone();
        let below = child(&above, number, 1000, 0, false).unwrap();
        live.add(below, false, at(0)).unwrap();
    }
    live
}

#[test]
fn a_parent_takes_its_descendants_along() {
    let mut live = family();
    let ended = ids(&live.end(&id(1)));
    assert_eq!(ended.first(), Some(&id(1)), "parents first");
    assert_eq!(
        ended.iter().cloned().collect::<BTreeSet<_>>(),
        (1..=4).map(id).collect()
    );
    assert_eq!(live.all(at(0)).count(), 1);
    assert!(live.end(&id(1)).is_empty() && live.end(&id(4)).is_empty());
    let mut live = family();
    assert_eq!(ids(&live.end(&id(2))), [id(2), id(4)]);
    assert!(live.get(&id(3), at(0)).is_some() && live.get(&id(1), at(0)).is_some());
}

#[test]
fn a_child_of_what_has_ended_or_of_another_is_not_taken() {
    let mut live = family();
    let parent = live.get(&id(2), at(0)).unwrap().clone();
    let late = child(&parent, 7, 50, 0, false).unwrap();
    let _ended = live.end(&id(1));
    assert_eq!(live.add(late.clone(), false, at(0)), Err(NoRoom::NoParent));
    // Claims that name a live parent, and give more than it gives.
    let mut live = family();
    let mut wide = late;
    wide.authorization_details[0].resource = "file:/**".parse().unwrap();
    assert_eq!(live.add(wide, false, at(0)), Err(NoRoom::NoParent));
    let parent = live.get(&id(2), at(0)).unwrap().clone();
    let late = child(&parent, 7, 50, 0, false).unwrap();
    assert_eq!(
        live.add(late, false, at(100)),
        Err(NoRoom::NoParent),
        "expired"
    );
}

#[test]
fn generations_and_children_are_bounded() {
    let mut live = Live::default();
    live.add(claims(0, 1000, 0, false), false, at(0)).unwrap();
    for number in 0..=MAX_GENERATIONS as u64 {
        let above = live.get(&id(number), at(0)).unwrap().clone();
        let below = child(&above, number + 1, 1000, 0, false).unwrap();
        let expected = if number == MAX_GENERATIONS as u64 {
            Err(NoRoom::TooDeep)
        } else {
            Ok(())
        };
        assert_eq!(live.add(below, false, at(0)), expected);
    }
    let mut live = Live::default();
    live.add(claims(0, 1000, 0, false), false, at(0)).unwrap();
    for number in 1..=MAX_CHILDREN as u64 + 1 {
        let above = live.get(&id(0), at(0)).unwrap().clone();
        let below = child(&above, number, 10, 0, false).unwrap();
        let taken = live.add(below, false, at(0));
        assert_eq!(taken.is_ok(), number <= MAX_CHILDREN as u64);
    }
    assert!(
        live.may_add_below(&id(0), at(10)).is_ok(),
        "those that expired leave room"
    );
}

#[test]
fn the_table_is_bounded_and_expiry_makes_room() {
    let mut live = Live::default();
    for number in 0..MAX_LIVE as u64 {
        live.add(claims(number, 10, 0, false), false, at(0))
            .unwrap();
    }
    let more = claims(MAX_LIVE as u64, 10, 0, false);
    assert_eq!(live.add(more.clone(), false, at(9)), Err(NoRoom::Full));
    assert_eq!(live.add(more, false, at(10)), Ok(()));
    assert_eq!(live.entries.len(), 1);
}

#[test]
fn a_family_has_one_use() {
    let mut live = Live::default();
    live.add(claims(1, 60, 0, true), false, at(0)).unwrap();
    for (parent, number) in [(1, 2), (1, 3), (2, 4)] {
        let above = live.get(&id(parent), at(0)).unwrap().clone();
        live.add(child(&above, number, 30, 0, false).unwrap(), false, at(0))
            .unwrap();
    }
    for number in 1..=4 {
        let (root, until) = live
            .get(&id(number), at(0))
            .unwrap()
            .use_of()
            .unwrap()
            .clone();
        assert_eq!(
            (root, until),
            (id(1), at(60)),
            "kept for as long as the eldest would live"
        );
    }
    let used = live.use_up(&id(2));
    assert_eq!(
        used.unaware.into_iter().collect::<BTreeSet<_>>(),
        [id(3), id(4)].into()
    );
    assert_eq!(live.all(at(0)).count(), 0);
    // Below one that is good for many uses, the use is the child's own.
    let mut live = Live::default();
    live.add(claims(1, 60, 0, false), false, at(0)).unwrap();
    let above = live.get(&id(1), at(0)).unwrap().clone();
    live.add(child(&above, 2, 30, 0, true).unwrap(), false, at(0))
        .unwrap();
    assert_eq!(live.use_up(&id(2)), Used { unaware: vec![] });
    assert!(live.get(&id(1), at(0)).is_some());
}

#[test]
fn a_renewed_parent_keeps_its_children_and_their_time() {
    let mut live = family();
    live.add(claims(10, 300, 50, false), false, at(50)).unwrap();
    assert_eq!(ids(&live.succeed(&id(1), &id(10), at(50))), [id(1)]);
    assert_eq!(
        live.get(&id(2), at(50)).unwrap().capability().parent,
        Some(id(10))
    );
    assert!(
        live.get(&id(2), at(100)).is_none(),
        "its own time is not lengthened"
    );
    assert_eq!(live.end(&id(10)).len(), 4);
    // One that ends sooner, gives less, or is the child itself is no successor.
    for (ttl, single) in [(10, false), (60, true)] {
        let mut live = family();
        live.add(claims(10, ttl, 50, single), false, at(50))
            .unwrap();
        assert_eq!(live.succeed(&id(1), &id(10), at(50)).len(), 4);
    }
    let mut live = family();
    assert_eq!(live.succeed(&id(1), &id(2), at(0)).len(), 4);
    let mut live = family();
    assert_eq!(live.succeed(&id(1), &id(1), at(0)).len(), 4);
    let mut live = family();
    assert_eq!(live.succeed(&id(1), &id(77), at(0)).len(), 4);
}

/// The model: every capability ever made, its parent, its end, and whether it was ended.
#[derive(Default)]
struct Model {
    made: Vec<Made>,
}

struct Made {
    parent: Option<usize>,
    expires: u64,
    single: bool,
    ended: bool,
}

impl Model {
    fn lives(&self, index: usize, now: u64) -> bool {
        let made = &self.made[index];
        !made.ended
            && made.expires > now
            && made.parent.is_none_or(|parent| self.lives(parent, now))
    }

    /// Whose use it shares.
    fn root(&self, index: usize) -> Option<usize> {
        let above = self.made[index].parent.and_then(|parent| self.root(parent));
        above.or(self.made[index].single.then_some(index))
    }

    fn depth(&self, index: usize) -> usize {
        self.made[index]
            .parent
            .map_or(0, |parent| 1 + self.depth(parent))
    }

    fn children(&self, index: usize, now: u64) -> usize {
        (0..self.made.len())
            .filter(|other| self.made[*other].parent == Some(index) && self.lives(*other, now))
            .count()
    }
}

#[test]
fn random_lives_agree_with_the_model_and_no_child_outlives_its_parent() {
    for seed in 1..=150 {
        walk(seed);
    }
}

fn walk(seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut roll = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let (mut live, mut model, mut now, mut used) =
        (Live::default(), Model::default(), 0, BTreeSet::new());
    for _ in 0..200 {
        let number = model.made.len() as u64;
        let any = usize::try_from(roll(number.max(1))).unwrap();
        match roll(10) {
            0 | 1 => {
                let (ttl, single) = (1 + roll(60), roll(4) == 0);
                live.add(claims(number, ttl, now, single), false, at(now))
                    .unwrap();
                model.made.push(Made {
                    parent: None,
                    expires: now + ttl,
                    single,
                    ended: false,
                });
            }
            2..=5 if number > 0 => {
                let (ttl, single) = (1 + roll(90), roll(4) == 0);
                let found = live.get(&id(any as u64), at(now)).cloned();
                assert_eq!(found.is_some(), model.lives(any, now), "seed {seed}");
                let Some(below) = found.and_then(|parent| child(&parent, number, ttl, now, single))
                else {
                    continue;
                };
                let room =
                    model.depth(any) < MAX_GENERATIONS && model.children(any, now) < MAX_CHILDREN;
                let expires = below.exp - START;
                assert!(expires <= model.made[any].expires, "seed {seed}");
                let single = below.grant().constraints.is_single_use();
                assert_eq!(live.add(below, false, at(now)).is_ok(), room, "seed {seed}");
                if room {
                    model.made.push(Made {
                        parent: Some(any),
                        expires,
                        single,
                        ended: false,
                    });
                }
            }
            // Released or revoked: the table knows no difference.
            6 if number > 0 => {
                let lived = model.lives(any, now);
                let ended = live.end(&id(any as u64));
                assert!(
                    !lived || ended[0].claims.jti == id(any as u64),
                    "seed {seed}"
                );
                model.made[any].ended = true;
            }
            7 | 8 if number > 0 => {
                let Some(entry) = live.get(&id(any as u64), at(now)).cloned() else {
                    assert!(!model.lives(any, now), "seed {seed}");
                    continue;
                };
                let root = model.root(any);
                assert_eq!(
                    entry.use_of().map(|(root, _)| root.clone()),
                    root.map(|root| id(root as u64))
                );
                if let Some(root) = root {
                    assert!(used.insert(root), "seed {seed}: one use in the family");
                    let _used = live.use_up(&id(any as u64));
                    model.made[root].ended = true;
                }
            }
            _ => {
                now += roll(15);
                if roll(3) == 0 {
                    live.clear_expired(at(now));
                }
            }
        }
        let table: BTreeSet<_> = live
            .all(at(now))
            .map(|entry| entry.claims.jti.clone())
            .collect();
        let expected = (0..model.made.len()).filter(|index| model.lives(*index, now));
        assert_eq!(
            table,
            expected.map(|index| id(index as u64)).collect(),
            "seed {seed}"
        );
        for entry in live.all(at(now)) {
            if let Some(parent) = &entry.parent {
                let above = live
                    .get(parent, at(now))
                    .unwrap_or_else(|| panic!("seed {seed}: an orphan"));
                assert!(entry.expires_at() <= above.expires_at(), "seed {seed}");
            }
        }
    }
}
