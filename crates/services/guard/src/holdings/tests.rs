//! Amounts to their edge, families, and finding what is held.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use valetkey_capability::{AUDIENCE_GUARD, AuthorizationDetail, Claims, Confirmation, IssuerKey};
use valetkey_model::{AgentId, Constraints, Digest, Grant, SessionId};
use valetkey_view::{Content, Identity, Limit, Permit as _, Purpose, Touched, Use};

use super::*;

/// A broker that signs whatever a test wants.
struct Issuer {
    key: IssuerKey,
    session: SessionId,
    next: AtomicU64,
}

impl Issuer {
    fn new() -> (Self, Holdings) {
        let key = IssuerKey::from_seed(&[7; 32]);
        let session = SessionId::new(Timestamp::from_unix_ms(1), [2; 10]);
        let holdings = Holdings::new(KeyRing::of(key.public().clone(), session.clone()));
        let issuer = Self {
            key,
            session,
            next: AtomicU64::new(1),
        };
        (issuer, holdings)
    }

    fn claims(&self, holdings: &Holdings, resource: &str, constraints: Constraints) -> Claims {
        let now = holdings.now().unix_seconds();
        let number = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let mut random = [0; 10];
        random[..8].copy_from_slice(&number);
        let ttl = if constraints.is_single_use() { 30 } else { 300 };
        Claims {
            iss: "local-broker".to_owned(),
            sub: AgentId::sanitised("tester"),
            aud: AUDIENCE_GUARD.to_owned(),
            jti: CapabilityId::new(holdings.now(), random),
            iat: now,
            nbf: now,
            exp: now + ttl,
            cnf: Confirmation {
                valetkey_session: self.session.clone(),
            },
            authorization_details: [AuthorizationDetail::of(Grant {
                resource: resource.parse().unwrap(),
                actions: "read,write,create,delete,metadata".parse().unwrap(),
                constraints,
                except: Vec::new(),
            })],
            parent: None,
            approvals: Vec::new(),
            policy_id: "test".to_owned(),
            policy_digest: Digest::of(b"policy"),
        }
    }

    fn hold(&self, holdings: &Holdings, claims: &Claims) -> Result<Arc<Held>, HoldError> {
        holdings.add(&Granted {
            token: self.key.sign_claims(claims).unwrap(),
            capability: Capability::from(claims),
            streamed: true,
            view: valetkey_model::ViewMode::Watched,
            lease_until: None,
            ended: Vec::new(),
        })
    }

    fn give(&self, holdings: &Holdings, resource: &str, constraints: Constraints) -> Arc<Held> {
        let claims = self.claims(holdings, resource, constraints);
        self.hold(holdings, &claims).unwrap()
    }

    fn narrow(
        &self,
        holdings: &Holdings,
        parent: &Held,
        constraints: Constraints,
    ) -> Result<Arc<Held>, HoldError> {
        let constraints = constraints.tightest(parent.constraints());
        let mut claims = self.claims(holdings, "file:/w/**", constraints);
        claims.parent = Some(parent.id());
        self.hold(holdings, &claims)
    }
}

fn bytes(most: u64) -> Constraints {
    Constraints {
        max_bytes: Some(most),
        max_write_bytes: Some(most),
        ..Constraints::default()
    }
}

fn operations(most: u64) -> Constraints {
    Constraints {
        max_operations: Some(most),
        ..Constraints::default()
    }
}

fn files(most: u64) -> Constraints {
    Constraints {
        max_files: Some(most),
        ..Constraints::default()
    }
}

fn object(ino: u64) -> Identity {
    Identity {
        dev: 1,
        ino,
        birth: Some((1, 0)),
    }
}

/// Opens the object, or makes a new one where there is none.
fn touch(held: &Held, object: Option<Identity>) -> Result<(), Limit> {
    let touched = [Touched {
        path: Path::new("/w/a.txt"),
        object,
        content: Content::Unread,
    }];
    held.begin(&Use {
        purpose: Purpose::Open,
        touched: &touched,
    })
}

