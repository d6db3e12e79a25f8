//! What each key does, where it is pressed.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a key that means nothing in a place does nothing there, new ones too"
)]

use valetkey_approval::{Reach, Verdict};
use valetkey_model::{Lease, RequestId};

use super::dialog::{Confirm, Dialog, Entry, Reason};
use super::rows::{Row, State};
use super::{App, Effect, Tab};
use crate::input::{Key, Typed};

/// Questions of one page at most: more are not looked through.
const BATCH_MAX: usize = 64;

impl App {
    pub(super) fn typed(&mut self, typed: Typed) -> Vec<Effect> {
        if typed == Typed::Key(Key::Interrupt) {
            return vec![Effect::Quit];
        }
        if self.is_paused() {
            return Vec::new();
        }
        // Too small to show what any other key would be about.
        if self.is_too_small() {
            let quits = typed == Typed::Key(Key::Char('q'));
            return quits.then_some(Effect::Quit).into_iter().collect();
        }
        self.notice = None;
        match (self.dialog.take(), typed) {
            (None, Typed::Key(key)) => self.key(key),
            (None, Typed::Pasted(_)) => Vec::new(),
            (Some(dialog), typed) => self.in_dialog(dialog, typed),
        }
    }

    fn key(&mut self, key: Key) -> Vec<Effect> {
        match key {
            Key::Char('q') => return vec![Effect::Quit],
            Key::Char('?') => self.dialog = Some(Dialog::Help),
            Key::Char('1') => self.tab = Tab::Questions,
            Key::Char('2') => self.tab = Tab::Grants,
            Key::Char('3') => self.tab = Tab::History,
            Key::Tab => {
                self.tab = match self.tab {
                    Tab::Questions => Tab::Grants,
                    Tab::Grants => Tab::History,
                    Tab::History => Tab::Questions,
                }
            }
            Key::Char('x') => self.alert = None,
            key => {
                return match self.tab {
                    Tab::Questions => self.question_key(key),
                    Tab::Grants => self.grant_key(key),
                    Tab::History => self.history_key(key),
                };
            }
        }
        Vec::new()
    }

    fn question_key(&mut self, key: Key) -> Vec<Effect> {
        match key {
            Key::Down | Key::Char('j') => self.move_by(1),
            Key::Up | Key::Char('k') => self.move_by(-1),
            Key::Home | Key::Char('g') => self.move_by(isize::MIN),
            Key::End | Key::Char('G') => self.move_by(isize::MAX),
            Key::PageDown => self.scroll = self.scroll.saturating_add(5),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(5),
            Key::Char('/') => self.dialog = Some(Dialog::Filter(Entry(self.filter.clone()))),
            Key::Escape => self.filter.clear(),
            Key::Char(' ') => self.mark(),
            Key::Char('a') => return self.begin(Verdict::Approve, false),
            Key::Char('A') => return self.begin(Verdict::Approve, true),
            Key::Char('d') => return self.begin(Verdict::Deny, false),
            Key::Char('D') => return self.begin(Verdict::Deny, true),
            _ => {}
        }
        Vec::new()
    }

    fn grant_key(&mut self, key: Key) -> Vec<Effect> {
        match key {
            Key::Down | Key::Char('j') => self.move_grant_by(1),
            Key::Up | Key::Char('k') => self.move_grant_by(-1),
            Key::Home | Key::Char('g') => self.move_grant_by(isize::MIN),
            Key::End | Key::Char('G') => self.move_grant_by(isize::MAX),
            Key::Char(' ') => self.mark_grant(),
            Key::Char('r') => return self.revoke(false),
            Key::Char('R') => return self.revoke(true),
            _ => {}
        }
        Vec::new()
    }

    fn history_key(&mut self, key: Key) -> Vec<Effect> {
        let last = self.past.len().saturating_sub(1);
        self.past_scroll = match key {
            Key::Down | Key::Char('j') => self.past_scroll.saturating_add(1),
            Key::Up | Key::Char('k') => self.past_scroll.saturating_sub(1),
            Key::PageDown => self.past_scroll.saturating_add(10),
            Key::PageUp => self.past_scroll.saturating_sub(10),
            Key::Home | Key::Char('g') => 0,
            Key::End | Key::Char('G') => last,
            _ => self.past_scroll,
        }
        .min(last);
        Vec::new()
    }

    fn mark(&mut self) {
        let Some(id) = self.current().map(|row| row.id().clone()) else {
            return;
        };
        if let Some(row) = self.row_mut(&id)
            && row.is_open()
        {
            row.marked = !row.marked;
        }
        self.move_by(1);
    }

    /// Opens the page for an answer: to the question under the cursor, or to all that are marked.
    fn begin(&mut self, verdict: Verdict, many: bool) -> Vec<Effect> {
        let targets: Vec<&Row> = if many {
            self.marked()
        } else {
            self.current().into_iter().collect()
        };
        let refused = refusal(&targets, verdict, many);
        let needed = targets
            .first()
            .is_some_and(|row| row.asked.requirement.justification.is_needed());
        let targets: Vec<RequestId> = targets.iter().map(|row| row.id().clone()).collect();
        if let Some(why) = refused {
            self.say(why);
            return Vec::new();
        }
        if !self.is_reachable() {
            return Vec::new();
        }
        if verdict == Verdict::Deny || needed {
            self.dialog = Some(Dialog::Reason(Reason {
                verdict,
                targets,
                typed: Entry::default(),
                lease: None,
                fault: None,
            }));
        } else {
            self.confirm(targets, None, None);
        }
        vec![self.pause()]
    }

    pub(super) fn confirm(
        &mut self,
        targets: Vec<RequestId>,
        because: Option<String>,
        lease: Option<Lease>,
    ) {
        let rows = || targets.iter().filter_map(|id| self.row(id));
        let shown = rows().map(|row| row.prompt.clone()).collect();
        // What can be chosen for every one of them.
        let mut all = rows().map(|row| Reach::of(&row.asked).usual());
        let mut leases = all.next().unwrap_or_default();
        for other in all {
            leases.retain(|lease| other.contains(lease));
        }
        self.dialog = Some(Dialog::Confirm(Confirm {
            targets,
            because,
            lease,
            leases,
            shown,
            scroll: 0,
            shown_to: 0,
            seen: false,
        }));
    }
}

/// Why no answer can be given to these.
fn refusal(targets: &[&Row], verdict: Verdict, many: bool) -> Option<String> {
    let Some((first, others)) = targets.split_first() else {
        return Some(
            if many {
                "no question is marked: the space key marks"
            } else {
                "no question is selected"
            }
            .to_owned(),
        );
    };
    if let Some(row) = targets.iter().find(|row| !row.is_open()) {
        return Some(match &row.state {
            State::Sending => "the answer is on its way".to_owned(),
            State::Waits(_) => "you have answered: others must, too".to_owned(),
            State::Closed(how) => (*how).to_owned(),
            State::Open => return None,
        });
    }
    if targets.len() > BATCH_MAX {
        return Some(format!("at most {BATCH_MAX} at once"));
    }
    if verdict == Verdict::Deny || !many {
        return None;
    }
    if !targets.iter().all(|row| row.is_low()) {
        return Some(
            "only questions of low risk are approved together: answer the others one by one"
                .to_owned(),
        );
    }
    (!others.iter().all(|row| row.is_like(first))).then(|| {
        "only like questions are approved together: one agent, one session, the same actions, limits and policy".to_owned()
    })
}
