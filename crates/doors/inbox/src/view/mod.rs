//! What is on the screen, from what the inbox knows. Text of others is safe text before it comes here.

mod lists;
mod pages;
#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
use valetkey_approval::Risk;

use crate::app::{App, Dialog, Link, Tab};

/// Whether there are colours. Nothing is told by a colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theme {
    Colour,
    Plain,
}

impl Theme {
    /// As the environment wants it.
    pub(crate) fn from_env() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Self::Plain
        } else {
            Self::Colour
        }
    }

    fn fg(self, colour: Color) -> Style {
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Plain => Style::new(),
        }
    }

    fn alarm(self) -> Style {
        self.fg(Color::Red).bold()
    }

    fn risk(self, risk: Risk) -> Style {
        match risk {
            Risk::Low => Style::new(),
            Risk::Elevated => self.fg(Color::Yellow),
            Risk::High => self.alarm(),
        }
    }
}

/// Draws the inbox.
pub(crate) fn draw(app: &App, theme: Theme, frame: &mut Frame<'_>) {
    let area = frame.area();
    if app.is_too_small() {
        let words = format!(
            "{} open; too small to show: make it larger; q quits",
            app.open_count()
        );
        let lines = crate::app::wrapped(&words, usize::from(area.width));
        put(frame, area, lines.into_iter().map(Line::from).collect());
        return;
    }
    let body = Rect {
        y: area.y.saturating_add(1),
        height: area.height.saturating_sub(3),
        ..area
    };
    put(frame, row(area, 0), vec![header(app, theme)]);
    match (&app.dialog, app.tab) {
        (Some(Dialog::Confirm(confirm)), _) => pages::confirm(app, confirm, frame, body),
        (Some(Dialog::Help), _) => pages::help(frame, body),
        (Some(Dialog::Revoke(ids)), _) => pages::revoke(app, ids, frame, body),
        (_, Tab::Questions) => lists::questions(app, theme, frame, body),
        (_, Tab::Grants) => lists::grants(app, theme, frame, body),
        (_, Tab::History) => lists::history(app, frame, body),
    }
    let low = area.height.saturating_sub(2);
    let (said, keys) = pages::footer(app, theme, usize::from(area.width));
    put(frame, row(area, low), vec![said]);
    put(frame, row(area, low.saturating_add(1)), vec![keys]);
}

fn header(app: &App, theme: Theme) -> Line<'static> {
    let tab = |tab: Tab, text: String| {
        if app.tab == tab {
            Span::from(format!("[{text}]")).bold()
        } else {
            Span::from(format!(" {text} "))
        }
    };
    let mut spans = vec![
        tab(Tab::Questions, format!("1 questions {}", app.open_count())),
        tab(Tab::Grants, format!("2 grants {}", app.live_count())),
        tab(Tab::History, "3 history".to_owned()),
    ];
    match &app.link {
        Link::Waiting => spans.push(Span::from("  asking the broker")),
        Link::Up => {}
        Link::Down(_) => spans.push(Span::styled("  broker not reachable", theme.alarm())),
    }
    if !app.filter.is_empty() {
        let filter = valetkey_approval::visible(&app.filter);
        spans.push(Span::from(format!("  filter: {filter}")));
    }
    Line::from(spans)
}

/// One row of an area.
fn row(area: Rect, at: u16) -> Rect {
    Rect {
        y: area.y.saturating_add(at),
        height: u16::from(at < area.height),
        ..area
    }
}

/// Puts lines from the top on; what is below the area is not drawn.
fn put(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'static>>) {
    for (at, line) in lines.into_iter().enumerate().take(usize::from(area.height)) {
        let at = u16::try_from(at).unwrap_or(u16::MAX);
        frame.render_widget(line, row(area, at));
    }
}

/// At most `room` columns, with a mark where something is left out: lists are for finding, the whole is in the detail.
fn fit(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used: usize = 1;
    for c in text.chars() {
        used = used.saturating_add(c.width().unwrap_or(0));
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('\u{2026}');
    out
}

/// The same, filled up to the room.
fn cell(text: &str, room: usize) -> String {
    let mut text = fit(text, room);
    let pad = room.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', pad));
    text
}

/// A time as a countdown.
fn clock(seconds: u64) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match minutes {
        0..100 => format!("{minutes}:{rest:02}"),
        _ => format!("{}h{:02}", minutes / 60, minutes % 60),
    }
}

/// Which lines of a list are on the screen, so that the one under the cursor is.
fn window(at: usize, of: usize, room: usize) -> std::ops::Range<usize> {
    let from = at.saturating_sub(room / 2).min(of.saturating_sub(room));
    from..from.saturating_add(room).min(of)
}
