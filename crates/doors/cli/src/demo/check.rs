//! The demonstration's checks: each step said, judged and counted.

use serde_json::Value;
use valetkey_approval::Asked;

use super::house::House;
use super::workbook;
use crate::out::{self, Style, styled};

/// Counts steps that ended as they must, and those that did not.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    passed: usize,
    failed: usize,
}

impl Checks {
    /// Says how a step ended.
    pub(crate) fn check(&mut self, what: &str, holds: bool, detail: &str) {
        let mark = if holds {
            self.passed = self.passed.saturating_add(1);
            styled(Style::Green, "  ok")
        } else {
            self.failed = self.failed.saturating_add(1);
            styled(Style::Red, "FAIL")
        };
        let detail = valetkey_approval::SafeText::prose(detail);
        out::line(&format!(
            "{mark}  {what}{}{}",
            if detail.as_str().is_empty() { "" } else { ": " },
            styled(Style::Dim, detail.as_str())
        ));
    }

    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }
}

/// What the agent said of its steps.
struct Steps<'a>(&'a [Value]);

impl Steps<'_> {
    fn text(&self, name: &str, pointer: &str) -> Option<&str> {
        self.value(name, pointer).and_then(Value::as_str)
    }

    fn value(&self, name: &str, pointer: &str) -> Option<&Value> {
        let named = |step: &&Value| step.get("step").and_then(Value::as_str) == Some(name);
        self.0
            .iter()
            .find(named)
            .and_then(|step| step.pointer(pointer))
    }

    /// Whether the step was tried and done, or tried and not done; nothing if it was not tried.
    fn done(&self, name: &str) -> Option<bool> {
        self.value(name, "/done").and_then(Value::as_bool)
    }
}

/// What must be refused: the step, what it is in words, and the beginning of the problem's type.
const REFUSED: [(&str, &str, &str); 10] = [
    (
        "replayed",
        "the same single-use capability again",
        "urn:valetkey:problem:capability",
    ),
    (
        "expired",
        "a capability after its end",
        "urn:valetkey:problem:capability",
    ),
    (
        "too_many_rows",
        "the 51st row",
        "urn:valetkey:problem:constraint",
    ),
    (
        "macros",
        "the workbook with macros",
        "urn:valetkey:problem:",
    ),
    (
        "write_report",
        "overwriting the report without the typed operation",
        "",
    ),
    ("ssh_key", "the ssh key", ""),
    ("env_file", "the .env file", ""),
    (
        "symlink_out",
        "a symbolic link that leads out of the folder",
        "",
    ),
    ("network_loopback", "a server on this machine", ""),
    ("network_outside", "an address outside", ""),
];

/// Judges what the agent did.
pub(crate) fn task(checks: &mut Checks, house: &House, report: &[Value], asked: &[Asked]) {
    let steps = Steps(report);
    let done = |name: &str| steps.done(name) == Some(true);
    let question = asked.first().map_or_else(String::new, |asked| {
        let home = format!("file:{}", house.home().display());
        format!("{} {}", asked.grant.actions, asked.grant.resource).replace(&home, "~")
    });
    let rows = steps
        .value("append", "/value/report")
        .map_or_else(String::new, Value::to_string);
    out::line(&styled(Style::Bold, "Its task"));
    checks.check(
        "it reads the report, as the policy allows",
        done("read_report"),
        "",
    );
    checks.check(
        "a person is asked before the report changes",
        !asked.is_empty(),
        &question,
    );
    checks.check(
        "one row is appended after the approval",
        done("append"),
        &rows,
    );
    checks.check(
        "a capability for a single use works once",
        done("single_use"),
        "",
    );
    let part = steps
        .text("append", "/value/report/sheet_part")
        .unwrap_or_default();
    check_workbook(checks, house, part);
    out::line("");
}

/// Judges what the agent tried and must not.
pub(crate) fn side_steps(checks: &mut Checks, report: &[Value], nobody_called: bool) {
    let steps = Steps(report);
    out::line(&styled(Style::Bold, "What it must not"));
    for (name, what, kind) in REFUSED {
        let fits = steps.text(name, "/kind").unwrap_or("").starts_with(kind);
        let words = match steps.done(name) {
            None => "it was not tried",
            Some(true) => "it was done",
            Some(false) => steps.text(name, "/reason").unwrap_or("no reason was given"),
        };
        let refused = steps.done(name) == Some(false) && fits;
        checks.check(&format!("refused: {what}"), refused, words);
    }
    checks.check(
        "nobody called the server on this machine",
        nobody_called,
        "",
    );
    let told = steps
        .text("denials", "/value")
        .is_some_and(|text| text.contains("max_rows"));
    checks.check(
        "the agent can read what was refused, and why",
        told,
        "/run/valetkey/denials.json",
    );
    out::line("");
}

/// The workbook on disk: two rows more, everything else as it was.
fn check_workbook(checks: &mut Checks, house: &House, part: &str) {
    let bytes = std::fs::read(house.report()).unwrap_or_default();
    let rows = workbook::count_rows(&bytes, part);
    let original = workbook::count_rows(house.original_report(), part);
    let two_more =
        matches!((&rows, &original), (Ok(now), Ok(before)) if *now == before.saturating_add(2));
    checks.check(
        "the workbook on disk has exactly the two rows more",
        two_more,
        "",
    );
    let same = workbook::others_unchanged(house.original_report(), &bytes, part);
    checks.check(
        "chart, formulas, hidden sheet and styles are there byte for byte",
        same.is_ok_and(|same| same),
        "",
    );
    let ledger = std::fs::read(house.ledger()).is_ok_and(|now| now == house.original_ledger());
    checks.check("the workbook with macros is untouched", ledger, "");
}