/// How many of many threads, each trying so often, get through.
fn race(tries: usize, attempt: impl Fn() -> bool + Sync) -> usize {
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..tries).filter(|_| attempt()).count()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    })
}

#[test]
fn operations_are_counted_to_the_last_one() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", operations(3));
    for _ in 0..3 {
        touch(&held, Some(object(1))).unwrap();
    }
    assert_eq!(touch(&held, Some(object(1))), Err(Limit::Operations));
    assert!(held.is_used_up("read".parse().unwrap()));
    held.abandon(0);
    touch(&held, Some(object(2))).unwrap();
    assert_eq!(touch(&held, None), Err(Limit::Operations));
    let none = issuer.give(&holdings, "file:/w/**", operations(0));
    assert_eq!(touch(&none, Some(object(1))), Err(Limit::Operations));
}

#[test]
fn one_file_counts_once_by_whatever_name() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", files(2));
    for _ in 0..5 {
        touch(&held, Some(object(1))).unwrap();
    }
    touch(&held, Some(object(2))).unwrap();
    assert_eq!(touch(&held, Some(object(3))), Err(Limit::Files));
    touch(&held, Some(object(1))).unwrap();
    // The same number again for a file that was made later is another file.
    let reborn = Identity {
        birth: Some((2, 0)),
        ..object(1)
    };
    assert_eq!(touch(&held, Some(reborn)), Err(Limit::Files));
}

#[test]
fn what_is_made_counts_once_and_again_when_it_is_made_again() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", files(2));
    touch(&held, None).unwrap();
    held.made(object(1));
    touch(&held, Some(object(1))).unwrap();
    touch(&held, None).unwrap();
    // It could not be made: that was no file.
    held.abandon(1);
    touch(&held, None).unwrap();
    held.made(object(1));
    assert_eq!(touch(&held, None), Err(Limit::Files));
    touch(&held, Some(object(1))).unwrap();
}

#[test]
fn an_operation_takes_all_that_it_needs_or_nothing() {
    let (issuer, holdings) = Issuer::new();
    let both = Constraints {
        max_operations: Some(2),
        ..files(1)
    };
    let held = issuer.give(&holdings, "file:/w/**", both);
    let two = [1, 2].map(|ino| Touched {
        path: Path::new("/w/a"),
        object: Some(object(ino)),
        content: Content::Nothing,
    });
    let usage = Use {
        purpose: Purpose::Rename,
        touched: &two,
    };
    assert_eq!(held.begin(&usage), Err(Limit::Files));
    touch(&held, Some(object(1))).unwrap();
    touch(&held, Some(object(1))).unwrap();
    assert_eq!(touch(&held, Some(object(1))), Err(Limit::Operations));
}

#[test]
fn a_limit_beyond_what_is_remembered_is_kept_as_that() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", files(budget::FILES_MAX + 10));
    for number in 0..budget::FILES_MAX {
        touch(&held, Some(object(number))).unwrap();
    }
    assert_eq!(touch(&held, Some(object(u64::MAX))), Err(Limit::Files));
}

#[test]
fn of_many_at_once_no_one_gets_more_than_the_last() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", operations(500));
    assert_eq!(race(400, || touch(&held, Some(object(1))).is_ok()), 500);
    let held = issuer.give(&holdings, "file:/w/**", files(300));
    let next = AtomicU64::new(0);
    let fresh = || touch(&held, Some(object(next.fetch_add(1, Ordering::Relaxed)))).is_ok();
    assert_eq!(race(400, fresh), 300);
    let held = issuer.give(&holdings, "file:/w/**", bytes(1000));
    let read = AtomicU64::new(0);
    race(400, || {
        let taken = held.take_read(7);
        read.fetch_add(taken.unwrap_or(0), Ordering::Relaxed);
        taken.is_ok()
    });
    assert_eq!(read.load(Ordering::Relaxed), 1000);
    assert_eq!(race(400, || held.take_write(10).is_ok()), 100);
}

