//! A question and an answer as files, for an approver at another machine.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{Digest, canonical_json};

use crate::asked::Asked;
use crate::signed::SignedApproval;

/// Most bytes of an exported file: a question with every text at its limit is smaller.
pub const EXPORT_MAX_BYTES: usize = 1024 * 1024;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "format", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time is read, and used at once"
)]
pub enum Exported {
    /// A question that waits for an answer.
    #[serde(rename = "valetkey question v1")]
    Question {
        /// The question, whole.
        question: Asked,
        /// Its digest, which the answer signs.
        digest: Digest,
    },
    /// A signed answer.
    #[serde(rename = "valetkey answer v1")]
    Answer {
        /// The answer.
        answer: SignedApproval,
    },
}

/// Why a file is not one of them.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportedError {
    /// Longer than any can be.
    #[error("it has more than {EXPORT_MAX_BYTES} bytes")]
    TooLong,
    /// Not of the documented form.
    #[error("it is neither an exported question nor an answer: {0}")]
    Form(String),
    /// The question is not the one whose digest stands beside it.
    #[error("the question was changed after it was exported")]
    Changed,
}

impl Exported {
    /// A question, ready to be written.
    ///
    /// # Errors
    /// [`ExportedError::Form`] when the question has no canonical form.
    pub fn question(question: Asked) -> Result<Self, ExportedError> {
        let digest = digest(&question)?;
        Ok(Self::Question { question, digest })
    }

    /// The file's bytes: canonical JSON and a line feed.
    ///
    /// # Errors
    /// When it has no canonical form or is too long.
    pub fn bytes(&self) -> Result<Vec<u8>, ExportedError> {
        let mut bytes =
            canonical_json(self).map_err(|error| ExportedError::Form(error.to_string()))?;
        bytes.push(b'\n');
        if bytes.len() > EXPORT_MAX_BYTES {
            return Err(ExportedError::TooLong);
        }
        Ok(bytes)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The first [`ExportedError`] found. That the broker asks exactly this is not known here; an answer to anything else does not count there.
    pub fn read(bytes: &[u8]) -> Result<Self, ExportedError> {
        if bytes.len() > EXPORT_MAX_BYTES {
            return Err(ExportedError::TooLong);
        }
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| ExportedError::Form(error.to_string()))?;
        // One spelling: nothing that a person was shown could have been read in another way.
        if read.bytes()? != bytes {
            return Err(ExportedError::Form("it has another spelling".to_owned()));
        }
        match &read {
            Self::Question {
                question,
                digest: told,
            } if digest(question)? != *told => Err(ExportedError::Changed),
            Self::Question { .. } | Self::Answer { .. } => Ok(read),
        }
    }
}

fn digest(question: &Asked) -> Result<Digest, ExportedError> {
    question
        .digest()
        .map_err(|error| ExportedError::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::tests::{answer, asked};
    use crate::{Verdict, visible};

    #[test]
    fn a_question_and_an_answer_come_back_as_they_went() {
        let question = asked(&[("owner", 1)]);
        let answered = answer(&question, "ann", 1, Verdict::Deny);
        for out in [
            Exported::question(question.clone()).unwrap(),
            Exported::Answer {
                answer: answered.clone(),
            },
        ] {
            let bytes = out.bytes().unwrap();
            assert_eq!(Exported::read(&bytes), Ok(out));
        }
    }

    #[test]
    fn an_edited_question_is_not_read() {
        let bytes = Exported::question(asked(&[("owner", 1)]))
            .unwrap()
            .bytes()
            .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let edited = text.replace("file:/home/alice/a", "file:/home/alice/b");
        assert_ne!(text, edited);
        assert_eq!(
            Exported::read(edited.as_bytes()),
            Err(ExportedError::Changed)
        );
        let more = text.replacen('{', "{\"note\":\"approve me\",", 1);
        assert!(matches!(
            Exported::read(more.as_bytes()),
            Err(ExportedError::Form(_))
        ));
    }

    #[test]
    fn a_second_spelling_is_not_read() {
        let bytes = Exported::question(asked(&[("owner", 1)]))
            .unwrap()
            .bytes()
            .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let spaced = text.replacen(':', ": ", 1);
        assert_ne!(text, spaced);
        for other in [spaced, text.trim_end().to_owned()] {
            assert!(matches!(
                Exported::read(other.as_bytes()),
                Err(ExportedError::Form(_))
            ));
        }
    }

    #[test]
    fn other_bytes_are_an_error_that_can_be_shown() {
        for bytes in [&b""[..], b"{}", b"[]", b"\xff", b"{\"format\":\"\x1b[2J\"}"] {
            let error = Exported::read(bytes).unwrap_err().to_string();
            assert!(!visible(&error).chars().any(char::is_control));
        }
        assert_eq!(
            Exported::read(&vec![b' '; EXPORT_MAX_BYTES + 1]),
            Err(ExportedError::TooLong)
        );
    }
}
