//! Whether the answers to a question suffice.

use std::collections::BTreeSet;

use valetkey_model::{ApprovalId, Lease, Quorum, Timestamp};

use crate::approver::{Approver, Approvers};
use crate::asked::Asked;
use crate::reach::lesser;
use crate::signed::{ApprovalError, SignedApproval, Verdict};

/// Proof that a question was answered with yes by everyone it needed. Only [`standing`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct Approved {
    approvals: Vec<ApprovalId>,
    lease: Option<Lease>,
}

impl Approved {
    /// The answers that it rests on.
    #[must_use]
    pub fn approvals(&self) -> &[ApprovalId] {
        &self.approvals
    }

    /// How far it reaches, where anybody who said yes let it reach less than the question says: of several, the least.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }
}

/// Where a question stands.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Standing {
    /// Everyone needed has said yes.
    Approved(Approved),
    /// Someone who may answer has said no. One no is enough.
    Refused,
    /// More answers are needed.
    Open,
    /// The question closed before enough answers came.
    Expired,
}

/// Weighs the answers to a question. Every answer is verified again here, whoever verified it before.
///
/// # Errors
/// The first [`ApprovalError`]: one bad answer among the given voids them all, since it should never have been kept.
pub fn standing(
    asked: &Asked,
    answers: &[(SignedApproval, Timestamp)],
    approvers: &Approvers,
    now: Timestamp,
) -> Result<Standing, ApprovalError> {
    let mut yes: Vec<(&Approver, &ApprovalId)> = Vec::new();
    let mut lease: Option<Lease> = None;
    for (answer, received) in answers {
        let name = &answer.approval.approver;
        let approver = approvers
            .by_name(name)
            .ok_or_else(|| ApprovalError::UnknownApprover(name.clone()))?;
        answer.verify(asked, approver, *received)?;
        if let Some(chosen) = answer.approval.lease.clone() {
            lease = Some(match lease.take() {
                Some(before) => lesser(before, chosen),
                None => chosen,
            });
        }
        match answer.approval.verdict {
            // Anyone may say no, the requester too.
            Verdict::Deny => return Ok(Standing::Refused),
            Verdict::Approve if is_requester(approver, asked) => {
                if !asked.requirement.requester_may_approve() {
                    return Err(ApprovalError::Requester(name.clone()));
                }
                yes.push((approver, &answer.approval.approval_id));
            }
            Verdict::Approve => yes.push((approver, &answer.approval.approval_id)),
        }
    }
    if let Some(approvals) = met(asked, &yes) {
        return Ok(Standing::Approved(Approved { approvals, lease }));
    }
    Ok(if now >= asked.expires_at {
        Standing::Expired
    } else {
        Standing::Open
    })
}

/// Whether the approver is the person on whose behalf the agent runs. An approver is registered under the name of their account; a name that
/// differs in case alone is taken for the same, since a wrong yes here would make one person two.
fn is_requester(approver: &Approver, asked: &Asked) -> bool {
    approver.name.to_lowercase() == asked.user.to_lowercase()
}

/// Fills every seat of the quorum with a person of its own.
fn met(asked: &Asked, yes: &[(&Approver, &ApprovalId)]) -> Option<Vec<ApprovalId>> {
    let people: Vec<&Approver> = yes.iter().map(|(person, _)| *person).collect();
    let used = seated(&asked.requirement.quorum, &people)?;
    Some(
        yes.iter()
            .filter(|(person, _)| used.contains(person.name.as_str()))
            .map(|(_, id)| (*id).clone())
            .collect(),
    )
}

/// Who sits where there is a seat for each: every seat has a person of its own; greedy over seats, with backtracking. Nothing when a seat
/// stays empty, or there is none.
pub(crate) fn seated<'a>(quorum: &[Quorum], people: &[&'a Approver]) -> Option<BTreeSet<&'a str>> {
    let mut seats: Vec<&str> = Vec::new();
    for entry in quorum {
        // More seats than people can never be filled, whatever the count says.
        let count = usize::try_from(entry.count)
            .unwrap_or(usize::MAX)
            .min(people.len().saturating_add(1));
        seats.extend(std::iter::repeat_n(entry.role.as_str(), count));
    }
    if seats.is_empty() || seats.len() > people.len() {
        return None;
    }
    let mut used = BTreeSet::new();
    fill(&seats, people, &mut used).then_some(used)
}

fn fill<'a>(seats: &[&str], people: &[&'a Approver], used: &mut BTreeSet<&'a str>) -> bool {
    let Some((seat, rest)) = seats.split_first() else {
        return true;
    };
    for person in people {
        if person.roles.iter().any(|role| role == seat) && used.insert(&person.name) {
            if fill(rest, people, used) {
                return true;
            }
            used.remove(person.name.as_str());
        }
    }
    false
}
