//! `valetkey caps`: what agents hold, and taking it back.

use valetkey_api::{Client, LiveCapabilities, Revoke, Revoked};
use valetkey_approval::visible;
use valetkey_capability::Capability;
use valetkey_model::AgentId;

use crate::args::{CapsCommand, RevokeArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Runs a `caps` command.
pub(crate) fn command(command: CapsCommand) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    match command {
        CapsCommand::List(args) => {
            let live = live(&mut operator)?;
            if args.json {
                out::json(&live);
            } else if live.is_empty() {
                out::error("no capability is live");
            } else {
                for held in &live {
                    let limits = serde_json::to_string(&held.constraints).unwrap_or_default();
                    out::line(&format!(
                        "{}  {}  {}  until {}  {}",
                        held.capability_id,
                        held.actions,
                        held.resource,
                        held.expires_at,
                        visible(&limits)
                    ));
                }
            }
        }
        CapsCommand::Show { id } => {
            let live = live(&mut operator)?;
            let held = live
                .iter()
                .find(|held| held.capability_id.as_str() == id)
                .ok_or_else(|| {
                    Fail::new(
                        Status::Failed,
                        format!("no live capability has the id {id}"),
                    )
                    .hinted("`valetkey caps list` shows the live ones")
                })?;
            out::json(held);
        }
        CapsCommand::Revoke(args) => revoke(&mut operator, args)?,
    }
    Ok(())
}

fn live(operator: &mut Client) -> Result<Vec<Capability>, Fail> {
    Ok(operator
        .get::<LiveCapabilities>("/v1/capabilities")?
        .capabilities)
}

fn revoke(operator: &mut Client, args: RevokeArgs) -> Result<(), Fail> {
    let RevokeArgs {
        id,
        session,
        agent,
        resource,
        all: _,
    } = args;
    let what = id
        .map(Revoke::Capability)
        .or(session.map(Revoke::Session))
        .or(agent.map(|name| Revoke::Agent(AgentId::sanitised(&name))))
        .or(resource.map(Revoke::Resource))
        .unwrap_or(Revoke::All);
    let revoked: Revoked = operator.post("/v1/revocations", &what)?;
    if revoked.capabilities.is_empty() {
        return Err(
            Fail::new(Status::Failed, "no live capability is meant by that")
                .hinted("`valetkey caps list` shows the live ones"),
        );
    }
    for id in &revoked.capabilities {
        out::line(&format!("{id} is revoked"));
    }
    Ok(())
}
