//! The three lists: questions with the detail of one, grants, history.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Style, Stylize as _};
use ratatui::text::{Line, Span};
use valetkey_approval::Risk;

use super::{Theme, cell, clock, fit, put, row, window};
use crate::app::{App, GrantRow, Row, State, prompt_lines};

/// Columns of an agent's name.
const AGENT_WIDTH: usize = 14;
/// Countdowns shorter than this stand out.
const SOON_SECONDS: u64 = 30;

/// The questions, and the one under the cursor whole below them.
pub(super) fn questions(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let listed = app.listed();
    if listed.is_empty() {
        let words = if app.rows.is_empty() {
            "no question waits"
        } else {
            "no question fits the filter: Esc clears it"
        };
        put(frame, area, vec![Line::from(words)]);
        return;
    }
    let most = usize::from(area.height / 3).max(2);
    let room = listed.len().min(most);
    let at = app
        .selected
        .as_ref()
        .and_then(|id| listed.iter().position(|row| row.id() == id));
    let seen = window(at.unwrap_or(0), listed.len(), room);
    let width = usize::from(area.width);
    let lines = listed
        .get(seen)
        .unwrap_or_default()
        .iter()
        .map(|question| {
            let line = question_line(app, question, theme, width);
            if Some(question.id()) == app.selected.as_ref() {
                line.reversed()
            } else {
                line
            }
        })
        .collect();
    put(frame, area, lines);
    let below = u16::try_from(room).unwrap_or(u16::MAX);
    let rest = Rect {
        y: area.y.saturating_add(below),
        height: area.height.saturating_sub(below),
        ..area
    };
    detail(app, theme, frame, rest);
}

fn question_line(app: &App, question: &Row, theme: Theme, width: usize) -> Line<'static> {
    let risk = match question.prompt.risk {
        Risk::Low => "low ",
        Risk::Elevated => "elev",
        Risk::High => "HIGH",
    };
    let left = question.seconds_left(app.now);
    let (time, time_style) = match &question.state {
        State::Closed(_) => ("closed".to_owned(), Style::new().dim()),
        State::Sending => ("sent".to_owned(), Style::new()),
        State::Waits(_) => (format!("{} \u{2713}", clock(left)), Style::new()),
        State::Open if left < SOON_SECONDS => (clock(left), theme.alarm()),
        State::Open => (clock(left), Style::new()),
    };
    let cursor = if Some(question.id()) == app.selected.as_ref() {
        ">"
    } else {
        " "
    };
    let mark = if question.marked { "*" } else { " " };
    let words = question.prompt.plain_words.as_str();
    let room = width.saturating_sub(AGENT_WIDTH.saturating_add(18));
    Line::from(vec![
        Span::from(format!("{cursor}{mark} ")),
        Span::styled(risk, theme.risk(question.prompt.risk)),
        Span::styled(format!(" {time:>7} "), time_style),
        Span::from(cell(&question.agent(), AGENT_WIDTH)),
        Span::from(format!(" {}", fit(words, room))),
    ])
}

/// The question under the cursor, whole: it scrolls, and says how much is below.
fn detail(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let Some(question) = app.current() else {
        let words = "no question is selected: the arrow keys select";
        put(frame, area, vec![Line::from(words).dim()]);
        return;
    };
    let width = usize::from(area.width);
    let lines = prompt_lines(&question.prompt, width);
    let room = usize::from(area.height).saturating_sub(1);
    let from = app.scroll.min(lines.len().saturating_sub(room));
    let below = lines.len().saturating_sub(from.saturating_add(room));
    let how = match &question.state {
        State::Closed(how) => (*how).to_owned(),
        State::Sending => "your answer is on its way".to_owned(),
        State::Waits(_) => "you have answered: others must, too".to_owned(),
        State::Open if below > 0 => format!("{below} more lines below: PgDn"),
        State::Open => String::new(),
    };
    let mut rule = format!("-- {} ", question.id());
    if !how.is_empty() {
        rule.push_str(&format!("-- {how} "));
    }
    let pad = width.saturating_sub(rule.chars().count());
    rule.extend(std::iter::repeat_n('-', pad));
    put(frame, row(area, 0), vec![Line::from(fit(&rule, width))]);
    let shown = lines
        .iter()
        .skip(from)
        .map(|line| prompt_line(line, question.prompt.risk, theme))
        .collect();
    let below_rule = Rect {
        y: area.y.saturating_add(1),
        height: area.height.saturating_sub(1),
        ..area
    };
    put(frame, below_rule, shown);
}