#[test]
fn bytes_are_counted_to_the_last_one() {
    let (issuer, holdings) = Issuer::new();
    let held = issuer.give(&holdings, "file:/w/**", bytes(10));
    assert_eq!(held.take_read(4), Ok(4));
    assert_eq!(held.take_read(9), Ok(6));
    assert_eq!(held.take_read(1), Err(Limit::Bytes));
    assert_eq!(held.take_read(0), Ok(0));
    held.return_read(2);
    assert_eq!(held.take_read(9), Ok(2));
    assert_eq!(held.take_write(11), Err(Limit::WriteBytes));
    assert_eq!(held.take_write(10), Ok(()));
    held.return_write(3);
    assert_eq!(held.take_write(4), Err(Limit::WriteBytes));
    assert_eq!(held.take_write(3), Ok(()));
}

#[test]
fn nothing_is_held_before_its_time() {
    let (issuer, holdings) = Issuer::new();
    let from = |ms: u64| Constraints {
        not_before: Some(Timestamp::from_unix_ms(ms)),
        ..Constraints::default()
    };
    let now = holdings.now().unix_ms();
    let later = issuer.claims(&holdings, "file:/w/**", from(now + 600_000));
    let refused = issuer.hold(&holdings, &later);
    assert_eq!(refused.unwrap_err(), HoldError::Token(TokenError::NotYet));
    assert!(holdings.live().is_empty());
    let mut signed_later = issuer.claims(&holdings, "file:/w/**", Constraints::default());
    signed_later.nbf += 100;
    assert!(issuer.hold(&holdings, &signed_later).is_err());
    let at_once = issuer.claims(&holdings, "file:/w/**", from(now));
    issuer.hold(&holdings, &at_once).unwrap();
}

#[test]
fn what_a_child_takes_its_parents_have_no_more() {
    let (issuer, holdings) = Issuer::new();
    let most = Constraints {
        max_operations: Some(3),
        max_files: Some(2),
        max_rows: Some(5),
        ..bytes(100)
    };
    let parent = issuer.give(&holdings, "file:/w/**", most);
    let child = issuer.narrow(&holdings, &parent, bytes(80)).unwrap();
    let grandchild = issuer.narrow(&holdings, &child, bytes(60)).unwrap();
    let sibling = issuer
        .narrow(&holdings, &parent, Constraints::default())
        .unwrap();
    assert_eq!(grandchild.take_read(70), Ok(60));
    assert_eq!(child.take_read(70), Ok(20));
    assert_eq!(sibling.take_read(70), Ok(20));
    assert_eq!(parent.take_read(1), Err(Limit::Bytes));
    assert_eq!(sibling.take_write(90), Ok(()));
    assert_eq!(grandchild.take_write(11), Err(Limit::WriteBytes));
    assert_eq!(grandchild.take_write(10), Ok(()));
    assert_eq!(child.write_left(), Some(0));
    assert_eq!(sibling.take_rows(4), Ok(()));
    assert_eq!(grandchild.take_rows(2), Err(1));
    touch(&grandchild, Some(object(1))).unwrap();
    touch(&sibling, Some(object(2))).unwrap();
    assert_eq!(touch(&child, Some(object(3))), Err(Limit::Files));
    touch(&child, Some(object(2))).unwrap();
    assert_eq!(touch(&parent, Some(object(1))), Err(Limit::Operations));
    grandchild.abandon(0);
    touch(&parent, Some(object(1))).unwrap();
}

#[test]
fn a_family_that_races_takes_no_more_than_its_oldest_has() {
    let (issuer, holdings) = Issuer::new();
    let parent = issuer.give(&holdings, "file:/w/**", operations(700));
    let children: Vec<_> = (0..4)
        .map(|_| issuer.narrow(&holdings, &parent, operations(300)).unwrap())
        .collect();
    let turn = AtomicU64::new(0);
    let any = || {
        let number = turn.fetch_add(1, Ordering::Relaxed) % 4;
        touch(&children[usize::try_from(number).unwrap()], Some(object(1))).is_ok()
    };
    assert_eq!(race(400, any), 700);
    assert_eq!(touch(&parent, Some(object(1))), Err(Limit::Operations));
}

