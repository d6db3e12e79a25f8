//! How events are printed.

use valetkey_approval::{SafeText, visible};
use valetkey_audit::{AuditDecision, Record};
use valetkey_store::Entry;
use valetkey_trail::{CSV_HEADER, cef, csv_row, decision_name, ecs, ocsf};

use crate::args::Format;
use crate::out::{self, Bulk, Style, styled};

/// Prints events one after the other in one format.
pub(super) struct Printer {
    format: Format,
    bulk: Bulk,
    printed: u64,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        let mut bulk = Bulk::new();
        match format {
            Format::Csv => bulk.line(CSV_HEADER),
            Format::Json => bulk.line("["),
            Format::Table | Format::Ndjson | Format::Ocsf | Format::Ecs | Format::Cef => {}
        }
        Self {
            format,
            bulk,
            printed: 0,
        }
    }

    pub(super) fn print(&mut self, entry: &Entry) {
        let (record, bytes) = (&entry.record, String::from_utf8_lossy(&entry.bytes));
        let line = match self.format {
            Format::Table => one_line(record),
            Format::Ndjson => out::json_text(&bytes),
            Format::Json if self.printed == 0 => out::json_text(&bytes),
            Format::Json => format!(",{}", out::json_text(&bytes)),
            Format::Csv => csv_row(record, &bytes),
            Format::Ocsf => out::json_text(&ocsf(record).to_string()),
            Format::Ecs => out::json_text(&ecs(record).to_string()),
            Format::Cef => cef(record),
        };
        self.bulk.line(&line);
        self.printed = self.printed.saturating_add(1);
    }

    /// Puts out what is printed so far.
    pub(super) fn flush(&mut self) {
        self.bulk.flush();
    }

    /// Ends the output and tells how many events it has.
    pub(super) fn finish(mut self) -> u64 {
        if self.format == Format::Json {
            self.bulk.line("]");
        }
        self.printed
    }
}

/// An event in one line: when, what, how it was decided, and on what.
pub(crate) fn one_line(record: &Record) -> String {
    let decision = record.decision.map_or(String::new(), |decision| {
        let word = decision_name(decision);
        let style = match decision {
            AuditDecision::Allowed | AuditDecision::Approved => Style::Green,
            AuditDecision::Denied | AuditDecision::Refused | AuditDecision::Expired => Style::Red,
            AuditDecision::Observed => Style::Dim,
        };
        styled(style, &format!(" {word}"))
    });
    let actions = record
        .action
        .map_or(String::new(), |actions| format!(" {actions}"));
    let resource = record.resource.as_ref().map_or(String::new(), |resource| {
        format!(" {}", visible(&resource.to_string()))
    });
    let reason = ["reason", "operation", "how", "why"]
        .iter()
        .find_map(|name| record.attributes.get(*name))
        .and_then(|value| serde_json::to_value(value).ok())
        .and_then(|value| {
            value
                .as_str()
                .map(|text| format!("  ({})", SafeText::prose(text)))
        })
        .unwrap_or_default();
    format!(
        "{} {} {}{decision}{actions}{resource}{reason}",
        styled(Style::Dim, &format!("{:>5}", record.seq)),
        record.timestamp,
        styled(Style::Bold, record.kind.name()),
    )
}
