//! How long one decision takes: the starter policies, guardrails included, on this machine, one thread.
//!
//! `cargo run --release -p valetkey-policy --example decide_rate`

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use valetkey_model::{
    AgentFacts, AgentId, Constraints, ContextFacts, PolicyInput, RequestFacts, RequestId,
    ResourceFacts, SessionFacts, SessionId, SubjectFacts, Timestamp, UserFacts,
};
use valetkey_policy::{PolicySet, starter};

const ROUNDS: usize = 5000;
const CASES: [(&str, &str, &str); 6] = [
    ("base", "read", "file:/home/alice/work/src/main.rs"),
    ("base", "read", "file:/home/alice/Documents/tax.pdf"),
    ("base", "read", "file:/home/alice/.ssh/id_ed25519"),
    ("base", "write", "file:/home/alice/work/.git/config"),
    (
        "base",
        "read,write,append,create,delete,list,metadata",
        "file:/home/alice/work/**",
    ),
    ("finance", "append", "file:/home/alice/work/Reports/Q3.xlsx"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for (name, actions, resource) in CASES {
        let set = PolicySet::new(&starter(name)?)?;
        let input = input(actions, resource)?;
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            black_box(set.decide(black_box(&input)));
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let at = |part: usize| {
            times
                .get(part.saturating_mul(ROUNDS) / 100)
                .copied()
                .unwrap_or_default()
        };
        let effect = set.decide(&input).effect;
        writeln!(
            out,
            "p50 {:>10.1?}  p99 {:>10.1?}  {name}: {actions} {resource} → {effect:?}",
            at(50),
            at(99),
        )?;
    }
    Ok(())
}

fn input(actions: &str, resource: &str) -> Result<PolicyInput, Box<dyn Error>> {
    let time = Timestamp::from_unix_ms(1_768_662_720_000);
    let resource = resource.parse()?;
    Ok(PolicyInput {
        resource: ResourceFacts::of(&resource),
        request: RequestFacts {
            id: RequestId::new(time, [1; 10]),
            resource,
            actions: actions.parse()?,
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
                workspace: Some("file:/home/alice/work/**".parse()?),
                grants: vec![],
                age_seconds: 12,
                labels: vec![],
            },
        },
        context: ContextFacts {
            time,
            platform: "linux".into(),
            requests_last_minute: 3,
            requests_last_hour: 40,
            protected: vec!["file:/home/alice/.local/state/valetkey/**".parse()?],
        },
    })
}
