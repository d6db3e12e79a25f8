//! The command line of what brings a policy into force: sign-off, install, shadow, canary, activate, withdraw, rollback.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use valetkey_model::Resource;

use super::PassphraseArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct SigningArgs {
    /// Signed tests of the bundle, as `valetkey policy attest` writes them; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) tests: Vec<PathBuf>,
    /// Sign what is shown without being asked at the terminal
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AttestArgs {
    /// The bundle: an archive or a directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) bundle: PathBuf,
    /// Where to write what came of its tests, signed
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Leave out the changes that tests should notice
    #[arg(long)]
    pub(crate) no_mutants: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SignOffArgs {
    /// The bundle to install: an archive or a directory
    #[arg(
        value_name = "FILE|DIR",
        required_unless_present = "rollback",
        conflicts_with = "rollback"
    )]
    pub(crate) bundle: Option<PathBuf>,
    /// Sign for going back to this revision
    #[arg(long, value_name = "REVISION")]
    pub(crate) rollback: Option<u64>,
    /// Where to write the signature
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Without --approvals you sign it yourself, after you have seen what it changes. It waits then, until `valetkey policy activate`.\n\nExit status: 0 done, 3 refused by the broker, 2 usage."
)]
pub(crate) struct InstallArgs {
    /// The bundle: an archive or a directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) bundle: PathBuf,
    /// What others have signed, as `valetkey policy sign-off` writes it; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) approvals: Vec<PathBuf>,
    /// Sign it too, beside those
    #[arg(long, requires = "approvals")]
    pub(crate) sign: bool,
    /// Put it in force at once
    #[arg(long)]
    pub(crate) activate: bool,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RollbackArgs {
    /// A revision that decided before
    #[arg(value_name = "REVISION")]
    pub(crate) revision: u64,
    /// What others have signed, as `valetkey policy sign-off --rollback` writes it
    #[arg(long, value_name = "FILE")]
    pub(crate) approvals: Vec<PathBuf>,
    /// Sign it too, beside those
    #[arg(long, requires = "approvals")]
    pub(crate) sign: bool,
    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CandidateArgs {
    /// The revision of the bundle that waits, to be sure of it
    #[arg(value_name = "REVISION")]
    pub(crate) revision: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "It is taken back by itself, with an alert, when it denies more than the policy in force does on the same requests."
)]
pub(crate) struct CanaryArgs {
    /// For sessions of this agent; may be given more than once
    #[arg(long, value_name = "NAME", group = "of")]
    pub(crate) agent: Vec<String>,
    /// For sessions of this user; may be given more than once
    #[arg(long, value_name = "NAME", group = "of")]
    pub(crate) user: Vec<String>,
    /// For requests within this, such as `file:/srv/reports/**`; may be given more than once
    #[arg(long, value_name = "RESOURCE", group = "of")]
    pub(crate) resource: Vec<Resource>,
    /// For so many of a hundred sessions
    #[arg(long, value_name = "N", group = "of", required_unless_present_any = ["agent", "user", "resource"])]
    pub(crate) percent: Option<u32>,
    /// By how many of a hundred requests it may deny more
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) max_rise: u32,
    /// Over how many seconds that is counted
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) window: u64,
    /// Requests within that time before it is taken back
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) min_requests: u64,
    #[command(flatten)]
    pub(crate) candidate: CandidateArgs,
}
