//! What the guard's decision costs: an open of a path under a live capability, among few and among thousands.
//!
//! `cargo run --release -p valetkey-benches --bin resolve`

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use valetkey_api::Granted;
use valetkey_benches::measure::{Times, rate, show};
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine};
use valetkey_capability::{
    AUDIENCE_GUARD, AuthorizationDetail, Capability, Claims, Confirmation, IssuerKey,
};
use valetkey_guard::Resolver;
use valetkey_model::{
    ActionSet, AgentId, CapabilityId, Constraints, Digest, Grant, Resource, SessionId, Timestamp,
    ViewMode,
};

/// Capabilities that are held.
const HELD: [usize; 3] = [1, 100, 4096];
/// Decisions that are timed together: one alone is shorter than reading the clock is exact.
const GROUP: u32 = 100;
const GROUP_LENGTH: usize = 100;
const GROUPS: usize = 5_000;
/// Paths that are asked in turn.
const MANY: usize = 50_000;
/// What the guardrails take out of a tree, in their number and forms as far as a token of 4 KiB holds them.
const EXCEPTIONS: usize = 60;
/// A key for measuring, and nothing else.
const SEED: [u8; 32] = [7; 32];

struct Issuer {
    key: IssuerKey,
    session: SessionId,
    now: Timestamp,
}

fn main() -> Result<(), Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = Timestamp::from_unix_ms(u64::try_from(since.as_millis())?);
    let issuer = Issuer {
        key: IssuerKey::from_seed(&SEED),
        session: SessionId::new(now, [2; 10]),
        now,
    };
    println!("## resolve\n\n{}\n", machine::line());
    println!("one thread, groups of {GROUP}, {EXCEPTIONS} exceptions in each tree\n");
    let mut table = Table::new(&["", "held", "p50", "p99", "a second"]);
    let inside = [PathBuf::from("/home/alice/work/project/src/module/file.rs")];
    let outside = [PathBuf::from(
        "/home/alice/other/project/src/module/file.rs",
    )];
    // So many that none is remembered when its turn comes again.
    let many: Vec<PathBuf> = (0..MANY)
        .map(|number| PathBuf::from(format!("/home/alice/work/project/src/module/{number}.rs")))
        .collect();
    for held in HELD {
        let files = issuer.resolver(held, |n| format!("file:/home/alice/data/{n}/file.txt"))?;
        let trees = issuer.resolver(held, |n| format!("file:/home/alice/trees/{n}/**"))?;
        let rows: [(&str, &Resolver, &[PathBuf], bool); 4] = [
            ("one path again, beside files", &files, &inside, true),
            ("one path again, beside trees", &trees, &inside, true),
            ("each path for the first time", &trees, &many, true),
            ("in no capability", &trees, &outside, false),
        ];
        for (what, resolver, paths, is_permitted) in rows {
            let times = measure(resolver, paths, is_permitted)?;
            table.row([
                what.to_owned(),
                held.to_string(),
                show(times.median()),
                show(times.at(990)),
                rate(1, times.median()),
            ]);
        }
    }
    println!("{table}");
    Ok(())
}

/// Times of one decision each, in groups.
fn measure(resolver: &Resolver, paths: &[PathBuf], is_permitted: bool) -> Result<Times, Failure> {
    let wanted: ActionSet = "read".parse()?;
    let mut next = paths.iter().cycle();
    let mut times = Times::default();
    for _ in 0..GROUPS {
        let start = Instant::now();
        let mut wrong = 0;
        for path in next.by_ref().take(GROUP_LENGTH) {
            wrong += usize::from(resolver.permits(black_box(path), wanted) != is_permitted);
        }
        times.add(start.elapsed() / GROUP);
        if wrong > 0 {
            return Err("the answer is wrong".into());
        }
    }
    if times.median() > Duration::from_millis(1) {
        return Err("that is no time that a session could be used with".into());
    }
    Ok(times)
}

impl Issuer {
    /// Holdings of so many capabilities, one of which is for the workspace.
    fn resolver(&self, held: usize, name: impl Fn(usize) -> String) -> Result<Resolver, Failure> {
        let resolver = Resolver::new(self.key.public().clone(), self.session.clone());
        for number in 1..held {
            self.hold(&resolver, number, &name(number), &[])?;
        }
        let out: Vec<String> = (0..EXCEPTIONS)
            .map(|number| match number % 3 {
                0 => format!("file:/**/.secret{number}"),
                1 => format!("file:/**/*.key{number}"),
                _ => format!("file:/**/dir{number}/**"),
            })
            .collect();
        self.hold(&resolver, 0, "file:/home/alice/work/**", &out)?;
        Ok(resolver)
    }

    fn hold(
        &self,
        resolver: &Resolver,
        number: usize,
        resource: &str,
        except: &[String],
    ) -> Result<(), Failure> {
        let mut random = [0; 10];
        for (place, byte) in random.iter_mut().zip(number.to_le_bytes()) {
            *place = byte;
        }
        let except: Result<Vec<Resource>, _> = except.iter().map(|text| text.parse()).collect();
        let claims = Claims {
            iss: "local-broker".to_owned(),
            sub: AgentId::sanitised("bench"),
            aud: AUDIENCE_GUARD.to_owned(),
            jti: CapabilityId::new(self.now, random),
            iat: self.now.unix_seconds(),
            nbf: self.now.unix_seconds(),
            exp: self.now.unix_seconds() + 3600,
            cnf: Confirmation {
                valetkey_session: self.session.clone(),
            },
            authorization_details: [AuthorizationDetail::of(Grant {
                resource: resource.parse()?,
                actions: "read,write,create,delete,list,metadata".parse()?,
                constraints: Constraints::default(),
                except: except?,
            })],
            parent: None,
            approvals: Vec::new(),
            policy_id: "bench".to_owned(),
            policy_digest: Digest::of(b"policy"),
        };
        resolver.hold(&Granted {
            token: self.key.sign_claims(&claims)?,
            capability: Capability::from(&claims),
            streamed: true,
            view: ViewMode::Watched,
            lease_until: None,
            ended: Vec::new(),
        })?;
        Ok(())
    }
}
