//! `valetkey break-glass`: an emergency scope for a running session, at once, for minutes, and with a review that stays open.

use std::collections::BTreeSet;

use valetkey_api::{Client, LiveCapabilities};
use valetkey_approval::{BreakGlass, visible};
use valetkey_approver::break_glass;
use valetkey_model::SessionId;

use crate::approver;
use crate::args::BreakGlassArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Takes an emergency scope. The passphrase of a protected key is asked for, also while the key is unlocked.
pub(crate) fn command(args: BreakGlassArgs) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let session = match args.session {
        Some(session) => session,
        None => only_session(&mut operator)?,
    };
    let asked = BreakGlass {
        scope: args.scope,
        because: args.because,
        ticket: args.ticket,
        minutes: args.minutes,
    };
    let mut ask = approver::asker(args.passphrase.passphrase_fd)?;
    let (name, key) = approver::me_anew(&mut operator, &home::paths()?, &mut *ask)?;
    let broken = break_glass(&mut operator, &key, &name, session, asked)?;
    if args.json {
        out::json(&broken);
        return Ok(());
    }
    for held in &broken.capabilities {
        out::line(&format!(
            "{}  {}  {}  until {}",
            held.capability_id,
            held.actions,
            visible(&held.resource.to_string()),
            held.expires_at
        ));
    }
    out::line(&format!("review {} is open", broken.emergency));
    out::error(
        "all approvers are told; another person closes it with `valetkey report review --close`",
    );
    Ok(())
}

/// The one session that holds anything. Of several the person has to name one.
fn only_session(operator: &mut Client) -> Result<SessionId, Fail> {
    let live: LiveCapabilities = operator.get("/v1/capabilities")?;
    let sessions: BTreeSet<SessionId> = live
        .capabilities
        .into_iter()
        .map(|held| held.session)
        .collect();
    let mut sessions = sessions.into_iter();
    match (sessions.next(), sessions.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Fail::new(Status::Failed, "no session holds anything")
            .hinted("name one with --session ID")),
        (Some(_), Some(_)) => Err(Fail::new(
            Status::Usage,
            "more than one session is open: name one with --session ID",
        )
        .hinted("`valetkey caps list --json` names them")),
    }
}
