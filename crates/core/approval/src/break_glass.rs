//! Break-glass: an emergency scope that a person takes for minutes, what policy says of it, and the review that stays open afterwards.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{Grant, Justification, Timestamp};

use crate::approver::Approver;

/// The longest emergency, in minutes, whatever policy says.
pub const MAX_MINUTES: u32 = 60;
/// Grants of one emergency.
const MAX_GRANTS: usize = 16;
/// Letters and digits that a reason has at least, whatever policy says; findings too.
const MIN_REASON: usize = 10;
/// The longest reason and the longest findings, in bytes.
const MAX_REASON_BYTES: usize = 4096;
const DAY_MS: u64 = 86_400_000;

/// What a person asks for in an emergency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BreakGlass {
    /// What is to be given, at once.
    pub scope: Vec<Grant>,
    /// Why.
    pub because: String,
    /// Under which ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how many minutes.
    pub minutes: u32,
}

/// What policy says of emergencies: the shape of `data.valetkey.break_glass`. Absent, there are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BreakGlassRule {
    /// Which policy says so.
    pub policy_id: String,
    /// Roles of which a person needs one.
    pub roles: Vec<String>,
    /// How often one person may, in any 24 hours.
    pub max_per_day: u32,
    /// For how many minutes at most.
    pub max_minutes: u32,
    /// What can be given at most: each grant that is asked for must lie within one of these.
    pub scope: Vec<Grant>,
    /// What the reason, together with the ticket, must have.
    #[serde(default)]
    pub justification: Justification,
    /// The role of which another person must close the review.
    pub review_role: String,
}

/// An emergency that was let through. Only [`BreakGlassRule::admit`] makes one; it carries its review with it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Emergency {
    grants: Vec<Grant>,
    ends_at: Timestamp,
    review: ReviewItem,
}

/// Why an emergency is not let through.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BreakGlassError {
    /// Nothing, too much, or a grant for everything is asked for.
    #[error("name between one and 16 grants")]
    Scope,
    /// A grant lies outside of what policy allows even in an emergency.
    #[error("`{0}` with these actions is not given even in an emergency")]
    TooWide(Box<valetkey_model::Resource>),
    /// The time is none or too long.
    #[error("ask for 1 to {0} minutes")]
    Minutes(u32),
    /// The person has no role for it.
    #[error("only {0} may break the glass")]
    Role(String),
    /// The person did so too often.
    #[error("you have broken the glass as often as policy allows within a day")]
    TooOften,
    /// The reason does not suffice.
    #[error("the reason does not suffice: {0}")]
    Reason(String),
}

impl BreakGlassRule {
    /// Lets an emergency through, or says why not. `earlier` are the times of this person's emergencies before.
    ///
    /// # Errors
    /// [`BreakGlassError`].
    pub fn admit(
        &self,
        asked: &BreakGlass,
        by: &Approver,
        earlier: &[Timestamp],
        now: Timestamp,
    ) -> Result<Emergency, BreakGlassError> {
        if !by.roles.iter().any(|role| self.roles.contains(role)) {
            return Err(BreakGlassError::Role(self.roles.join(", ")));
        }
        let most = self.max_minutes.min(MAX_MINUTES);
        if asked.minutes == 0 || asked.minutes > most {
            return Err(BreakGlassError::Minutes(most));
        }
        // A time that lies ahead is one of a clock that was set back: it counts.
        let recent = earlier
            .iter()
            .filter(|then| now.ms_since(**then) < DAY_MS)
            .count();
        if recent >= usize::try_from(self.max_per_day).unwrap_or(usize::MAX) {
            return Err(BreakGlassError::TooOften);
        }
        self.check_reason(asked)?;
        if asked.scope.is_empty() || asked.scope.len() > MAX_GRANTS {
            return Err(BreakGlassError::Scope);
        }
        for grant in &asked.scope {
            if !self.scope.iter().any(|most| grant.within(most)) {
                return Err(BreakGlassError::TooWide(Box::new(grant.resource.clone())));
            }
        }
        Ok(Emergency {
            grants: asked.scope.clone(),
            ends_at: now.plus_seconds(u64::from(asked.minutes).saturating_mul(60)),
            review: ReviewItem {
                opened_by: by.name.clone(),
                opened_at: now,
                policy_id: self.policy_id.clone(),
                review_role: self.review_role.clone(),
                asked: asked.clone(),
                closed: None,
            },
        })
    }

