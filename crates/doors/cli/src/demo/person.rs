//! The person of the demonstration: answers the agent's questions as a person would, or lets the real one do it.

use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use valetkey_api::{Client, OpenQuestions, Paths};
use valetkey_approval::{Asked, Method, Verdict};
use valetkey_approver::{KeyFile, Protection, Reply, Terminal, answer};
use valetkey_model::Digest;

use super::failed;
use super::house::House;
use crate::approver::me;
use crate::commands::show_question;
use crate::fail::Fail;
use crate::out;

/// How often open questions are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A person who answers on a thread of their own.
pub(crate) struct Person {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Asked>, Fail>>,
}

impl Person {
    /// Begins to answer.
    pub(crate) fn start(house: &House, interactive: bool) -> Result<Self, Fail> {
        let paths = Paths::below(&house.valetkey());
        // The house is gone soon: its key needs no passphrase.
        drop(KeyFile::create(&paths, None, Protection::None)?);
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("person".to_owned())
            .spawn(move || answer_until(&ended, &paths, interactive))
            .map_err(|error| failed("start a thread", &error))?;
        Ok(Self { over, thread })
    }

    /// Stops, and gives what was asked.
    pub(crate) fn finish(self) -> Result<Vec<Asked>, Fail> {
        self.over.store(true, Ordering::Release);
        self.thread
            .join()
            .unwrap_or_else(|_| Err(failed("answer", &"the thread failed")))
    }
}

fn answer_until(over: &AtomicBool, paths: &Paths, interactive: bool) -> Result<Vec<Asked>, Fail> {
    let mut seen: Vec<Asked> = Vec::new();
    while !over.load(Ordering::Acquire) {
        std::thread::sleep(LOOK_EVERY);
        // The broker starts with the session: until then nobody asks anything.
        let Ok(mut operator) = Client::connect(&paths.operator_socket()) else {
            continue;
        };
        let open: OpenQuestions = operator.get("/v1/requests")?;
        for question in open.questions {
            if seen.iter().any(|had| had.request_id == question.request_id) {
                continue;
            }
            let (verdict, shown) = if interactive {
                ask_person(&question)?
            } else {
                (Verdict::Approve, None)
            };
            let reply = Reply {
                lease: None,
                verdict,
                because: Some("the report is due today".to_owned()),
                method: Method::Terminal,
                shown,
            };
            let me = me(&mut operator, paths, &mut Terminal)?;
            answer(&mut operator, &me.key, &me.name, &question, &reply)?;
            seen.push(question);
        }
    }
    Ok(seen)
}

fn ask_person(question: &Asked) -> Result<(Verdict, Option<Digest>), Fail> {
    let shown = show_question(question).digest();
    out::line("  approve? [y/N] ");
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|error| failed("read the answer", &error))?;
    // Only for the line break after the answer.
    drop(std::io::stdout().flush());
    let yes = matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    let verdict = if yes { Verdict::Approve } else { Verdict::Deny };
    Ok((verdict, shown))
}
