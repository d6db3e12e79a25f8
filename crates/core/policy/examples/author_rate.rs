//! How long the tools for policy take on the starter bundles, on this machine, one thread: check, test, mutants, and decisions taken again.
//!
//! `cargo run --release -p valetkey-policy --features tools --example author_rate`

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use valetkey_model::{RequestId, Timestamp, UserFacts};
use valetkey_policy::tools::{Scene, check, corpus, cover, mutate};
use valetkey_policy::{BundleLimits, PolicySet, STARTER_NAMES, starter, starter_files};

/// Decisions that are taken again.
const AGAIN: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    for name in STARTER_NAMES {
        let files = starter_files(name).ok_or("no such bundle")?.iter();
        let files = files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()));
        black_box(check(files.collect(), BundleLimits::default()));
    }
    writeln!(out, "check of all starter bundles: {:.2?}", start.elapsed())?;
    let start = Instant::now();
    for name in STARTER_NAMES {
        black_box(cover(&starter(name)?)?);
    }
    writeln!(
        out,
        "test of all starter bundles, with coverage: {:.2?}",
        start.elapsed()
    )?;
    for name in STARTER_NAMES {
        let start = Instant::now();
        let found = mutate(&starter(name)?, |_, _| {})?;
        let mutants = found.killed.saturating_add(found.survived.len());
        writeln!(
            out,
            "mutants of {name}: {:.1} % of {mutants} noticed, {:.2?}",
            found.score_percent(),
            start.elapsed()
        )?;
    }
    again(&mut out)
}

/// What `policy replay` does with each decision once it is read: other ids and times, and requests that repeat.
fn again(out: &mut impl std::io::Write) -> Result<(), Box<dyn Error>> {
    let bundle = starter("base")?;
    let set = PolicySet::new(&bundle)?;
    let scene = Scene {
        user: UserFacts {
            uid: 1000,
            name: "alice".into(),
            home: "/home/alice".into(),
            home_resource: None,
            groups: vec![1000],
        },
        workspace: "file:/home/alice/work/**".parse()?,
        tree: Vec::new(),
        platform: "linux".into(),
        time: Timestamp::from_unix_ms(1_768_662_720_000),
    };
    let (trials, _) = corpus(&[&bundle], &scene)?;
    let mut known = HashMap::new();
    let start = Instant::now();
    let mut time = scene.time.unix_ms();
    for trial in trials.iter().cycle().take(AGAIN) {
        time = time.saturating_add(1);
        let mut input = trial.input.clone();
        input.context.time = Timestamp::from_unix_ms(time);
        input.request.id = RequestId::new(input.context.time, [7; 10]);
        let question = set.question(&input).ok_or("it can read all")?;
        let decision = known
            .entry(question)
            .or_insert_with(|| set.decide(&input).digest());
        black_box(decision);
    }
    writeln!(
        out,
        "{AGAIN} decisions of base taken again, {} different: {:.2?}",
        known.len(),
        start.elapsed()
    )?;
    Ok(())
}
