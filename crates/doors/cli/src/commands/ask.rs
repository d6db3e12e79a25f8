//! `valetkey ask`: how a script or an agent asks for access before it needs it.

use std::time::Duration;

use serde_json::Map;
use valetkey_approval::visible;
use valetkey_client::{Agent, Ask, State};
use valetkey_model::Constraints;

use crate::args::AskArgs;
use crate::fail::{Fail, Status};
use crate::grant;
use crate::out;

/// Asks, waits for a person where one has to answer, and says what was granted.
pub(crate) fn command(args: &AskArgs) -> Result<(), Fail> {
    let limits = limits(&args.limits)?.tightest(&args.what.constraints);
    let mut ask = Ask::new(args.what.resource.clone(), args.what.actions).within(limits);
    if let Some(words) = &args.because {
        ask = ask.because(words.as_str());
    }
    let mut door = Agent::connect().map_err(|error| {
        Fail::new(Status::NoBroker, error).hinted(
            "in a cell, `valetkey run` serves the door; outside of one, a running broker does",
        )
    })?;
    let state = door.ask_and_wait(ask, Duration::from_secs(args.wait))?;
    if args.json {
        out::json(&state);
    }
    match state {
        State::Granted { capability, .. } => {
            if !args.json {
                out::line(&format!(
                    "granted: {} {} until {} ({})",
                    capability.actions,
                    visible(&capability.resource.to_string()),
                    capability.expires_at,
                    capability.capability_id
                ));
            }
            Ok(())
        }
        State::Pending {
            request_id,
            expires_at,
        } => Err(Fail::new(
            Status::Failed,
            format!("nobody has answered {request_id} yet; the question closes at {expires_at}"),
        )
        .hinted("ask again with a longer --wait, or go on without it")),
    }
}

/// The limits of the command line as constraints: each member's value is JSON, or plain text.
fn limits(texts: &[String]) -> Result<Constraints, Fail> {
    let usage = |reason: String| {
        Fail::new(Status::Usage, reason)
            .hinted("write it as NAME=VALUE, for example --limit max_bytes=4096")
    };
    let mut members = Map::new();
    for text in texts {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| usage(format!("`{text}` is no limit")))?;
        if grant::add_limit(&mut members, name, value) {
            return Err(usage(format!("`{name}` is given twice")));
        }
    }
    grant::limits_of(members).map_err(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_members_of_the_closed_set() {
        let texts = [
            "max_bytes=4096",
            "single_use=true",
            r#"media_types=["text/csv"]"#,
        ];
        let read = limits(&texts.map(str::to_owned)).expect("limits");
        assert_eq!(read.max_bytes, Some(4096));
        assert!(read.is_single_use());
        assert_eq!(read.media_types, Some(vec!["text/csv".to_owned()]));
        for wrong in [
            "max_bytes",
            "max_fun=1",
            "max_bytes=-1",
            "max_bytes=many",
            "single_use=1",
        ] {
            assert!(limits(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(limits(&["max_bytes=1".to_owned(), "max_bytes=2".to_owned()]).is_err());
    }
}
