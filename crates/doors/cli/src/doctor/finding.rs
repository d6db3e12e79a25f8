//! What the doctor found, and how it is shown.

use serde::Serialize;
use valetkey_approval::visible;

use super::probe::Wall;
use crate::out::{self, Style, styled};

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// As it should be.
    Holds,
    /// It is not, and sessions are weaker for it, or cannot be had.
    Fails,
    /// It cannot be told here.
    NotCheckable,
    /// Nothing is wrong; worth knowing.
    Note,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) section: &'static str,
    pub(super) id: String,
    pub(super) what: String,
    pub(super) state: State,
    pub(super) detail: String,
    /// For an attack on a cell: what should hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wall: Option<Wall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn new(
        section: &'static str,
        id: impl Into<String>,
        what: impl Into<String>,
        state: State,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            section,
            id: id.into(),
            what: what.into(),
            state,
            detail: detail.into(),
            wall: None,
            next: None,
        }
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    pub(super) fn of_wall(mut self, wall: Wall) -> Self {
        self.wall = Some(wall);
        self
    }

    /// With a next step where it fails.
    pub(super) fn mend(self, step: &str) -> Self {
        if self.state == State::Fails {
            self.next(step)
        } else {
            self
        }
    }

    /// Its line, and the next step beneath. Whatever comes from elsewhere is made safe to show.
    pub(super) fn print(&self) {
        let (word, style) = match self.state {
            State::Holds => ("holds", Style::Green),
            State::Fails => ("FAILS", Style::Red),
            State::NotCheckable => ("not checkable here", Style::Dim),
            State::Note => ("note", Style::Bold),
        };
        let (what, detail) = (visible(&self.what), visible(&self.detail));
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(" ({detail})")
        };
        out::line(&format!("  {}: {what}{detail}", styled(style, word)));
        if let Some(step) = &self.next {
            out::line(&format!("      next: {}", visible(step)));
        }
    }
}
