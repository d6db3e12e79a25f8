//! Keys on a page that stands over the lists.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a key that means nothing in a place does nothing there, new ones too"
)]

use valetkey_approval::Verdict;
use valetkey_approver::Passphrase;
use valetkey_model::{CapabilityId, Lease, RequestId};

use super::dialog::{Confirm, Dialog, Entry, Reason, Secret};
use super::rows::State;
use super::{Answering, App, Effect};
use crate::input::{Key, Typed};

impl App {
    pub(super) fn in_dialog(&mut self, dialog: Dialog, typed: Typed) -> Vec<Effect> {
        match dialog {
            // Any key ends it.
            Dialog::Help => Vec::new(),
            Dialog::Filter(entry) => self.in_filter(entry, typed),
            Dialog::Reason(reason) => self.in_reason(reason, typed),
            Dialog::Confirm(confirm) => self.in_confirm(confirm, typed),
            Dialog::Revoke(targets) => self.in_revoke(targets, typed),
            Dialog::Passphrase {
                typed: secret,
                answering,
                wrong,
            } => self.in_passphrase(secret, answering, wrong, typed),
        }
    }

    fn in_filter(&mut self, mut entry: Entry, typed: Typed) -> Vec<Effect> {
        match typed {
            Typed::Key(Key::Enter) => {
                self.filter = entry.0.trim().to_owned();
                self.scroll = 0;
            }
            Typed::Key(Key::Escape) => {}
            other => {
                edit(&mut entry, other);
                self.dialog = Some(Dialog::Filter(entry));
            }
        }
        Vec::new()
    }

    fn in_reason(&mut self, mut reason: Reason, typed: Typed) -> Vec<Effect> {
        match typed {
            Typed::Key(Key::Escape) => return Vec::new(),
            Typed::Key(Key::Enter) => {
                let text = reason.typed.0.trim();
                let because = (!text.is_empty()).then(|| text.to_owned());
                if reason.verdict == Verdict::Deny {
                    return self.send(&reason.targets, Verdict::Deny, (because, None));
                }
                match self.fault(&reason.targets, because.as_deref()) {
                    Some(fault) => reason.fault = Some(fault),
                    None => {
                        self.confirm(reason.targets, because, reason.lease);
                        return vec![self.pause()];
                    }
                }
            }
            other => {
                reason.fault = None;
                edit(&mut reason.typed, other);
            }
        }
        self.dialog = Some(Dialog::Reason(reason));
        Vec::new()
    }

    /// What the reason lacks for one of the questions.
    fn fault(&self, targets: &[RequestId], because: Option<&str>) -> Option<String> {
        targets.iter().find_map(|id| {
            let rule = &self.row(id)?.asked.requirement.justification;
            let fault = rule.check(because).err()?;
            // On the command line there is an option for it, here it is typed.
            let words = fault.to_string();
            let plain = words
                .split_once(": add --because")
                .map(|(words, _)| words.to_owned());
            Some(plain.unwrap_or(words))
        })
    }

    fn in_confirm(&mut self, mut confirm: Confirm, typed: Typed) -> Vec<Effect> {
        let size = self.size;
        let page = isize::try_from(Confirm::room(size)).unwrap_or(1);
        match typed {
            Typed::Key(Key::Char('y')) if confirm.seen => {
                let because = confirm.because.take();
                let lease = confirm.lease.take();
                return self.send(&confirm.targets, Verdict::Approve, (because, lease));
            }
            Typed::Key(Key::Char('y')) => {
                self.say("there is more to see: scroll to its end first");
            }
            Typed::Key(Key::Escape | Key::Char('n' | 'q')) => return Vec::new(),
            Typed::Key(Key::Char('b')) => {
                self.dialog = Some(Dialog::Reason(Reason {
                    verdict: Verdict::Approve,
                    targets: confirm.targets,
                    typed: Entry(confirm.because.unwrap_or_default()),
                    lease: confirm.lease,
                    fault: None,
                }));
                return vec![self.pause()];
            }
            Typed::Key(Key::Char('l')) if confirm.leases.is_empty() => {
                self.say("a yes to this cannot reach less");
            }
            Typed::Key(Key::Char('l')) => confirm.reach_next(),
            Typed::Key(Key::Char(' ') | Key::PageDown) => confirm.scroll_by(page, size),
            Typed::Key(Key::PageUp) => confirm.scroll_by(page.saturating_neg(), size),
            Typed::Key(Key::Down | Key::Char('j')) => confirm.scroll_by(1, size),
            Typed::Key(Key::Up | Key::Char('k')) => confirm.scroll_by(-1, size),
            Typed::Key(Key::Home | Key::Char('g')) => confirm.scroll = 0,
            _ => {}
        }
        self.dialog = Some(Dialog::Confirm(confirm));
        Vec::new()
    }

    fn in_revoke(&mut self, targets: Vec<CapabilityId>, typed: Typed) -> Vec<Effect> {
        match typed {
            Typed::Key(Key::Char('y')) => vec![Effect::Revoke(targets)],
            Typed::Key(Key::Escape | Key::Char('n' | 'q')) => Vec::new(),
            _ => {
                self.dialog = Some(Dialog::Revoke(targets));
                Vec::new()
            }
        }
    }

    fn in_passphrase(
        &mut self,
        mut secret: Secret,
        answering: Answering,
        wrong: bool,
        typed: Typed,
    ) -> Vec<Effect> {
        match typed {
            Typed::Key(Key::Enter) if !secret.is_empty() => {
                if let Ok(passphrase) = Passphrase::new(secret.take()) {
                    return vec![Effect::Answer(answering, Some(passphrase))];
                }
            }
            Typed::Key(Key::Char(c)) | Typed::Pasted(c) => secret.push(c),
            Typed::Key(Key::Backspace) => secret.pop(),
            Typed::Key(Key::EraseLine) => secret.clear(),
            Typed::Key(Key::Escape) => {
                self.dialog = Some(Dialog::Passphrase {
                    typed: secret,
                    answering,
                    wrong,
                });
                self.unsend();
                self.dialog = None;
                self.say("cancelled: nothing was answered");
                return Vec::new();
            }
            Typed::Key(_) => {}
        }
        self.dialog = Some(Dialog::Passphrase {
            typed: secret,
            answering,
            wrong,
        });
        Vec::new()
    }

    /// Sends the answers. Only what is still open goes; if one of several is not, none does.
    fn send(
        &mut self,
        targets: &[RequestId],
        verdict: Verdict,
        (because, lease): (Option<String>, Option<Lease>),
    ) -> Vec<Effect> {
        if !self.is_reachable() {
            return Vec::new();
        }
        let mut questions = Vec::new();
        for id in targets {
            match self.row(id) {
                Some(row) if row.is_open() => {
                    questions.push((row.asked.clone(), row.prompt.digest()));
                }
                _ => {
                    self.say("a question is no longer open: nothing was answered");
                    return Vec::new();
                }
            }
        }
        for id in targets {
            if let Some(row) = self.row_mut(id) {
                row.state = State::Sending;
                row.marked = false;
            }
        }
        let answering = Answering {
            questions,
            verdict,
            because,
            lease,
        };
        vec![Effect::Answer(answering, None)]
    }
}

fn edit(entry: &mut Entry, typed: Typed) {
    match typed {
        Typed::Key(Key::Char(c)) | Typed::Pasted(c) => entry.push(c),
        Typed::Key(Key::Backspace) => {
            let _last = entry.0.pop();
        }
        Typed::Key(Key::EraseLine) => entry.0.clear(),
        Typed::Key(_) => {}
    }
}
