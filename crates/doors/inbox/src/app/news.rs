//! What comes from outside: questions that open, change and close, and what became of answers.

use valetkey_api::Outcome;
use valetkey_approval::{Asked, Verdict};
use valetkey_model::RequestId;

use super::dialog::{Dialog, Secret};
use super::rows::{Row, State};
use super::{App, Done, Effect, Link, News, Tab, Unanswered};

impl App {
    pub(super) fn news(&mut self, news: News) -> Vec<Effect> {
        self.link = Link::Up;
        for alert in news.alerts {
            self.remember(format!("ALERT     {alert}"));
            self.alert = Some(alert);
        }
        self.take_capabilities(news.capabilities);
        let mut effects = self.close_missing(&news.questions);
        for asked in news.questions {
            effects.extend(self.take_question(asked));
        }
        if self.selected.is_none() && self.filter.is_empty() {
            self.selected = self.rows.first().map(|row| row.id().clone());
            if self.selected.is_some() {
                self.scroll = 0;
                effects.push(self.pause());
            }
        }
        effects
    }

    /// Closes what the broker has no longer.
    fn close_missing(&mut self, open: &[Asked]) -> Vec<Effect> {
        let now = self.now;
        let mut gone: Vec<(RequestId, &'static str)> = Vec::new();
        for row in &self.rows {
            let listed = open.iter().any(|asked| asked.request_id == *row.id());
            // What this person answered is told by the answer's own end.
            if listed || row.is_closed() || row.state == State::Sending {
                continue;
            }
            let how = if row.asked.expires_at <= now {
                "expired: nobody answered in time, which counts as a no"
            } else {
                "closed elsewhere: answered by somebody, or its session is over"
            };
            gone.push((row.id().clone(), how));
        }
        let mut effects = Vec::new();
        for (id, how) in gone {
            effects.extend(self.close(&id, how));
        }
        effects
    }

    /// Closes a question: it stays to be seen while it is under the cursor, and takes the page that is about it with it.
    fn close(&mut self, id: &RequestId, how: &'static str) -> Option<Effect> {
        let row = self.row_mut(id)?;
        row.state = State::Closed(how);
        row.marked = false;
        let short = row.in_short();
        let word = how.split_once(':').map_or(how, |(word, _)| word);
        self.remember(format!("{word:<9} {short}"));
        self.sweep();
        self.drop_page_about(id, "the question is closed")
    }

    fn drop_page_about(&mut self, id: &RequestId, why: &str) -> Option<Effect> {
        let about = match &self.dialog {
            Some(Dialog::Reason(reason)) => reason.targets.contains(id),
            Some(Dialog::Confirm(confirm)) => confirm.targets.contains(id),
            Some(Dialog::Passphrase { answering, .. }) => answering
                .questions
                .iter()
                .any(|(asked, _)| asked.request_id == *id),
            Some(Dialog::Help | Dialog::Filter(_) | Dialog::Revoke(_)) | None => false,
        };
        about.then(|| {
            self.unsend();
            self.dialog = None;
            self.say(format!("{why}: nothing was answered"));
            // What is typed now was meant for the page.
            self.pause()
        })
    }

    /// Questions whose answer waits for a passphrase are open again.
    pub(super) fn unsend(&mut self) {
        let waiting: Vec<RequestId> = match &self.dialog {
            Some(Dialog::Passphrase { answering, .. }) => answering
                .questions
                .iter()
                .map(|(asked, _)| asked.request_id.clone())
                .collect(),
            _ => return,
        };
        for id in waiting {
            if let Some(row) = self.row_mut(&id)
                && row.state == State::Sending
            {
                row.state = State::Open;
            }
        }
    }

    fn take_question(&mut self, asked: Asked) -> Option<Effect> {
        let id = asked.request_id.clone();
        match self.row(&id) {
            Some(known) if known.asked == asked => return None,
            Some(_) => {}
            None => {
                self.rows.push(Row::new(asked, &self.context));
                return None;
            }
        }
        let fresh = Row::new(asked, &self.context);
        let known = self.row_mut(&id)?;
        // Another question under the same id: nothing that was done about the old one holds.
        *known = fresh;
        let dropped = self.drop_page_about(&id, "the question has changed");
        if self.selected.as_ref() == Some(&id) && self.tab == Tab::Questions {
            self.scroll = 0;
            self.say("the question has changed: look at it again");
            return Some(self.pause());
        }
        dropped
    }

    pub(super) fn done(&mut self, done: Done) -> Vec<Effect> {
        match done {
            Done::Answered(id, result) => self.answered(&id, result).into_iter().collect(),
            Done::Locked { answering, wrong } => {
                // What closed meanwhile has no use for a passphrase.
                let ours = |app: &Self| {
                    answering.questions.iter().all(|(asked, _)| {
                        app.row(&asked.request_id)
                            .is_some_and(|row| row.asked == *asked && !row.is_closed())
                    })
                };
                if !ours(self) {
                    self.say("the question is closed or has changed: nothing was answered");
                    return Vec::new();
                }
                self.dialog = Some(Dialog::Passphrase {
                    typed: Secret::default(),
                    answering,
                    wrong,
                });
                vec![self.pause()]
            }
            Done::Registered(name) => {
                self.remember(format!(
                    "note      your approver key is registered as {name}, as the first of all"
                ));
                Vec::new()
            }
            Done::Revoked(result) => {
                self.revoked(result);
                Vec::new()
            }
        }
    }

    fn answered(&mut self, id: &RequestId, result: Result<Outcome, Unanswered>) -> Option<Effect> {
        let verdict = match result {
            Ok(Outcome::Approved) => {
                self.say("approved: your signed answer was the one that was needed");
                return self.close(id, "approved");
            }
            Ok(Outcome::Refused) => {
                self.say("denied");
                return self.close(id, "denied");
            }
            Ok(Outcome::Open) => Verdict::Approve,
            Err(Unanswered::Closed) => {
                self.say("it was closed before your answer: nothing was signed");
                return self.close(
                    id,
                    "closed elsewhere: answered by somebody, or its session is over",
                );
            }
            Err(Unanswered::Failed(why)) => {
                self.say(format!("not answered: {why}"));
                if let Some(row) = self.row_mut(id) {
                    row.state = State::Open;
                }
                return None;
            }
        };
        self.say("your answer counts; more people must answer");
        if let Some(row) = self.row_mut(id) {
            row.state = State::Waits(verdict);
            let short = row.in_short();
            self.remember(format!("said yes  {short}"));
        }
        None
    }
}
