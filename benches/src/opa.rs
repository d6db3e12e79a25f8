//! Open Policy Agent as a library, through `benches/opa/decide.py`: the same bundles, the same inputs, and whether it decides the same.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use valetkey_model::{Constraints, Decision, Effect, Obligations, PolicyInput};
use valetkey_policy::{FAIL_CLOSED_POLICY_ID, Policy, starter, starter_files};

use crate::Failure;
use crate::measure::Times;

/// The status with which the script says that the library is not there (`EX_UNAVAILABLE` of sysexits).
const MISSING: i32 = 69;
/// The bundles that decide at a desktop without policy of its own: the one that grants, and the one that holds back.
const BUNDLES: [(&str, &str); 2] = [
    ("base", "valetkey.decision"),
    ("guardrails", "valetkey.guardrails.decision"),
];

#[derive(Serialize)]
struct Given<'a> {
    engines: Vec<Value>,
    inputs: &'a [PolicyInput],
    rounds: usize,
}

#[derive(Deserialize)]
struct Found {
    decisions: Vec<Vec<Option<Value>>>,
    nanoseconds: Vec<u64>,
}

/// What was seen of it.
#[derive(Debug)]
pub struct Opa {
    /// How long both bundles took together, each time.
    pub times: Times,
    /// Where it decided otherwise than ours, in words.
    pub otherwise: Vec<String>,
}

/// Has it decide `inputs` so many times, and holds its decisions against ours; nothing where it is not installed, which is said.
///
/// # Errors
/// When it is there and does not work.
pub fn beside(inputs: &[PolicyInput], rounds: usize) -> Result<Option<Opa>, Failure> {
    let Some(found) = decided(inputs, rounds)? else {
        return Ok(None);
    };
    let base = Policy::compile(&starter("base")?)?;
    let guardrails = Policy::compile_guardrails(&starter("guardrails")?)?;
    let mut otherwise = Vec::new();
    if found.decisions.len() != inputs.len() {
        return Err("it did not answer each input".into());
    }
    for (input, theirs) in inputs.iter().zip(found.decisions) {
        let ours = [base.decide(input), guardrails.decide(input)];
        if theirs.len() != ours.len() {
            return Err("it did not answer for each bundle".into());
        }
        for (((bundle, _), ours), theirs) in BUNDLES.iter().zip(ours).zip(theirs) {
            let theirs = theirs
                .map(|value| read(value, &input.request.constraints))
                .transpose()?;
            let same = match &theirs {
                Some(theirs) => *theirs == ours,
                // What is undefined there is a denial here.
                None => ours.effect == Effect::Deny && ours.policy_id == FAIL_CLOSED_POLICY_ID,
            };
            if !same {
                let asked = &input.request;
                otherwise.push(format!(
                    "{bundle}: {} on {}: {theirs:?}, ours {ours:?}",
                    asked.actions, asked.resource
                ));
            }
        }
    }
    let times = found.nanoseconds.into_iter().map(Duration::from_nanos);
    Ok(Some(Opa {
        times: times.collect(),
        otherwise,
    }))
}

/// Their answer as ours is after it was read: a denial gives nothing, and what was offered is kept.
fn read(value: Value, asked: &Constraints) -> Result<Decision, Failure> {
    let decision: Decision = serde_json::from_value(value)?;
    Ok(if decision.effect == Effect::Deny {
        Decision {
            ttl_seconds: 0,
            constraints: Constraints::default(),
            except: Vec::new(),
            approval: None,
            obligations: Obligations::default(),
            ..decision
        }
    } else {
        Decision {
            constraints: decision.constraints.tightest(asked),
            ..decision
        }
    })
}

fn decided(inputs: &[PolicyInput], rounds: usize) -> Result<Option<Found>, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("opa/decide.py");
    let started = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut process) = started else {
        skipped("`python3` is not installed");
        return Ok(None);
    };
    let given = Given {
        engines: BUNDLES
            .iter()
            .map(|(bundle, entry)| engine(bundle, entry))
            .collect::<Result<_, _>>()?,
        inputs,
        rounds,
    };
    // A script that ends early is told by its status, not by the pipe that it left.
    if let Some(mut pipe) = process.stdin.take() {
        let _written = pipe.write_all(&serde_json::to_vec(&given)?);
    }
    let done = process.wait_with_output()?;
    if done.status.code() == Some(MISSING) {
        skipped("OPA as a library is not there");
        return Ok(None);
    }
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(Some(serde_json::from_slice(&done.stdout)?))
}

/// A bundle's files as the script takes them: the modules that decide, and the data.
fn engine(bundle: &str, entry: &str) -> Result<Value, Failure> {
    let files = starter_files(bundle).ok_or("there is no such bundle")?;
    let modules: BTreeMap<&str, &str> = files
        .iter()
        .filter(|(path, _)| path.ends_with(".rego") && !path.ends_with("_test.rego"))
        .copied()
        .collect();
    let data = files.iter().find(|(path, _)| *path == "data.json");
    let data: Value = data.map_or(Ok(json!({})), |(_, text)| serde_json::from_str(text))?;
    Ok(json!({"entry": entry, "modules": modules, "data": data}))
}

fn skipped(why: &str) {
    println!(
        "SKIPPED: {why} (pip download --no-deps --python-version 3.14 --only-binary=:all: opa-golib-python-bindings==0.4.4; \
         unpack the wheel, and name its directory in VALETKEY_OPA_DIR)\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs;

    #[test]
    fn another_engine_decides_as_ours_does() {
        let all = inputs::all(Path::new("/home/alice/work")).unwrap();
        let effects = |effect: Effect| {
            let policy = Policy::compile(&starter("base").unwrap()).unwrap();
            let of = |input: &&PolicyInput| policy.decide(input).effect == effect;
            all.iter().filter(of).count()
        };
        // The inputs reach every kind of answer: an engine that always says one thing would be found.
        for effect in [Effect::Allow, Effect::Ask, Effect::Deny] {
            assert!(effects(effect) >= 10, "{effect:?}: {}", effects(effect));
        }
        let Some(opa) = beside(&all, 1).unwrap() else {
            return;
        };
        assert!(opa.otherwise.is_empty(), "{:#?}", opa.otherwise);
        assert_eq!(opa.times.len(), all.len());
    }
}
