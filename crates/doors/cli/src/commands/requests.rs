//! `valetkey requests`: the questions that wait for a person.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use valetkey_api::OpenQuestions;
use valetkey_approval::{Asked, Context, Prompt};
use valetkey_inbox::{Inbox, InboxError};
use valetkey_model::Timestamp;

use crate::args::RequestsArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};

/// Columns of what is printed: lines break where they would on most terminals.
const WIDTH: usize = 100;

/// Lists the open questions, each whole; watches them; or becomes the program that shows them on the desktop.
pub(crate) fn command(args: &RequestsArgs) -> Result<(), Fail> {
    if args.notify {
        return Err(notify());
    }
    if args.watch { watch(args) } else { list(args) }
}

/// The inbox at a terminal, lines elsewhere.
fn watch(args: &RequestsArgs) -> Result<(), Fail> {
    let inbox = Inbox {
        paths: home::paths()?,
        home: own_home(),
        filter: args.filter.clone().unwrap_or_default(),
    };
    let ended = if args.json || !valetkey_inbox::is_there() {
        let (mut out, mut errors) = (std::io::stdout(), std::io::stderr());
        valetkey_inbox::lines(&inbox, args.json, &mut out, &mut errors)
    } else {
        valetkey_inbox::watch(&inbox)
    };
    match ended {
        // A reader that went away ends it, as every filter.
        Ok(()) | Err(InboxError::Output(_)) => Ok(()),
        Err(error) => Err(Fail::new(Status::Failed, error)),
    }
}

fn own_home() -> PathBuf {
    valetkey_sys::account::by_uid(rustix::process::geteuid().as_raw()).home
}

/// Lists the open questions, each whole.
fn list(args: &RequestsArgs) -> Result<(), Fail> {
    let open: OpenQuestions = home::operator()?.get("/v1/requests")?;
    if args.json {
        out::json(&open.questions);
        return Ok(());
    }
    if open.questions.is_empty() {
        out::error("no request is waiting");
    }
    for question in &open.questions {
        let _shown = show(question);
        out::line(&format!(
            " answer       valetkey approve {0}   or   valetkey deny {0}",
            question.request_id
        ));
        out::line("");
    }
    Ok(())
}

/// Becomes `valetkey-desktop`, which is installed beside this program; returns only when that fails.
fn notify() -> Fail {
    let own = std::env::current_exe().unwrap_or_default();
    let program = own.with_file_name("valetkey-desktop");
    let error = std::process::Command::new(&program).exec();
    let message = format!("cannot start {}: {error}", program.display());
    Fail::new(Status::Failed, message).hinted("install `valetkey-desktop` beside `valetkey`")
}

/// What this program shows of a question.
pub(crate) fn prompt(question: &Asked) -> Prompt {
    let context = Context {
        home: Some(own_home()),
        name_of: Some(valetkey_sys::account::name_of),
    };
    Prompt::of(question, &context)
}

/// Prints a question whole: everything that an answer signs, with nothing hidden.
pub(crate) fn show(question: &Asked) -> Prompt {
    let prompt = prompt(question);
    out::line(&styled(Style::Bold, question.request_id.as_str()));
    out::line(prompt.whole(WIDTH).trim_end());
    let left = question.expires_at.ms_since(now()) / 1000;
    out::line(&format!(" time left    {left} s"));
    if let Ok(digest) = question.digest() {
        out::line(&format!(" digest       {digest}"));
    }
    if question.requirement.justification.is_needed() {
        out::line(" to approve   add a reason: --because TEXT");
    }
    prompt
}

/// Now, for a countdown that is only looked at.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
