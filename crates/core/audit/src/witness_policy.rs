//! Who must have cosigned a checkpoint before it counts, as C2SP `tlog-policy` has it.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::cosignature::WitnessPublicKey;
use crate::key::LogPublicKey;

/// Most lines that define something: the specification asks for 32 of each kind.
const DEFINITIONS_MAX: usize = 256;

/// Why a text is not a policy, with the number of the line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {why}")]
pub struct WitnessPolicyError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// A checkpoint does not count.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotWitnessed {
    /// It, or a signature on it, does not hold.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// Its log is not one of the policy's.
    #[error("the policy does not know the log")]
    UnknownLog,
    /// Too few witnesses cosigned it, or too long ago.
    #[error("it is not cosigned as the policy asks")]
    NoQuorum,
}

/// A witness of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyWitness {
    /// The name within the policy.
    pub name: String,
    /// Its key.
    pub key: WitnessPublicKey,
    /// Where it is asked.
    pub url: Option<String>,
}

/// A rule over what was defined before it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Nobody,
    Witness(usize),
    /// So many of these.
    Of(usize, Vec<Rule>),
}

/// Logs, witnesses and the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<LogPublicKey>,
    witnesses: Vec<PolicyWitness>,
    quorum: Rule,
}

impl WitnessPolicy {
    /// The logs that it knows; where there is none, the log is known from elsewhere.
    #[must_use]
    pub fn logs(&self) -> &[LogPublicKey] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Since when a checkpoint is witnessed: the latest time, in Unix seconds, such that the cosignatures from then on are a quorum. The largest number
    /// where the policy asks for none.
    ///
    /// # Errors
    /// When it does not count: malformed, of an unknown log, not signed by it, or without a quorum. A line of a known witness that does not hold is an error.
    pub fn witnessed(&self, note: &[u8], log: &LogPublicKey) -> Result<u64, NotWitnessed> {
        let known = self.logs.is_empty() || self.logs.iter().any(|key| key == log);
        if !known {
            return Err(NotWitnessed::UnknownLog);
        }
        Checkpoint::open(note, log)?;
        let times: Vec<Option<u64>> = self
            .witnesses
            .iter()
            .map(|witness| witness.key.cosigned(note))
            .collect::<Result<_, _>>()?;
        since(&self.quorum, &times).ok_or(NotWitnessed::NoQuorum)
    }
}

/// The latest time from which on the cosignatures satisfy the rule.
fn since(rule: &Rule, times: &[Option<u64>]) -> Option<u64> {
    match rule {
        Rule::Nobody => Some(u64::MAX),
        Rule::Witness(at) => times.get(*at).copied().flatten(),
        Rule::Of(count, rules) => {
            let mut known: Vec<u64> = rules.iter().filter_map(|rule| since(rule, times)).collect();
            known.sort_unstable_by(|a, b| b.cmp(a));
            known.get(count.checked_sub(1)?).copied()
        }
    }
}

/// What is read so far.
#[derive(Default)]
struct Reading {
    logs: Vec<LogPublicKey>,
    witnesses: Vec<PolicyWitness>,
    /// What a name stands for, until it is a member of a group.
    names: BTreeMap<String, Option<Rule>>,
    quorum: Option<Rule>,
}

impl FromStr for WitnessPolicy {
    type Err = WitnessPolicyError;

    fn from_str(text: &str) -> Result<Self, WitnessPolicyError> {
        let mut reading = Reading::default();
        let mut last = 0;
        for (line, number) in text.lines().zip(1..) {
            last = number;
            let at = |why| WitnessPolicyError { line: number, why };
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(at("holds control characters"));
            }
            let words: Vec<&str> = line
                .split([' ', '\t'])
                .filter(|word| !word.is_empty())
                .collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            reading.line(&words).map_err(at)?;
            let defined = reading.logs.len().saturating_add(reading.names.len());
            if defined > DEFINITIONS_MAX {
                return Err(at("there are too many definitions"));
            }
        }
        let quorum = reading.quorum.ok_or(WitnessPolicyError {
            line: last,
            why: "there is no `quorum` line",
        })?;
        Ok(Self {
            logs: reading.logs,
            witnesses: reading.witnesses,
            quorum,
        })
    }
}

