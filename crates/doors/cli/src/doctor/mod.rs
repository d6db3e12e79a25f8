//! `valetkey doctor`: what is really enforced on this machine, for this user, by trying to get round it.

mod aim;
mod broker;
mod cell;
mod finding;
mod machine;
mod probe;

use std::time::Instant;

use serde_json::json;

use self::finding::{Finding, State};
use self::probe::Wall;
use crate::args::ListArgs;
use crate::fail::Fail;
use crate::home;
use crate::out::{self, Style, styled};

pub(crate) use cell::attack;

/// The exit status where something that is required does not hold.
const EXIT_NOT_ENFORCED: u8 = 5;

/// Looks at everything and prints it.
pub(crate) fn run(args: &ListArgs) -> Result<u8, Fail> {
    let begun = Instant::now();
    let paths = home::paths()?;
    // Forks, so it comes while there is one thread.
    let (reached, level) = cell::level(&paths);
    let mut findings = machine::look();
    findings.push(level);
    if reached.is_some() {
        // It must be there when its doors are tried. What keeps it from starting, the session says.
        drop(valetkey_guard::connect_or_start(
            &paths.guard_socket(),
            &paths,
        ));
        findings.extend(cell::look(&paths)?);
    }
    findings.extend(broker::look(&paths));
    let count = |state| {
        findings
            .iter()
            .filter(|finding| finding.state == state)
            .count()
    };
    let (holds, fails) = (count(State::Holds), count(State::Fails));
    let unchecked = count(State::NotCheckable);
    let attacks = findings
        .iter()
        .filter(|finding| finding.wall.is_some())
        .count();
    if args.json {
        out::json(&json!({
            "result": if fails == 0 { "holds" } else { "fails" },
            "level": reached.map(|reached| reached.level),
            "user": rustix::process::geteuid().as_raw(),
            "probes": attacks,
            "holds": holds, "fails": fails, "not_checkable": unchecked,
            "milliseconds": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "findings": findings,
        }));
    } else {
        print(&findings);
        let sum = format!(
            "{holds} hold, {fails} fail, {unchecked} not checkable here; {attacks} attacks on a cell, in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        out::line("");
        out::line(&styled(
            if fails == 0 { Style::Green } else { Style::Red },
            &sum,
        ));
    }
    Ok(if fails == 0 { 0 } else { EXIT_NOT_ENFORCED })
}

/// Section by section.
fn print(findings: &[Finding]) {
    let mut last = "";
    for finding in findings {
        if finding.section != last {
            last = finding.section;
            out::line(&styled(Style::Bold, last));
        }
        // Of the attacks only those that came through are told one by one; `--json` has all.
        if finding.wall.is_none() || finding.state == State::Fails {
            finding.print();
        }
        if finding.id == "level" {
            Wall::ALL.iter().for_each(|wall| tell_wall(findings, *wall));
        }
    }
}

fn tell_wall(findings: &[Finding], wall: Wall) {
    let of = |state| {
        findings
            .iter()
            .filter(move |finding| finding.wall == Some(wall) && finding.state == state)
    };
    let held = of(State::Holds).count();
    if held > 0 {
        let what = format!("{}: {held} attacks go nowhere", wall.name());
        Finding::new("cell", wall.name(), what, State::Holds, "").print();
    }
    let unchecked: Vec<&str> = of(State::NotCheckable)
        .map(|finding| finding.id.as_str())
        .collect();
    if !unchecked.is_empty() {
        let why = "they go nowhere outside of a cell either";
        let what = format!("{}: {}", wall.name(), unchecked.join(", "));
        Finding::new("cell", wall.name(), what, State::NotCheckable, why).print();
    }
}