#[test]
fn a_child_needs_a_parent_that_lives_and_is_wider() {
    let (issuer, holdings) = Issuer::new();
    let parent = issuer.give(&holdings, "file:/w/**", bytes(100));
    let mut wider = issuer.claims(&holdings, "file:/**", bytes(100));
    wider.parent = Some(parent.id());
    assert_eq!(
        issuer.hold(&holdings, &wider).unwrap_err(),
        HoldError::Wider
    );
    let mut looser = issuer.claims(&holdings, "file:/w/**", bytes(101));
    looser.parent = Some(parent.id());
    assert_eq!(
        issuer.hold(&holdings, &looser).unwrap_err(),
        HoldError::Wider
    );
    let mut orphan = issuer.claims(&holdings, "file:/w/**", bytes(1));
    orphan.parent = Some(orphan.jti.clone());
    assert_eq!(
        issuer.hold(&holdings, &orphan).unwrap_err(),
        HoldError::Parent
    );
    let id = parent.id();
    assert_eq!(holdings.end(End::Revoked, |held| held.id() == id).len(), 1);
    let late = issuer.narrow(&holdings, &parent, bytes(1));
    assert_eq!(late.unwrap_err(), HoldError::Parent);
    let once = Constraints {
        single_use: Some(true),
        ..Constraints::default()
    };
    let once = issuer.give(&holdings, "file:/w/**", once);
    let twice = issuer.narrow(&holdings, &once, Constraints::default());
    assert_eq!(twice.unwrap_err(), HoldError::Wider);
}

#[test]
fn a_lineage_has_an_end() {
    let (issuer, holdings) = Issuer::new();
    let mut held = issuer.give(&holdings, "file:/w/**", bytes(100));
    for _ in 0..NARROWED_MAX {
        held = issuer.narrow(&holdings, &held, bytes(100)).unwrap();
    }
    let further = issuer.narrow(&holdings, &held, bytes(100));
    assert_eq!(further.unwrap_err(), HoldError::Depth);
}

#[test]
fn a_child_dies_with_its_parent_and_not_the_other_way() {
    let (issuer, holdings) = Issuer::new();
    for how in [End::Revoked, End::Expired, End::UsedUp] {
        let parent = issuer.give(&holdings, "file:/w/**", bytes(100));
        let child = issuer.narrow(&holdings, &parent, bytes(50)).unwrap();
        let grandchild = issuer.narrow(&holdings, &child, bytes(50)).unwrap();
        let sibling = issuer.narrow(&holdings, &parent, bytes(50)).unwrap();
        let id = child.id();
        assert_eq!(holdings.end(End::Revoked, |held| held.id() == id).len(), 2);
        assert!(!child.is_live() && !grandchild.is_live());
        assert!(parent.is_live() && sibling.is_live());
        assert_eq!(holdings.how_ended(&grandchild.id()), Some(End::WithParent));
        let id = parent.id();
        let ended = holdings.end(how, |held| held.id() == id);
        assert_eq!(ended.len(), 2);
        assert!(!sibling.is_live() && !sibling.permits_path(Path::new("/w/a"), ActionSet::EMPTY));
        assert_eq!(holdings.how_ended(&parent.id()), Some(how));
        assert_eq!(holdings.how_ended(&sibling.id()), Some(End::WithParent));
        assert!(holdings.live().is_empty());
    }
}

