//! What stands over the lists: pages that ask once more, and lines to type in.

use unicode_width::UnicodeWidthStr as _;
use valetkey_approval::Verdict;
use valetkey_model::{CapabilityId, Lease, RequestId};
use zeroize::Zeroizing;

use super::Answering;

/// Characters of a typed line at most: a reason, a filter.
const LINE_MAX_CHARS: usize = 500;
/// Bytes of a passphrase at most, as the key's own crate has it.
const PASSPHRASE_MAX_BYTES: usize = 1024;
/// Rows around a page: its title, what is said, its keys.
pub(crate) const PAGE_EDGE: u16 = 3;

/// What stands over the lists.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// The keys.
    Help,
    /// What to look for.
    Filter(Entry),
    /// Why.
    Reason(Reason),
    /// Whether really.
    Confirm(Confirm),
    /// Whether really to take back.
    Revoke(Vec<CapabilityId>),
    /// The passphrase of the key.
    Passphrase {
        typed: Secret,
        answering: Answering,
        wrong: bool,
    },
}

/// A typed line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry(pub(crate) String);

impl Entry {
    pub(crate) fn push(&mut self, c: char) {
        if self.0.chars().count() < LINE_MAX_CHARS {
            self.0.push(c);
        }
    }
}

/// A typed line that nobody may see. It wipes itself, and never grows, which would leave a copy.
pub(crate) struct Secret(Zeroizing<String>);

impl Default for Secret {
    fn default() -> Self {
        Self(Zeroizing::new(String::with_capacity(PASSPHRASE_MAX_BYTES)))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(crate) fn push(&mut self, c: char) {
        if self.0.len().saturating_add(c.len_utf8()) <= PASSPHRASE_MAX_BYTES {
            self.0.push(c);
        }
    }

    pub(crate) fn pop(&mut self) {
        let _last = self.0.pop();
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self) -> Zeroizing<String> {
        std::mem::take(&mut self.0)
    }
}

/// Why an answer is given.
#[derive(Debug)]
pub(crate) struct Reason {
    pub(crate) verdict: Verdict,
    pub(crate) targets: Vec<RequestId>,
    pub(crate) typed: Entry,
    /// How far a yes is to reach, where that was chosen before.
    pub(crate) lease: Option<Lease>,
    /// What the reason lacks.
    pub(crate) fault: Option<String>,
}

/// A page that shows what is about to be approved, whole.
#[derive(Debug)]
pub(crate) struct Confirm {
    pub(crate) targets: Vec<RequestId>,
    pub(crate) because: Option<String>,
    /// How far the yes reaches, where that is less than what is shown says.
    pub(crate) lease: Option<Lease>,
    /// What can be chosen in its place.
    pub(crate) leases: Vec<Lease>,
    /// The prompts, laid out for no width yet.
    pub(crate) shown: Vec<valetkey_approval::Prompt>,
    pub(crate) scroll: usize,
    /// How many lines were on the screen, from the first on without a gap.
    pub(crate) shown_to: usize,
    /// Whether all of them were.
    pub(crate) seen: bool,
}

impl Confirm {
    /// Chooses the next of what reaches less, and after the last as far as is shown.
    pub(crate) fn reach_next(&mut self) {
        let next = match &self.lease {
            None => 0,
            Some(lease) => self
                .leases
                .iter()
                .position(|other| other == lease)
                .map_or(usize::MAX, |at| at.saturating_add(1)),
        };
        self.lease = self.leases.get(next).cloned();
    }

    /// The page's lines at a width: with several questions, first a list of them all, then each whole.
    pub(crate) fn lines(&self, columns: u16) -> Vec<String> {
        let width = usize::from(columns);
        let mut lines = Vec::new();
        if self.shown.len() > 1 {
            for (at, prompt) in self.shown.iter().enumerate() {
                let text = format!("{:>3}. {}", at.saturating_add(1), prompt.plain_words);
                lines.extend(wrapped(&text, width));
            }
        }
        for (at, prompt) in self.shown.iter().enumerate() {
            if self.shown.len() > 1 {
                lines.push(String::new());
                let (at, of) = (at.saturating_add(1), self.shown.len());
                lines.push(format!("---- {at} of {of} ----"));
            }
            lines.extend(prompt_lines(prompt, width));
        }
        lines
    }

    /// Rows of the page that show lines.
    pub(crate) fn room(size: (u16, u16)) -> usize {
        usize::from(size.1.saturating_sub(PAGE_EDGE))
    }

    /// Scrolls, and over nothing that was not drawn: keys may come faster than pictures.
    pub(crate) fn scroll_by(&mut self, by: isize, size: (u16, u16)) {
        let last = self.lines(size.0).len().saturating_sub(Self::room(size));
        self.scroll = self
            .scroll
            .saturating_add_signed(by)
            .min(last)
            .min(self.shown_to);
    }

    /// Lines below what is on the screen.
    pub(crate) fn below(&self, size: (u16, u16)) -> usize {
        self.lines(size.0)
            .len()
            .saturating_sub(self.scroll.saturating_add(Self::room(size)))
    }

    pub(crate) fn drawn(&mut self, size: (u16, u16)) {
        if self.scroll <= self.shown_to {
            let to = self.scroll.saturating_add(Self::room(size));
            self.shown_to = self.shown_to.max(to);
        }
        self.seen = self.shown_to >= self.lines(size.0).len();
    }

    pub(crate) fn unsee(&mut self) {
        self.seen = false;
        self.shown_to = 0;
        self.scroll = 0;
    }
}

/// A prompt whole, in lines that fit: what would stand beyond the edge goes below.
pub(crate) fn prompt_lines(prompt: &valetkey_approval::Prompt, width: usize) -> Vec<String> {
    let text = prompt.whole(width);
    text.lines().flat_map(|line| wrapped(line, width)).collect()
}

/// Lines of at most `room` columns, broken anywhere: nothing is cut.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    for c in text.chars() {
        let mut buffer = [0; 4];
        let wide = c.encode_utf8(&mut buffer).width();
        if line.width().saturating_add(wide) > room {
            lines.push(std::mem::take(&mut line));
        }
        line.push(c);
    }
    lines.push(line);
    lines
}
