//! `valetkey policy attest|sign-off|install|shadow|canary|activate|withdraw|rollback|status`: a policy on its way into force.

use serde::Serialize;
use valetkey_api::{
    Client, InstallPolicy, NamedCandidate, PolicyState, RollBackPolicy, StartCanary,
};
use valetkey_approval::{UnsignedTests, visible};
use valetkey_approver::sign_tests;
use valetkey_model::{AgentId, Digest, Timestamp};
use valetkey_policy::TestOutcome;
use valetkey_policy::tools::{cover, mutate};
use valetkey_rollout::{Canary, CanaryOf, Candidate, Stage};

use super::proposal::{Proposal, SignOff, Target, me, propose, read_tests, write_json};
use super::{archive, bundle};
use crate::args::{
    AttestArgs, CanaryArgs, CandidateArgs, InstallArgs, ListArgs, RollbackArgs, SignOffArgs,
    SigningArgs,
};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

fn state(operator: &mut Client) -> Result<PolicyState, Fail> {
    Ok(operator.get("/v1/policy")?)
}

/// Shows what is installed.
pub(super) fn status(args: &ListArgs) -> Result<u8, Fail> {
    let state = state(&mut home::operator()?)?;
    if args.json {
        out::json(&state);
    } else {
        show(&state);
    }
    Ok(0)
}

fn show(state: &PolicyState) {
    let rollout = &state.rollout;
    out::line(&match rollout.live {
        Some(live) => format!("in force   revision {}, {}", live.revision, live.bundle),
        None => "in force   base, built in".to_owned(),
    });
    if let Some(one) = &rollout.candidate {
        let stage = match &one.stage {
            Stage::Waiting => "decides nothing",
            Stage::Shadow => "is a shadow",
            Stage::Canary(_) => "is a canary",
            Stage::Returned => "was a canary, and was taken back",
        };
        let installed = one.installed;
        out::line(&format!(
            "waiting    revision {}, {}, {stage}",
            installed.revision, installed.bundle
        ));
    }
    if let Some(compared) = state.compared {
        out::line(&format!(
            "compared   same {}, wider {}, narrower {}, otherwise {}, failed {}, skipped {}",
            compared.same,
            compared.wider,
            compared.narrower,
            compared.otherwise,
            compared.failed,
            compared.skipped
        ));
    }
    let kept = rollout.kept.iter().rev();
    let kept: Vec<String> = kept.map(|one| one.revision.to_string()).collect();
    if !kept.is_empty() {
        out::line(&format!("kept       revisions {}", kept.join(" ")));
    }
    out::line(&format!("next       above revision {}", rollout.mark));
    match (&state.governance, &state.ungoverned) {
        (Some(governance), _) => {
            let seats = governance.quorum.iter();
            let seats = seats.map(|seat| format!("{} of {}", seat.count, seat.role));
            let seats: Vec<String> = seats.collect();
            out::line(&format!("needs      {}", visible(&seats.join(", "))));
        }
        (None, Some(why)) => out::line(&format!("needs      {}", visible(why))),
        (None, None) => {}
    }
}

/// Runs a bundle's tests and signs what came of them.
pub(super) fn attest(args: &AttestArgs) -> Result<u8, Fail> {
    let files = archive::read(&args.bundle)?;
    let bundle = bundle::load(&args.bundle, &files)?;
    let usage = |error: valetkey_policy::PolicyError| Fail::new(Status::Usage, error);
    let (results, coverage) = cover(&bundle).map_err(usage)?;
    let count = |wanted: fn(&TestOutcome) -> bool| {
        let number = results.iter().filter(|one| wanted(&one.outcome)).count();
        u64::try_from(number).unwrap_or(u64::MAX)
    };
    let failed = count(|outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Error(_)));
    let score = if args.no_mutants || failed > 0 {
        None
    } else {
        let bar = out::Progress::new("mutants");
        let found = mutate(&bundle, |done, of| bar.show(done, of)).map_err(usage);
        bar.end();
        let found = found?;
        Some(permille(
            found.killed,
            found.killed.saturating_add(found.survived.len()),
        ))
    };
    let tests = UnsignedTests {
        bundle: bundle.digest(),
        passed: count(|outcome| matches!(outcome, TestOutcome::Passed)),
        failed,
        coverage_permille: permille(
            coverage.rules.saturating_sub(coverage.missed.len()),
            coverage.rules,
        ),
        mutants_permille: score,
        by: String::new(),
        time: Timestamp::from_unix_ms(0),
    };
    let mut operator = home::operator()?;
    let state = state(&mut operator)?;
    let signing = SigningArgs {
        tests: Vec::new(),
        yes: true,
        passphrase: crate::args::PassphraseArgs {
            passphrase_fd: args.passphrase.passphrase_fd,
        },
    };
    let me = me(&mut operator, &state, &signing)?;
    let signed = sign_tests(&me.key, &me.name, tests)?;
    write_json(&args.out, &signed)?;
    let tests = &signed.signed;
    out::line(&format!(
        "{} passed, {} failed; signed as `{}` in {}",
        tests.passed,
        tests.failed,
        me.name,
        args.out.display()
    ));
    Ok(u8::from(tests.failed > 0))
}

/// Never more than it is: rounded down.
fn permille(part: usize, whole: usize) -> u32 {
    let share = part.saturating_mul(1000).checked_div(whole).unwrap_or(0);
    u32::try_from(share).unwrap_or(0)
}

