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
        let detail = valetkey_approval::visible(detail);
        out::line(&format!("{mark}  {what}{}{}", if detail.is_empty() { "" } else { ": " }, styled(Style::Dim, &detail)));
    }

    pub(crate) fn passed(&self) -> usize {
        self.passed
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }
}

/// Judges what the agent did and tried.
pub(crate) fn agent_steps(checks: &mut Checks, house: &House, report: &[Value], asked: &[Asked], nobody_called: bool) {
    let step = |name: &str| report.iter().find(|step| step["step"] == name);
    let words = |name: &str| step(name).map_or("it was not tried", |step| step["reason"].as_str().unwrap_or("it was done")).to_owned();
    let done = |name: &str| step(name).is_some_and(|step| step["done"] == true);
    out::line(&styled(Style::Bold, "Its task"));
    let question = asked.first().map_or_else(String::new, |asked| {
        let home = format!("file:{}", house.home().display());
        format!("{} {}", asked.grant.actions, asked.grant.resource).replace(&home, "~")
    });
    checks.check("it reads the report, as the policy allows", done("read_report"), "");
    checks.check("a person is asked before the report changes", !asked.is_empty(), &question);
    let rows = step("append").map_or_else(String::new, |step| step["value"]["report"].to_string());
    checks.check("one row is appended after the approval", done("append"), &rows);
    checks.check("a capability for a single use works once", done("single_use"), "");
    let part = step("append").and_then(|step| step["value"]["report"]["sheet_part"].as_str()).unwrap_or_default();
    check_workbook(checks, house, part);
    out::line("");
    out::line(&styled(Style::Bold, "What it must not"));
    let refused: [(&str, &str, &str); 10] = [
        ("replayed", "the same single-use capability again", "urn:valetkey:problem:capability"),
        ("expired", "a capability after its end", "urn:valetkey:problem:capability"),
        ("too_many_rows", "the 51st row", "urn:valetkey:problem:constraint"),
        ("macros", "the workbook with macros", "urn:valetkey:problem:"),
        ("write_report", "overwriting the report without the typed operation", ""),
        ("ssh_key", "the ssh key", ""),
        ("env_file", "the .env file", ""),
        ("symlink_out", "a symbolic link that leads out of the folder", ""),
        ("network_loopback", "a server on this machine", ""),
        ("network_outside", "an address outside", ""),
    ];
    for (name, what, kind) in refused {
        let kind_fits = step(name).is_some_and(|step| step["kind"].as_str().unwrap_or("").starts_with(kind));
        let tried_and_refused = step(name).is_some_and(|step| step["done"] == false) && kind_fits;
        checks.check(&format!("refused: {what}"), tried_and_refused, &words(name));
    }
    checks.check("nobody called the server on this machine", nobody_called, "");
    let told = step("denials").and_then(|step| step["value"].as_str()).is_some_and(|text| text.contains("max_rows"));
    checks.check("the agent can read what was refused, and why", told, "/run/valetkey/denials.json");
    out::line("");
}

/// The workbook on disk: two rows more, everything else as it was.
fn check_workbook(checks: &mut Checks, house: &House, part: &str) {
    let bytes = std::fs::read(house.report()).unwrap_or_default();
    let rows = workbook::count_rows(&bytes, part);
    let original = workbook::count_rows(house.original_report(), part);
    let two_more = matches!((&rows, &original), (Ok(now), Ok(before)) if *now == before.saturating_add(2));
    checks.check("the workbook on disk has exactly the two rows more", two_more, "");
    let same = workbook::others_unchanged(house.original_report(), &bytes, part);
    checks.check("chart, formulas, hidden sheet and styles are there byte for byte", same.is_ok_and(|same| same), "");
    let ledger = std::fs::read(house.ledger()).is_ok_and(|now| now == house.original_ledger());
    checks.check("the workbook with macros is untouched", ledger, "");
}