impl Reading {
    fn line(&mut self, words: &[&str]) -> Result<(), &'static str> {
        match words {
            ["log", key] | ["log", key, _] => {
                let key: LogPublicKey = key.parse().map_err(|_| "not the key of a log")?;
                if self.logs.iter().any(|log| log.point() == key.point()) {
                    return Err("the log is there already");
                }
                self.logs.push(key);
                Ok(())
            }
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, count, members @ ..] => self.group(name, count, members),
            ["quorum", name] => self.take_quorum(name),
            _ => Err("it is no line of a policy"),
        }
    }

    fn define(&mut self, name: &str, rule: Rule) -> Result<(), &'static str> {
        if name == "none" || self.names.contains_key(name) {
            return Err("the name is taken");
        }
        self.names.insert(name.to_owned(), Some(rule));
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), &'static str> {
        let key: WitnessPublicKey = key.parse().map_err(|_| "not the key of a witness")?;
        if self
            .witnesses
            .iter()
            .any(|it| it.key.point() == key.point())
        {
            return Err("the witness is there already");
        }
        self.define(name, Rule::Witness(self.witnesses.len()))?;
        self.witnesses.push(PolicyWitness {
            name: name.to_owned(),
            key,
            url: url.map(str::to_owned),
        });
        Ok(())
    }

    fn group(&mut self, name: &str, count: &str, members: &[&str]) -> Result<(), &'static str> {
        let count = match count {
            "any" => 1,
            "all" => members.len(),
            number => number
                .parse()
                .ok()
                .filter(|n: &usize| n.to_string() == number)
                .ok_or("neither `all`, `any` nor a number")?,
        };
        if count == 0 || count > members.len() {
            return Err("a group asks for more than it has, or for none");
        }
        let mut rules = Vec::new();
        for member in members {
            // Each name is a member once, so that nobody counts twice.
            let rule = self.names.get_mut(*member).ok_or("an unknown name")?;
            rules.push(rule.take().ok_or("a name that is a member already")?);
        }
        self.define(name, Rule::Of(count, rules))
    }

    fn take_quorum(&mut self, name: &str) -> Result<(), &'static str> {
        if self.quorum.is_some() {
            return Err("there is a `quorum` line already");
        }
        let rule = match name {
            "none" => Rule::Nobody,
            name => {
                let rule = self.names.get(name).ok_or("an unknown name")?;
                rule.clone().ok_or("a name that is a member of a group")?
            }
        };
        self.quorum = Some(rule);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use valetkey_model::Digest;

    use super::*;
    use crate::{LogKey, WitnessKey};

    fn witness(number: u8) -> WitnessKey {
        WitnessKey::new(&format!("witness.test/w{number}"), &[number; 32]).unwrap()
    }

    fn log() -> LogKey {
        LogKey::new("valetkey.test/log", &[77; 32]).unwrap()
    }

    /// Two of three of one organisation, and any of two of another.
    fn policy() -> String {
        let mut text = format!("# ours\n\n log\t{}\n", log().public());
        for number in 1..=5 {
            text.push_str(&format!("witness w{number} {}\n", witness(number).public()));
        }
        text + "group X 2 w1 w2 w3\ngroup Y any w4 w5\ngroup both all X Y\nquorum both\n"
    }

    fn note(times: &[(u8, u64)]) -> String {
        let checkpoint = Checkpoint {
            origin: "valetkey.test/log".to_owned(),
            size: 12,
            root: Digest::of(b"root"),
            extensions: Vec::new(),
        };
        let lines = times
            .iter()
            .map(|(number, time)| witness(*number).cosign(&checkpoint, *time));
        std::iter::once(checkpoint.sign(&log()))
            .chain(lines)
            .collect()
    }

    fn witnessed(policy: &str, times: &[(u8, u64)]) -> Result<u64, NotWitnessed> {
        let policy: WitnessPolicy = policy.parse().unwrap();
        policy.witnessed(note(times).as_bytes(), log().public())
    }

    #[test]
    fn a_quorum_is_as_old_as_the_last_cosignature_that_it_needs() {
        let text = policy();
        assert_eq!(witnessed(&text, &[(1, 10), (2, 20), (4, 30)]), Ok(10));
        assert_eq!(
            witnessed(&text, &[(1, 10), (2, 20), (3, 40), (4, 30)]),
            Ok(20)
        );
        assert_eq!(
            witnessed(&text, &[(1, 50), (2, 50), (4, 30), (5, 35)]),
            Ok(35)
        );
        for few in [
            &[(1, 10), (4, 30)][..],
            &[(1, 1), (2, 1), (3, 1)],
            &[(4, 1), (5, 1)],
            &[],
        ] {
            assert_eq!(witnessed(&text, few), Err(NotWitnessed::NoQuorum));
        }
        let none = format!("log {}\nquorum none\n", log().public());
        assert_eq!(witnessed(&none, &[]), Ok(u64::MAX));
    }

    #[test]
    fn what_does_not_hold_is_no_quorum() {
        let policy: WitnessPolicy = policy().parse().unwrap();
        let good = note(&[(1, 10), (2, 20), (4, 30)]);
        let other = LogKey::new("valetkey.test/log", &[78; 32]).unwrap();
        assert_eq!(
            policy.witnessed(good.as_bytes(), other.public()),
            Err(NotWitnessed::UnknownLog)
        );
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] ^= 1;
            assert!(policy.witnessed(&changed, log().public()).is_err(), "{at}");
        }
    }

    #[test]
    fn policies_that_count_somebody_twice_or_nobody_are_refused() {
        let one = format!("witness w1 {}\n", witness(1).public());
        let two = format!("{one}witness w2 {}\n", witness(2).public());
        for bad in [
            one.clone(),
            format!("{one}quorum w2\n"),
            format!("{one}quorum w1\nquorum w1\n"),
            format!("{one}witness again {}\nquorum w1\n", witness(1).public()),
            format!("{one}witness w1 {}\nquorum w1\n", witness(2).public()),
            format!("witness none {}\nquorum none\n", witness(1).public()),
            format!("{two}group g 3 w1 w2\nquorum g\n"),
            format!("{two}group g 0 w1 w2\nquorum g\n"),
            format!("{two}group g 01 w1 w2\nquorum g\n"),
            format!("{two}group g all\nquorum g\n"),
            format!("{two}group g 2 w1 w1\nquorum g\n"),
            format!("{two}group g any w1\ngroup h 2 g w1\nquorum h\n"),
            format!("{two}group g any w1 w2\nquorum w1\n"),
            format!("{two}group g any g\nquorum g\n"),
            format!("log {}\nquorum none\n", witness(1).public()),
            format!("witness w {}\nquorum w\n", log().public()),
            format!("{one}quorum w1 \u{1}\n"),
            "nonsense\nquorum none\n".to_owned(),
        ] {
            assert!(bad.parse::<WitnessPolicy>().is_err(), "{bad}");
        }
        assert!(
            format!("{two}\tgroup  g any w1\tw2 \nquorum g")
                .parse::<WitnessPolicy>()
                .is_ok()
        );
    }
}
