//! The prompt: what a person is shown of a question, as data. Command line, inbox, terminal overlay and notification lay out the same.

mod fields;
mod layout;
mod limits;
mod notes;
#[cfg(test)]
mod tests;
mod words;

use std::path::PathBuf;

use serde::Serialize;
use valetkey_model::{Digest, canonical_json};

use crate::asked::Asked;
use crate::risk::{Risk, assess};
use crate::show::SafeText;

/// The domain of the digest of a prompt.
const PROMPT_DOMAIN: &str = "valetkey prompt v1";

/// What the one who shows knows beside the question, to put names in the place of numbers. What is not known is absent.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The person's home, written `~`.
    pub home: Option<PathBuf>,
    /// Tells the name of a user of this machine, such as a file's owner.
    pub name_of: Option<fn(u32) -> Option<String>>,
}

/// A question as it is shown. All of it is safe text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prompt {
    /// Who wants what kind of thing, in one line.
    pub title: SafeText,
    /// What would be allowed, in plain words.
    pub plain_words: SafeText,
    /// Everything that an answer signs, whole.
    pub fields: Vec<Field>,
    /// How much is at stake.
    pub risk: Risk,
    /// Why it is not less.
    pub risk_because: Vec<&'static str>,
    /// What is new against earlier approvals.
    pub new: Vec<SafeText>,
    /// What should be looked at twice.
    pub warnings: Vec<SafeText>,
}

/// One line of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What it is.
    pub name: &'static str,
    /// What it says, whole.
    pub value: SafeText,
    /// How it is to be read.
    pub emphasis: Emphasis,
}

/// How a line is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Emphasis {
    /// As it is.
    Plain,
    /// It decides what is allowed.
    Strong,
    /// A path: it decides, too, and may be folded where it is long.
    Path,
    /// Somebody's own words, which nobody checked.
    Unverified,
}

impl Prompt {
    /// What is shown of a question.
    #[must_use]
    pub fn of(asked: &Asked, context: &Context) -> Self {
        let (risk, reasons) = assess(asked);
        let warnings = notes::warnings(asked);
        Self {
            title: words::title(asked),
            plain_words: words::plain(asked, context.home.as_deref()),
            fields: fields::of(asked, context),
            // A name that could mislead, or a file that changed, is never a matter of one click.
            risk: if warnings.is_empty() {
                risk
            } else {
                risk.max(Risk::Elevated)
            },
            risk_because: reasons.into_iter().map(|reason| reason.words()).collect(),
            new: notes::new(asked),
            warnings,
        }
    }

    /// The digest of all that is shown, for the answer.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        let bytes = canonical_json(self).ok()?;
        Some(Digest::tagged(PROMPT_DOMAIN, &bytes))
    }
}
