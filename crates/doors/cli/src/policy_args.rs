//! The command line of `valetkey policy`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use valetkey_model::{ActionSet, Resource};

use crate::args::{
    AttestArgs, BundleCommand, CanaryArgs, CandidateArgs, InstallArgs, ListArgs, RollbackArgs,
    SignOffArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say what is wrong with a bundle, with file, line and column
    Check(CheckArgs),
    /// Run a bundle's tests
    Test(TestArgs),
    /// Decide one request, and say why so and not otherwise
    Eval(Box<EvalArgs>),
    /// Say what another bundle would newly allow, ask and deny
    Diff(DiffArgs),
    /// Take logged decisions again, with the same policy or another
    Replay(ReplayArgs),
    /// Make, sign, verify and show bundles as files
    Bundle {
        #[command(subcommand)]
        command: BundleCommand,
    },
    /// Run a bundle's tests, and sign what came of them
    Attest(AttestArgs),
    /// Sign that a bundle may come into force, for somebody else to install it
    SignOff(SignOffArgs),
    /// Install a bundle that its approvers have signed; it waits to be put to work
    Install(InstallArgs),
    /// Have the waiting bundle asked beside the policy in force, without effect
    Shadow(CandidateArgs),
    /// Have the waiting bundle decide for some
    Canary(CanaryArgs),
    /// Put the waiting bundle in force
    Activate(CandidateArgs),
    /// Take the waiting bundle away
    Withdraw(CandidateArgs),
    /// Go back to a revision that decided before
    Rollback(RollbackArgs),
    /// Say what is installed, what waits, and what a change needs
    Status(ListArgs),
    /// List the policies that are built in, or copy one to begin with
    Starters {
        /// Write the files of this one to --out
        #[arg(requires = "out")]
        name: Option<String>,
        /// A new directory
        #[arg(long, value_name = "DIR", requires = "name")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 nothing that keeps the bundle from being used, 1 errors (with --strict, warnings too), 2 usage."
)]
pub(crate) struct CheckArgs {
    /// Directories with a bundle each, files that make one together, or built-in ones as `starter:base`
    #[arg(required = true, value_name = "DIR|FILE")]
    pub(crate) bundles: Vec<PathBuf>,
    /// Refuse for warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 every test passed and what was asked of coverage and mutants is met, 1 not so, 2 usage or the bundle does not load."
)]
pub(crate) struct TestArgs {
    /// Directories with a bundle each, or built-in ones as `starter:base`
    #[arg(required = true, value_name = "DIR")]
    pub(crate) bundles: Vec<PathBuf>,
    /// Only tests whose name has this
    #[arg(long, value_name = "TEXT")]
    pub(crate) run: Option<String>,
    /// Say which lines and rules the tests reach
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Fail below this coverage of rules, in percent
    #[arg(long, value_name = "PERCENT", requires = "coverage")]
    pub(crate) min_coverage: Option<f64>,
    /// Change one thing at a time, and say which changes no test notices
    #[arg(long)]
    pub(crate) mutate: bool,
    /// Fail below this share of noticed changes, in percent
    #[arg(long, value_name = "PERCENT", requires = "mutate")]
    pub(crate) min_score: Option<f64>,
    /// Write JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Run again whenever a file changes
    #[arg(long, conflicts_with_all = ["json", "junit"])]
    pub(crate) watch: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 allow, 3 deny, 1 ask, 2 usage.")]
pub(crate) struct EvalArgs {
    /// The bundle: a directory, or a built-in one as `starter:base`
    #[arg(long, value_name = "DIR", default_value = "starter:base")]
    pub(crate) policy: PathBuf,
    /// The whole input, as JSON of `schemas/policy-input.json`; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["read", "write", "resource"])]
    pub(crate) input: Option<PathBuf>,
    /// Ask to read this path
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Option<PathBuf>,
    /// Ask to write this path
    #[arg(long, value_name = "PATH", conflicts_with = "read")]
    pub(crate) write: Option<PathBuf>,
    /// Ask for this resource, such as `https://example.com/**`
    #[arg(long, value_name = "RESOURCE", conflicts_with_all = ["read", "write"])]
    pub(crate) resource: Option<Resource>,
    /// What to ask for; more than one with commas
    #[arg(long, value_name = "ACTIONS", requires = "resource")]
    pub(crate) actions: Option<ActionSet>,
    /// The session's workspace; where absent, the current directory
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// The agent's name
    #[arg(long, value_name = "NAME", default_value = "agent")]
    pub(crate) agent: String,
    /// Labels that the session has read
    #[arg(long = "label", value_name = "LABEL")]
    pub(crate) labels: Vec<String>,
    /// Print JSON, with every rule
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Something is given that was not, or given with less to hold it
    Widening,
    /// Anything is decided otherwise
    Any,
    /// Never
    Nothing,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 nothing that --fail-on names, 1 some of it, 2 usage or a bundle does not load."
)]
pub(crate) struct DiffArgs {
    /// The bundle that decides now: a directory, or a built-in one as `starter:base`
    #[arg(value_name = "A")]
    pub(crate) before: PathBuf,
    /// The bundle that may decide next
    #[arg(value_name = "B")]
    pub(crate) after: PathBuf,
    /// Requests of this log too
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    /// Names below this directory too, up to ten thousand
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    /// When to fail
    #[arg(long, value_enum, default_value = "widening")]
    pub(crate) fail_on: FailOn,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 every decision that could be taken again is the same, byte for byte; 1 some are not; 2 usage or the bundle does not load."
)]
pub(crate) struct ReplayArgs {
    /// Take every decision again with this bundle: a directory, or a built-in one as `starter:base`. Where absent, those of the built-in policy with it
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// The log's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    /// Write every difference to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InitArgs {
    /// A built-in policy; without one, they are listed
    pub(crate) policy: Option<String>,
    /// Put it in the place of the one that is there, which is kept beside it
    #[arg(long, requires = "policy")]
    pub(crate) replace: bool,
}