    fn check_reason(&self, asked: &BreakGlass) -> Result<(), BreakGlassError> {
        let wrong = |why: String| Err(BreakGlassError::Reason(why));
        if !is_reason(&asked.because) {
            return wrong("say what happened, in at least 10 letters".to_owned());
        }
        let ticket = asked.ticket.as_deref().unwrap_or_default();
        if ticket.len() > MAX_REASON_BYTES {
            return wrong("the ticket is too long".to_owned());
        }
        let text = format!("{} {ticket}", asked.because);
        self.justification
            .check(Some(&text))
            .or_else(|fault| wrong(fault.to_string()))
    }
}

fn is_reason(text: &str) -> bool {
    text.len() <= MAX_REASON_BYTES
        && text.chars().filter(|c| c.is_alphanumeric()).count() >= MIN_REASON
}

impl Emergency {
    /// What is given.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// When it ends.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// The review that must be kept until it is closed.
    #[must_use]
    pub fn into_review(self) -> ReviewItem {
        self.review
    }
}

/// A review of an emergency: open until another person closes it with what they found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ReviewItem {
    opened_by: String,
    opened_at: Timestamp,
    policy_id: String,
    review_role: String,
    asked: BreakGlass,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<Closed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Closed {
    by: String,
    at: Timestamp,
    findings: String,
}

/// Why a review is not closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReviewError {
    /// It is closed already.
    #[error("the review is closed already")]
    Closed,
    /// Whoever broke the glass does not review it.
    #[error("another person than the one who broke the glass has to close the review")]
    SamePerson,
    /// The person has not the role.
    #[error("you have not the role that closes this review")]
    Role,
    /// Nothing was found, or too little said of it.
    #[error("say what you found, in at least 10 letters")]
    Findings,
}

impl ReviewItem {
    /// Whether it waits for someone.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Who broke the glass.
    #[must_use]
    pub fn opened_by(&self) -> &str {
        &self.opened_by
    }

    /// When.
    #[must_use]
    pub fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    /// What was asked for.
    #[must_use]
    pub fn asked(&self) -> &BreakGlass {
        &self.asked
    }