#[test]
fn a_child_ends_with_a_parent_that_expires_first() {
    let (issuer, holdings) = Issuer::new();
    let mut claims = issuer.claims(&holdings, "file:/w/**", bytes(100));
    claims.exp = claims.iat + 1;
    let parent = issuer.hold(&holdings, &claims).unwrap();
    // Signed for longer than its parent lives.
    let child = issuer.narrow(&holdings, &parent, bytes(50)).unwrap();
    let begun = std::time::Instant::now();
    while child.is_live() {
        drop(holdings.end_expired());
        assert!(begun.elapsed().as_secs() < 20, "it lives on");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(holdings.now().unix_seconds() >= claims.exp);
}

#[test]
fn the_capability_that_costs_least_is_used() {
    let (issuer, holdings) = Issuer::new();
    let path = Path::new("/w/a");
    let read: ActionSet = "read".parse().unwrap();
    let best = || {
        holdings
            .best_for(path, read, |_| true)
            .map(|held| held.id())
    };
    assert_eq!(best(), None);
    let empty = issuer.give(&holdings, "file:/w/**", operations(0));
    assert_eq!(best(), Some(empty.id()));
    let counted = issuer.give(&holdings, "file:/w/a", operations(1));
    assert_eq!(best(), Some(counted.id()));
    touch(&counted, Some(object(1))).unwrap();
    let free = issuer.give(&holdings, "file:/w/*", Constraints::default());
    assert_eq!(best(), Some(free.id()));
    let elsewhere = Path::new("/x");
    assert!(holdings.best_for(elsewhere, read, |_| true).is_none());
}

#[test]
fn a_capability_is_found_for_every_path_that_it_speaks_of() {
    let (issuer, holdings) = Issuer::new();
    for resource in [
        "file:/**",
        "file:/srv/**/*.csv",
        "file:/srv/one",
        "file:/srv/one/**",
    ] {
        let held = issuer.give(&holdings, resource, Constraints::default());
        for path in [
            "/",
            "/srv",
            "/srv/one",
            "/srv/one/two",
            "/srv/x.csv",
            "/srv/a/b/c.csv",
            "/x",
        ] {
            let path = Path::new(path);
            let speaks = held.speaks_of(path);
            let found = holdings.find_for(path, |other| other.speaks_of(path));
            assert_eq!(speaks, found.is_some(), "{resource} and {}", path.display());
        }
        let id = held.id();
        drop(holdings.end(End::Revoked, |other| other.id() == id));
    }
}

#[test]
fn a_type_that_nobody_could_judge_is_not_given() {
    let (issuer, holdings) = Issuer::new();
    let texts = Constraints {
        media_types: Some(vec!["text/*".to_owned()]),
        ..Constraints::default()
    };
    let held = issuer.give(&holdings, "file:/w/**", texts);
    assert!(held.limits().content && held.limits().uses && !held.limits().bytes);
    assert_eq!(touch(&held, Some(object(1))), Err(Limit::MediaType));
    let new = |path: &str| {
        let touched = [Touched {
            path: Path::new(path),
            object: None,
            content: Content::New,
        }];
        let purpose = Purpose::Create;
        held.begin(&Use {
            purpose,
            touched: &touched,
        })
    };
    assert_eq!(new("/w/a.csv"), Ok(()));
    assert_eq!(new("/w/a.png"), Err(Limit::MediaType));
}

#[test]
fn a_token_that_comes_twice_is_held_once_with_one_budget() {
    let (issuer, holdings) = Issuer::new();
    for _ in 0..20 {
        let claims = issuer.claims(&holdings, "file:/w/**", operations(1));
        let start = Barrier::new(8);
        let held: Vec<Arc<Held>> = std::thread::scope(|scope| {
            let hold = || {
                start.wait();
                issuer.hold(&holdings, &claims).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(hold)).collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(held.iter().all(|other| Arc::ptr_eq(other, &held[0])));
        let live = holdings.live();
        let same = live.iter().filter(|one| one.id() == claims.jti);
        assert_eq!(same.count(), 1);
        let done = held
            .iter()
            .filter(|held| touch(held, Some(object(1))).is_ok());
        assert_eq!(done.count(), 1, "one operation in all");
    }
}