/// A line of a prompt; those that warn stand out.
pub(super) fn prompt_line(text: &str, risk: Risk, theme: Theme) -> Line<'static> {
    let style = if text.starts_with(" WARNING ") {
        theme.alarm()
    } else if text.starts_with(" risk ") {
        theme.risk(risk)
    } else {
        Style::new()
    };
    Line::styled(text.to_owned(), style)
}

/// What agents hold, each with its countdown, and the one under the cursor whole.
pub(super) fn grants(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if app.grants.is_empty() {
        put(frame, area, vec![Line::from("no agent holds anything")]);
        return;
    }
    let width = usize::from(area.width);
    let room = usize::from(area.height).saturating_sub(7).max(1);
    let at = app
        .selected_grant
        .as_ref()
        .and_then(|id| app.grants.iter().position(|grant| grant.id() == id));
    let seen = window(at.unwrap_or(0), app.grants.len(), room);
    let mut lines: Vec<Line<'static>> = app
        .grants
        .get(seen)
        .unwrap_or_default()
        .iter()
        .map(|grant| grant_line(app, grant, theme, width))
        .collect();
    let current = at.and_then(|at| app.grants.get(at));
    if let Some(grant) = current {
        lines.push(Line::from("-".repeat(width)));
        lines.extend(
            grant_detail(grant)
                .into_iter()
                .flat_map(|text| crate::app::wrapped(&text, width))
                .map(Line::from),
        );
    }
    put(frame, area, lines);
}

fn grant_line(app: &App, grant: &GrantRow, theme: Theme, width: usize) -> Line<'static> {
    let is_current = Some(grant.id()) == app.selected_grant.as_ref();
    let left = grant.seconds_left(app.now);
    let (time, style) = if grant.ended {
        ("ended".to_owned(), Style::new().dim())
    } else if left < SOON_SECONDS {
        (clock(left), theme.alarm())
    } else {
        (clock(left), Style::new())
    };
    let cursor = if is_current { ">" } else { " " };
    let mark = if grant.marked { "*" } else { " " };
    let room = width.saturating_sub(AGENT_WIDTH.saturating_add(13));
    let line = Line::from(vec![
        Span::from(format!("{cursor}{mark} ")),
        Span::styled(format!("{time:>7} "), style),
        Span::from(cell(&grant.agent(), AGENT_WIDTH)),
        Span::from(format!(" {}", fit(&grant.in_short(), room))),
    ]);
    if is_current { line.reversed() } else { line }
}

fn grant_detail(grant: &GrantRow) -> Vec<String> {
    let held = &grant.held;
    let limits = serde_json::to_string(&held.constraints).unwrap_or_default();
    let mut lines = vec![
        format!("{}  session {}", held.capability_id, held.session),
        grant.in_short(),
        format!(
            "limits {}  until {}",
            valetkey_approval::visible(&limits),
            held.expires_at
        ),
    ];
    for except in &held.except {
        lines.push(format!(
            "not {}",
            valetkey_approval::visible(&except.to_string())
        ));
    }
    if let Some(parent) = &held.parent {
        lines.push(format!("narrowed from {parent}, and ends with it"));
    }
    lines
}

/// What happened in this sitting, newest first.
pub(super) fn history(app: &App, frame: &mut Frame<'_>, area: Rect) {
    if app.past.is_empty() {
        put(
            frame,
            area,
            vec![Line::from("nothing has happened in this sitting")],
        );
        return;
    }
    let width = usize::from(area.width);
    let lines = app
        .past
        .iter()
        .rev()
        .skip(app.past_scroll)
        .take(usize::from(area.height))
        .map(|past| {
            let time = past.time.to_string();
            // The day is known.
            let time = time.split_once('T').map_or(time.as_str(), |(_, time)| time);
            let time = time.get(..8).unwrap_or(time);
            Line::from(fit(&format!("{time} {}", past.what), width))
        })
        .collect();
    put(frame, area, lines);
}
