//! Question and answer as files, for an approver on another machine. Both are canonical JSON, and a file has one spelling.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use valetkey_model::{Digest, Timestamp, canonical_json};

use crate::asked::Asked;
use crate::signed::{Method, SignedApproval};

/// The version that both files carry.
const VERSION: u32 = 1;
/// The longest file, in bytes: a question of 64 files with the longest names fits.
pub const MAX_EXPORT_BYTES: usize = 1024 * 1024;
/// The longest name of a log, in bytes.
const MAX_LOG_NAME_BYTES: usize = 256;

/// A question that leaves the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedQuestion {
    version: u32,
    /// The name of the log of the broker that asks.
    log: String,
    asked: Asked,
    digest: Digest,
    expires_at: Timestamp,
}

/// An answer that comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedAnswer {
    version: u32,
    answer: SignedApproval,
}

/// Why a file is not taken.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ExportError {
    /// Longer than a file may be.
    #[error("the file is longer than 1 MiB")]
    TooLong,
    /// Not the canonical form of what it should be.
    #[error("the file is not of the documented form")]
    Form,
    /// Of another version.
    #[error("the file is of another version")]
    Version,
    /// Its parts contradict each other.
    #[error("the digest, the time or the name in the file does not belong to its question")]
    Contradiction,
    /// An answer that was not given by file.
    #[error("the answer was not given for a file")]
    Method,
}

impl ExportedQuestion {
    /// The file of a question.
    ///
    /// # Errors
    /// When the question has no canonical form, or the log's name is empty, too long or not plain.
    pub fn new(asked: Asked, log: &str) -> Result<Self, ExportError> {
        let digest = asked.digest().map_err(|_| ExportError::Form)?;
        let expires_at = asked.expires_at;
        let question = Self {
            version: VERSION,
            log: log.to_owned(),
            asked,
            digest,
            expires_at,
        };
        question.check()?;
        Ok(question)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ExportError`] unless it is exactly what [`Self::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ExportError> {
        let question: Self = parse(bytes)?;
        question.check()?;
        Ok(question)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ExportError> {
        to_bytes(self)
    }

    /// The question. What an answer signs is the digest that is computed of it, not the one in the file.
    #[must_use]
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The name of the log of the broker that asks.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    fn check(&self) -> Result<(), ExportError> {
        if self.version != VERSION {
            return Err(ExportError::Version);
        }
        let plain = !self.log.is_empty()
            && self.log.len() <= MAX_LOG_NAME_BYTES
            && self.log.bytes().all(|byte| byte.is_ascii_graphic());
        let own = self.asked.digest().map_err(|_| ExportError::Form)?;
        if plain && own == self.digest && self.expires_at == self.asked.expires_at {
            Ok(())
        } else {
            Err(ExportError::Contradiction)
        }
    }
}

impl ExportedAnswer {
    /// The file of an answer.
    ///
    /// # Errors
    /// When it was not signed as one that is given by file.
    pub fn new(answer: SignedApproval) -> Result<Self, ExportError> {
        let file = Self {
            version: VERSION,
            answer,
        };
        file.check()?;
        Ok(file)
    }

    /// Reads a file. Whether the answer counts, [`crate::standing`] says: this looks at its form alone.
    ///
    /// # Errors
    /// [`ExportError`] unless it is exactly what [`Self::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ExportError> {
        let file: Self = parse(bytes)?;
        file.check()?;
        Ok(file)
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// When it would be too long.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ExportError> {
        to_bytes(self)
    }

    /// The answer.
    #[must_use]
    pub fn into_answer(self) -> SignedApproval {
        self.answer
    }

    fn check(&self) -> Result<(), ExportError> {
        if self.version != VERSION {
            return Err(ExportError::Version);
        }
        if self.answer.approval.method == Method::File {
            Ok(())
        } else {
            Err(ExportError::Method)
        }
    }
}

fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, ExportError> {
    if bytes.len() > MAX_EXPORT_BYTES {
        return Err(ExportError::TooLong);
    }
    let value: T = serde_json::from_slice(bytes).map_err(|_| ExportError::Form)?;
    // One spelling: nothing that a person was shown could have been read in another way.
    if to_bytes(&value)? == bytes {
        Ok(value)
    } else {
        Err(ExportError::Form)
    }
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, ExportError> {
    let bytes = canonical_json(value).map_err(|_| ExportError::Form)?;
    if bytes.len() > MAX_EXPORT_BYTES {
        return Err(ExportError::TooLong);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use valetkey_model::ApprovalId;

    use super::*;
    use crate::testkit::{at, facts, question};
    use crate::{ApproverKey, Unsigned, Verdict};

    fn exported() -> ExportedQuestion {
        let mut asked = question("file:/home/alice/a", "write");
        asked.file = Some(facts());
        ExportedQuestion::new(asked, "example.org/log").unwrap()
    }

    fn signed(method: Method) -> SignedApproval {
        let asked = exported().asked().clone();
        Unsigned {
            approval_id: ApprovalId::new(at(1), [1; 10]),
            request_id: asked.request_id.clone(),
            asked_digest: asked.digest().unwrap(),
            prompt_digest: None,
            verdict: Verdict::Approve,
            approver: "ann".to_owned(),
            method,
            justification: None,
            time: at(1),
        }
        .sign(&ApproverKey::from_seed(&[1; 32]))
        .unwrap()
    }

    #[test]
    fn a_question_and_an_answer_travel_as_files() {
        let bytes = exported().to_bytes().unwrap();
        assert_eq!(ExportedQuestion::parse(&bytes), Ok(exported()));
        let answer = ExportedAnswer::new(signed(Method::File)).unwrap();
        let read = ExportedAnswer::parse(&answer.to_bytes().unwrap()).unwrap();
        assert_eq!(read.into_answer(), signed(Method::File));
    }

    #[test]
    fn an_edited_question_is_not_taken() {
        let text = String::from_utf8(exported().to_bytes().unwrap()).unwrap();
        for (from, to) in [
            ("/home/alice/a", "/home/alice/b"),
            (r#""version":1"#, r#""version":2"#),
            (r#""version":1"#, r#""version":1,"version":1"#),
            (r#""version":1"#, r#""version": 1"#),
            ("example.org/log", "example.org/\\u001b[2J"),
            ("example.org/log", ""),
            ("\"links\":1", "\"links\":1,\"more\":1"),
        ] {
            let edited = text.replace(from, to);
            assert_ne!(edited, text, "{from}");
            assert!(ExportedQuestion::parse(edited.as_bytes()).is_err(), "{to}");
        }
        // The outer time alone moved.
        let at_end = text.rfind("2027-01-15T08:02:00.000Z").unwrap();
        let outer = text.find(r#"},"digest""#).unwrap();
        assert!(outer < at_end);
        let mut later = text.clone();
        later.replace_range(at_end..at_end + 24, "2027-01-15T09:02:00.000Z");
        assert_eq!(
            ExportedQuestion::parse(later.as_bytes()),
            Err(ExportError::Contradiction)
        );
        let mut long = text.into_bytes();
        long.resize(MAX_EXPORT_BYTES + 1, b' ');
        assert_eq!(ExportedQuestion::parse(&long), Err(ExportError::TooLong));
    }

    #[test]
    fn an_answer_by_another_way_is_no_file() {
        assert_eq!(
            ExportedAnswer::new(signed(Method::Terminal)),
            Err(ExportError::Method)
        );
    }
}
