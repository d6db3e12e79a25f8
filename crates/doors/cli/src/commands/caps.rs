//! `valetkey caps`: what agents hold, and taking it back.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use valetkey_api::{Client, LeaseKind, LiveCapabilities, LiveLease, Revoke, Revoked};
use valetkey_approval::visible;
use valetkey_capability::Capability;
use valetkey_model::{AgentId, CapabilityId, Timestamp};

use crate::args::{CapsCommand, RevokeArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Runs a `caps` command.
pub(crate) fn command(command: CapsCommand) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    match command {
        CapsCommand::List(args) => {
            let all: LiveCapabilities = operator.get("/v1/capabilities")?;
            if args.json {
                let leased = all.capabilities.iter().map(|held| Listed {
                    capability: held,
                    lease: lease_of(&all.leases, held),
                });
                out::json(&leased.collect::<Vec<_>>());
            } else if all.capabilities.is_empty() && all.leases.is_empty() {
                out::error("no capability is live");
            } else {
                show_tree(&all.capabilities);
                all.leases.iter().for_each(show_lease);
            }
        }
        CapsCommand::Show { id, json } => {
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
            out::json(&Shown {
                capability: held,
                children: children(&live, held)
                    .map(|child| &child.capability_id)
                    .collect(),
                remaining_seconds: remaining_seconds(held),
            });
            if !json && held.parent.is_some() {
                out::error("it was narrowed from its parent, and ends with it");
            }
        }
        CapsCommand::Revoke(args) => revoke(&mut operator, args)?,
    }
    Ok(())
}

/// A capability with what stands below it.
#[derive(Serialize)]
struct Shown<'c> {
    #[serde(flatten)]
    capability: &'c Capability,
    children: Vec<&'c CapabilityId>,
    remaining_seconds: u64,
}

/// A capability with the lease under which it was given.
#[derive(Serialize)]
struct Listed<'c> {
    #[serde(flatten)]
    capability: &'c Capability,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<&'c LiveLease>,
}

fn lease_of<'l>(leases: &'l [LiveLease], held: &Capability) -> Option<&'l LiveLease> {
    leases
        .iter()
        .find(|lease| lease.capability_id == held.capability_id)
}

/// A lease, with what is left of it.
fn show_lease(lease: &LiveLease) {
    let left = seconds_until(lease.until);
    let what = match lease.kind {
        LeaseKind::Task => "for the task".to_owned(),
        LeaseKind::Minutes => "for some time".to_owned(),
        LeaseKind::Operations => {
            let left: Vec<String> = lease.left.iter().map(ToString::to_string).collect();
            format!("one use each of {}", left.join(", "))
        }
    };
    out::line(&format!(
        "lease {}  {}  {}  {}, at most until {} ({left} s left)",
        lease.capability_id,
        lease.actions,
        visible(&lease.resource.to_string()),
        visible(&what),
        lease.until,
    ));
}

fn children<'c>(
    live: &'c [Capability],
    of: &'c Capability,
) -> impl Iterator<Item = &'c Capability> {
    live.iter()
        .filter(|child| child.parent.as_ref() == Some(&of.capability_id))
}

/// Each capability with those that were narrowed from it, further in.
fn show_tree(live: &[Capability]) {
    let is_first = |held: &&Capability| {
        held.parent
            .as_ref()
            .is_none_or(|parent| live.iter().all(|other| other.capability_id != *parent))
    };
    let mut waiting: Vec<(usize, &Capability)> =
        live.iter().filter(is_first).map(|held| (0, held)).collect();
    waiting.reverse();
    while let Some((depth, held)) = waiting.pop() {
        let limits = serde_json::to_string(&held.constraints).unwrap_or_default();
        out::line(&format!(
            "{:indent$}{}  {}  {}  until {} ({} s left)  {}",
            "",
            held.capability_id,
            held.actions,
            held.resource,
            held.expires_at,
            remaining_seconds(held),
            visible(&limits),
            indent = depth.saturating_mul(2)
        ));
        let at = waiting.len();
        waiting.extend(children(live, held).map(|child| (depth.saturating_add(1), child)));
        if let Some(added) = waiting.get_mut(at..) {
            added.reverse();
        }
    }
}

/// By this machine's clock; the broker's own decides.
fn remaining_seconds(held: &Capability) -> u64 {
    seconds_until(held.expires_at)
}

fn seconds_until(end: Timestamp) -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let end_ms = u128::from(end.unix_ms());
    u64::try_from(end_ms.saturating_sub(since.as_millis()) / 1000).unwrap_or(u64::MAX)
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
    for id in &revoked.descendants {
        out::line(&format!("{id} ended with it: it was narrowed from it"));
    }
    Ok(())
}