    /// What was found, once it is closed.
    #[must_use]
    pub fn findings(&self) -> Option<&str> {
        self.closed.as_ref().map(|closed| closed.findings.as_str())
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`ReviewError`], and it stays as it was.
    pub fn close(
        &mut self,
        by: &Approver,
        findings: &str,
        now: Timestamp,
    ) -> Result<(), ReviewError> {
        if !self.is_open() {
            return Err(ReviewError::Closed);
        }
        if by.name.to_lowercase() == self.opened_by.to_lowercase() {
            return Err(ReviewError::SamePerson);
        }
        if !by.roles.contains(&self.review_role) {
            return Err(ReviewError::Role);
        }
        if !is_reason(findings) {
            return Err(ReviewError::Findings);
        }
        self.closed = Some(Closed {
            by: by.name.clone(),
            at: now,
            findings: findings.to_owned(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ApproverKey;
    use crate::testkit::at;

    fn rule() -> BreakGlassRule {
        serde_json::from_str(
            r#"{"policy_id":"oncall","roles":["oncall"],"max_per_day":2,"max_minutes":15,
                "scope":[{"resource":"file:/srv/Finance/**","actions":["read","write"],"except":["file:/srv/Finance/keys/**"]}],
                "justification":{"min_length":20,"ticket":"^INC-[0-9]+$"},"review_role":"owner"}"#,
        )
        .unwrap()
    }

    fn ask(scope: &str) -> BreakGlass {
        BreakGlass {
            scope: vec![serde_json::from_str(scope).unwrap()],
            because: "the close run is stuck on a lock".to_owned(),
            ticket: Some("INC-7".to_owned()),
            minutes: 15,
        }
    }

    const FINE: &str = r#"{"resource":"file:/srv/Finance/q3.xlsx","actions":["write"],"except":["file:/srv/Finance/keys/**"]}"#;

    fn person(name: &str, roles: &[&str]) -> Approver {
        ApproverKey::from_seed(&[7; 32]).approver(name, roles)
    }

    #[test]
    fn an_emergency_is_bounded_by_policy() {
        let (rule, ann) = (rule(), person("ann", &["oncall"]));
        let admit = |asked: &BreakGlass, by: &Approver, earlier: &[Timestamp]| {
            rule.admit(asked, by, earlier, at(100_000))
        };
        let given = admit(&ask(FINE), &ann, &[at(1), at(99_999)]).unwrap();
        assert_eq!(given.ends_at(), at(100_900));
        assert_eq!(given.grants(), ask(FINE).scope);
        assert!(matches!(
            admit(&ask(FINE), &person("bob", &["owner"]), &[]),
            Err(BreakGlassError::Role(_))
        ));
        assert_eq!(
            admit(&ask(FINE), &ann, &[at(20_000), at(99_999)]),
            Err(BreakGlassError::TooOften)
        );
        // A clock that was set back frees nothing.
        assert_eq!(
            admit(&ask(FINE), &ann, &[at(200_000), at(300_000)]),
            Err(BreakGlassError::TooOften)
        );
        for minutes in [0, 16, u32::MAX] {
            let asked = BreakGlass {
                minutes,
                ..ask(FINE)
            };
            assert_eq!(admit(&asked, &ann, &[]), Err(BreakGlassError::Minutes(15)));
        }
        for scope in [
            r#"{"resource":"file:/srv/**","actions":["read"]}"#,
            r#"{"resource":"file:/srv/Finance/**","actions":["read"]}"#,
            r#"{"resource":"file:/srv/Finance/a","actions":["delete"],"except":["file:/srv/Finance/keys/**"]}"#,
        ] {
            assert!(
                matches!(
                    admit(&ask(scope), &ann, &[]),
                    Err(BreakGlassError::TooWide(_))
                ),
                "{scope}"
            );
        }
        let none = BreakGlass {
            scope: vec![],
            ..ask(FINE)
        };
        assert_eq!(admit(&none, &ann, &[]), Err(BreakGlassError::Scope));
    }

    #[test]
    fn an_emergency_needs_its_reason() {
        for (because, ticket) in [
            ("", Some("INC-7")),
            (
                "\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}\u{200b}",
                Some("INC-7"),
            ),
            ("the close run is stuck", None),
            ("the close run is stuck", Some("FIN-7")),
        ] {
            let asked = BreakGlass {
                because: because.to_owned(),
                ticket: ticket.map(str::to_owned),
                ..ask(FINE)
            };
            let result = rule().admit(&asked, &person("ann", &["oncall"]), &[], at(0));
            assert!(
                matches!(result, Err(BreakGlassError::Reason(_))),
                "{because} {ticket:?}"
            );
        }
    }

    #[test]
    fn a_review_stays_open_until_another_closes_it_with_findings() {
        let given = rule().admit(&ask(FINE), &person("ann", &["oncall", "owner"]), &[], at(0));
        let mut review = given.unwrap().into_review();
        let close = |review: &mut ReviewItem, name: &str, role: &str, findings: &str| {
            review.close(&person(name, &[role]), findings, at(9))
        };
        let found = "the lock was stale; removed by hand";
        assert_eq!(
            close(&mut review, "ann", "owner", found),
            Err(ReviewError::SamePerson)
        );
        assert_eq!(
            close(&mut review, "Ann", "owner", found),
            Err(ReviewError::SamePerson)
        );
        assert_eq!(
            close(&mut review, "bob", "oncall", found),
            Err(ReviewError::Role)
        );
        assert_eq!(
            close(&mut review, "bob", "owner", "ok"),
            Err(ReviewError::Findings)
        );
        assert!(review.is_open());
        let kept = serde_json::to_string(&review).unwrap();
        assert_eq!(serde_json::from_str::<ReviewItem>(&kept).unwrap(), review);
        assert_eq!(close(&mut review, "bob", "owner", found), Ok(()));
        assert_eq!(review.findings(), Some(found));
        assert_eq!(
            close(&mut review, "carol", "owner", found),
            Err(ReviewError::Closed)
        );
    }

    #[test]
    fn another_shape_of_rule_is_refused() {
        let text = serde_json::to_string(&rule()).unwrap();
        for (from, to) in [
            ("\"max_per_day\":2,", ""),
            ("\"max_per_day\":2", "\"max_per_day\":-2"),
            ("\"roles\"", "\"role\""),
        ] {
            let edited = text.replace(from, to);
            assert_ne!(edited, text);
            assert!(
                serde_json::from_str::<BreakGlassRule>(&edited).is_err(),
                "{to}"
            );
        }
    }
}
