//! The inbox: the questions that wait for a person and what agents hold, on a terminal; the same as lines where there is none.
//!
//! [`App`](app) takes events and gives effects, and knows no clock, file or socket; the view draws it; the rest runs both. Nothing here decides:
//! an answer is signed by the person's key in `valetkey-approver`, and counts only if the broker says so.
#![forbid(unsafe_code)]

mod app;
mod backend;
mod feed;
mod input;
mod plain;
mod runtime;
mod terminal;
mod view;
mod worker;

use std::path::PathBuf;

use thiserror::Error;
use valetkey_api::Paths;
use valetkey_approval::Context;

pub use plain::lines;
pub use runtime::watch;
pub use terminal::is_there;

/// What an inbox is of.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// The home whose broker asks, and whose key answers.
    pub paths: Paths,
    /// The person's home, written `~`.
    pub home: PathBuf,
    /// What the list is narrowed to at the start, as `/` does; empty for all.
    pub filter: String,
}

impl Inbox {
    /// What is known beside a question.
    fn context(&self) -> Context {
        Context {
            home: Some(self.home.clone()),
            name_of: Some(valetkey_sys::account::name_of),
        }
    }
}

/// Why an inbox ended.
#[derive(Debug, Error)]
pub enum InboxError {
    /// The terminal cannot be used.
    #[error("cannot use the terminal: {0}")]
    Terminal(std::io::Error),
    /// A part of it ended before its time.
    #[error("a part of the inbox stopped; nothing was answered by it")]
    Stopped,
    /// The reader of the lines went away.
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}
