//! Pages over the lists, and the two lines at the foot.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize as _;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;
use valetkey_approval::{Verdict, chosen_in_words, visible};
use valetkey_model::CapabilityId;

use super::{Theme, clock, fit, put};
use crate::app::{App, Confirm, Dialog, Link, Reason, Tab};

/// What is about to be approved, whole.
pub(super) fn confirm(app: &App, confirm: &Confirm, frame: &mut Frame<'_>, area: Rect) {
    let lines = confirm
        .lines(app.size.0)
        .into_iter()
        .skip(confirm.scroll)
        .map(Line::from)
        .collect();
    put(frame, area, lines);
}

/// What is about to be taken back.
pub(super) fn revoke(app: &App, ids: &[CapabilityId], frame: &mut Frame<'_>, area: Rect) {
    let width = usize::from(area.width);
    let mut lines = vec![Line::from(format!("Take back these {}?", ids.len())).bold()];
    let meant = app.grants.iter().filter(|grant| ids.contains(grant.id()));
    let room = usize::from(area.height).saturating_sub(2);
    lines.extend(meant.take(room).map(|grant| {
        Line::from(fit(
            &format!("  {}: {}", grant.agent(), grant.in_short()),
            width,
        ))
    }));
    if ids.len() > room {
        lines.push(Line::from(format!(
            "  and {} more",
            ids.len().saturating_sub(room)
        )));
    }
    put(frame, area, lines);
}

/// The keys.
pub(super) fn help(frame: &mut Frame<'_>, area: Rect) {
    const LINES: [&str; 20] = [
        "1 2 3, Tab     questions, grants, history",
        "up down, j k   move; Home End, g G: first, last",
        "PgUp PgDn      scroll the question that is shown",
        "a              approve it: shows it whole, then y signs",
        "               there l: reach less than is shown",
        "d              deny it, with a reason if you like",
        "space          mark it",
        "A              approve all marked: low risk and alike only",
        "D              deny all marked",
        "/  Esc         filter; clear the filter",
        "r              grants: take back the one selected, or all marked",
        "R              grants: take back all",
        "x              put the alert away",
        "?  q           this page; quit (^C too)",
        "",
        "An answer is your signature over exactly what is shown.",
        "No key counts for a moment after something appears",
        "that you did not call: look first.",
        "A passphrase that is asked for each time: `valetkey",
        "approver unlock` keeps the key open for a while.",
    ];
    put(frame, area, LINES.into_iter().map(Line::from).collect());
}

/// What is said, and which keys there are.
pub(super) fn footer(app: &App, theme: Theme, width: usize) -> (Line<'static>, Line<'static>) {
    let (said, keys) = match &app.dialog {
        None => (said(app, theme), keys(app)),
        Some(Dialog::Help) => (Line::default(), "any key goes back".to_owned()),
        Some(Dialog::Filter(entry)) => (
            typed_line("filter: ", &visible(&entry.0), width),
            "Enter filters   Esc leaves it as it was".to_owned(),
        ),
        Some(Dialog::Reason(reason)) => reason_lines(reason, theme, width),
        Some(Dialog::Confirm(page)) => confirm_lines(app, page, width),
        Some(Dialog::Revoke(_)) => (
            said(app, theme),
            "y takes them all back   Esc goes back".to_owned(),
        ),
        Some(Dialog::Passphrase { typed, wrong, .. }) => {
            let words = if *wrong {
                "this passphrase does not open your approver key; again: "
            } else {
                "passphrase of your approver key: "
            };
            // How long it is is nobody's business.
            let mark = if typed.is_empty() { "_" } else { "(typed)_" };
            (
                Line::from(fit(&format!("{words}{mark}"), width)).bold(),
                "Enter signs   Esc answers nothing".to_owned(),
            )
        }
    };
    (said, Line::from(fit(&keys, width)).dim())
}

fn said(app: &App, theme: Theme) -> Line<'static> {
    let width = usize::from(app.size.0);
    if let Some(notice) = &app.notice {
        return Line::from(fit(notice, width)).bold();
    }
    if let Link::Down(why) = &app.link {
        let words = format!("broker not reachable, trying again: {}", visible(why));
        return Line::styled(fit(&words, width), theme.alarm());
    }
    if let Some(alert) = &app.alert {
        return Line::styled(fit(&format!("ALERT {alert} (x)"), width), theme.alarm());
    }
    let marked = app.marked().len();
    if marked > 0 {
        return Line::from(format!("{marked} marked: A approves, D denies"));
    }
    Line::default()
}

fn keys(app: &App) -> String {
    match app.tab {
        Tab::Questions => {
            "a approve  d deny  space mark  A D marked  / filter  Tab grants  ? help  q quit"
        }
        Tab::Grants => "r revoke  space mark  R revoke all  Tab history  ? help  q quit",
        Tab::History => "up down scroll  Tab questions  ? help  q quit",
    }
    .to_owned()
}

fn reason_lines(reason: &Reason, theme: Theme, width: usize) -> (Line<'static>, String) {
    let typed = visible(&reason.typed.0);
    let line = match (&reason.fault, reason.verdict, reason.targets.len()) {
        (Some(fault), ..) => Line::styled(fit(&visible(fault), width), theme.alarm()),
        (None, Verdict::Deny, 1) => typed_line("deny, because: ", &typed, width),
        (None, Verdict::Deny, many) => {
            typed_line(&format!("deny {many}, because: "), &typed, width)
        }
        (None, Verdict::Approve, _) => typed_line("your reason: ", &typed, width),
    };
    let keys = match reason.verdict {
        Verdict::Deny => "Enter denies (a reason is optional)   Esc goes back",
        Verdict::Approve => "Enter goes on to the page that approves   Esc goes back",
    };
    (line, keys.to_owned())
}

fn confirm_lines(app: &App, page: &Confirm, width: usize) -> (Line<'static>, String) {
    let below = page.below(app.size);
    let what = match page.targets.len() {
        1 => "Approve this?".to_owned(),
        many => format!("Approve these {many}, each by itself?"),
    };
    let because = page
        .because
        .as_deref()
        .map(|text| format!("  because: {}", visible(text)))
        .unwrap_or_default();
    let notice = app
        .notice
        .as_deref()
        .map(|text| format!("  {text}"))
        .unwrap_or_default();
    let left = page.targets.iter().filter_map(|id| app.row(id));
    let left = left.map(|row| row.seconds_left(app.now)).min();
    let left = left
        .map(|left| format!("  {} left", clock(left)))
        .unwrap_or_default();
    let reach = page
        .lease
        .as_ref()
        .map(|lease| format!("  REACHES: {}", chosen_in_words(lease)))
        .unwrap_or_default();
    let said = Line::from(fit(&format!("{what}{reach}{left}{notice}{because}"), width)).bold();
    let less = if page.leases.is_empty() {
        ""
    } else {
        "l less   "
    };
    let keys = if page.seen {
        format!("y signs your yes   {less}b reason   Esc goes back")
    } else {
        format!("{below} more lines: space shows them   Esc goes back")
    };
    (said, keys)
}

/// A line that is typed: its end is what is seen.
fn typed_line(before: &str, text: &str, width: usize) -> Line<'static> {
    let room = width.saturating_sub(before.width().saturating_add(2));
    let mut shown = String::new();
    for c in text.chars().rev() {
        let mut longer = c.to_string();
        longer.push_str(&shown);
        if longer.width() > room {
            break;
        }
        shown = longer;
    }
    Line::from(format!("{before}{shown}_")).bold()
}