/// Signs a change, and writes the signature to a file.
pub(super) fn sign_off(args: &SignOffArgs) -> Result<u8, Fail> {
    let mut operator = home::operator()?;
    let state = state(&mut operator)?;
    let target = match (&args.bundle, args.rollback) {
        (Some(path), _) => Target::Install(path),
        (None, Some(revision)) => Target::RollBack(revision),
        (None, None) => return Err(Fail::new(Status::Usage, "name a bundle, or --rollback")),
    };
    let proposal = propose(&mut operator, &state, &target)?;
    let signed = proposal.sign(&mut operator, &state, &args.signing)?;
    signed.write(&args.out)?;
    out::line(&format!(
        "signed as `{}` in {}",
        visible(&signed.approval.signed.by),
        args.out.display()
    ));
    Ok(0)
}

/// What is sent with a proposal: the signatures of others, and one's own where nobody else has signed or it is asked for.
fn signatures(
    operator: &mut Client,
    state: &PolicyState,
    proposal: &Proposal,
    (others, signing, also): (&[std::path::PathBuf], &SigningArgs, bool),
) -> Result<Vec<SignOff>, Fail> {
    let mut signed = others
        .iter()
        .map(|path| SignOff::read(path))
        .collect::<Result<Vec<_>, _>>()?;
    if signed.is_empty() || also {
        signed.push(proposal.sign(operator, state, signing)?);
    }
    Ok(signed)
}

/// Installs a bundle.
pub(super) fn install(args: &InstallArgs) -> Result<u8, Fail> {
    let mut operator = home::operator()?;
    let state = state(&mut operator)?;
    let proposal = propose(&mut operator, &state, &Target::Install(&args.bundle))?;
    let how = (args.approvals.as_slice(), &args.signing, args.sign);
    let signed = signatures(&mut operator, &state, &proposal, how)?;
    let message = InstallPolicy {
        difference: difference(&signed),
        approvals: signed.into_iter().map(|one| one.approval).collect(),
        files: proposal.files,
        tests: read_tests(&args.signing.tests)?,
    };
    let mut state: PolicyState = operator.post("/v1/policy/install", &message)?;
    if args.activate {
        let bundle = proposal.change.bundle;
        state = operator.post("/v1/policy/activate", &NamedCandidate { bundle })?;
    }
    tell(&state, args.json);
    Ok(0)
}

/// What was shown to the first who signed.
fn difference(signed: &[SignOff]) -> Vec<String> {
    let first = signed.first();
    first.map(|one| one.difference.clone()).unwrap_or_default()
}

fn tell(state: &PolicyState, json: bool) {
    if json {
        out::json(state);
    } else {
        show(state);
    }
}

/// Goes back to a revision that decided before.
pub(super) fn rollback(args: &RollbackArgs) -> Result<u8, Fail> {
    let mut operator = home::operator()?;
    let state = state(&mut operator)?;
    let proposal = propose(&mut operator, &state, &Target::RollBack(args.revision))?;
    let how = (args.approvals.as_slice(), &args.signing, args.sign);
    let signed = signatures(&mut operator, &state, &proposal, how)?;
    let message = RollBackPolicy {
        difference: difference(&signed),
        approvals: signed.into_iter().map(|one| one.approval).collect(),
        tests: read_tests(&args.signing.tests)?,
    };
    let state: PolicyState = operator.post("/v1/policy/rollback", &message)?;
    tell(&state, args.json);
    Ok(0)
}

/// The candidate, which must be of the revision that was named.
fn candidate(operator: &mut Client, args: &CandidateArgs) -> Result<Digest, Fail> {
    let waiting: Option<Candidate> = state(operator)?.rollout.candidate;
    let waiting = waiting.map(|one| one.installed);
    let none = || {
        Fail::new(Status::Failed, "no bundle waits")
            .hinted("`valetkey policy install` installs one")
    };
    let waiting = waiting.ok_or_else(none)?;
    match args.revision {
        Some(named) if named != waiting.revision => Err(Fail::new(
            Status::Usage,
            format!("revision {} waits, not {named}", waiting.revision),
        )),
        _ => Ok(waiting.bundle),
    }
}

fn step<T: Serialize>(
    operator: &mut Client,
    path: &str,
    message: &T,
    args: &CandidateArgs,
) -> Result<u8, Fail> {
    let state: PolicyState = operator.post(path, message)?;
    tell(&state, args.json);
    Ok(0)
}

/// Has the candidate asked, put in force, or taken away, as the path says.
pub(super) fn named(path: &str, args: &CandidateArgs) -> Result<u8, Fail> {
    let mut operator = home::operator()?;
    let bundle = candidate(&mut operator, args)?;
    step(&mut operator, path, &NamedCandidate { bundle }, args)
}

/// Has the candidate decide for some.
pub(super) fn canary(args: CanaryArgs) -> Result<u8, Fail> {
    let mut operator = home::operator()?;
    let bundle = candidate(&mut operator, &args.candidate)?;
    let of = if !args.agent.is_empty() {
        let names = args.agent.into_iter().map(AgentId::try_from);
        let names = names.collect::<Result<_, _>>();
        CanaryOf::Agents(names.map_err(|error| Fail::new(Status::Usage, error))?)
    } else if !args.user.is_empty() {
        CanaryOf::Users(args.user)
    } else if !args.resource.is_empty() {
        CanaryOf::Resources(args.resource)
    } else {
        CanaryOf::Percent(args.percent.unwrap_or(0))
    };
    let canary = Canary {
        of,
        max_rise_percent: args.max_rise,
        window_seconds: args.window,
        min_requests: args.min_requests,
    };
    let message = StartCanary { bundle, canary };
    step(
        &mut operator,
        "/v1/policy/canary",
        &message,
        &args.candidate,
    )
}
