//! The command line.

mod audit;
mod bundle;
mod rollout;
mod staged;
mod witness;

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::commands::McpCommand;
use clap::{Args as ClapArgs, Parser, Subcommand};
use valetkey_api::StartGrant;
use valetkey_guard::AskedLimit;
use valetkey_model::{CapabilityId, Digest, Grant, Level, Resource, SessionId};

pub(crate) use audit::{
    AuditCommand, AuditKeysArgs, AuditorCommand, CheckProofArgs, EraseArgs, ExportArgs,
    ExportFormat, FilterArgs, Format, GraphArgs, IndexArgs, LogArgs, ProveArgs, QueryArgs,
    StatsArgs, TailArgs, TilesArgs, UnsealArgs, VerifyArgs, VerifyExportArgs,
};

pub(crate) use bundle::{
    BuildArgs, BundleCommand, KeyArgs, ShowBundleArgs, SignArgs, VerifyBundleArgs,
};
pub(crate) use staged::{ChangesArgs, CommitArgs, CommitWhen, DiscardArgs};
pub(crate) use witness::{AuditWitnessArgs, WitnessCommand, WitnessInitArgs, WitnessServeArgs};

pub(crate) use rollout::{
    AttestArgs, CanaryArgs, CandidateArgs, InstallArgs, RollbackArgs, SignOffArgs, SigningArgs,
};

/// Give your agent the valet key, not the key ring.
#[derive(Debug, Parser)]
#[command(
    name = "valetkey",
    version,
    about,
    after_help = "Start with `valetkey demo`, then `valetkey run -- bash`.\n\nExit status: 0 done, 1 failed, 2 usage, 3 denied, 4 verification failed, 5 enforcement not available, 6 broker not reachable.\n`run` passes on the command's own, 128+N for a signal."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole story with a real agent in a real cell, step by step
    Demo(DemoArgs),
    /// Run a command in a cell that sees only what it is given
    Run(RunArgs),
    /// Put back what a session changed, or a part of it
    Undo(UndoArgs),
    /// Show what a session changed
    Diff(DiffArgs),
    /// List what a session with --commit=ask changed, which waits to be taken
    Changes(ChangesArgs),
    /// Take what a session with --commit=ask changed, whole or by name
    Commit(CommitArgs),
    /// Throw away what a session with --commit=ask changed, whole or by name
    Discard(DiscardArgs),
    /// List the questions that wait for an answer; with --watch, answer them as they come
    Requests(RequestsArgs),
    /// Say yes to a request
    Approve(AnswerArgs),
    /// Say no to a request
    Deny(AnswerArgs),
    /// Your approver key, and who may answer
    Approver {
        #[command(subcommand)]
        command: ApproverCommand,
    },
    /// See and take back what agents hold
    Caps {
        #[command(subcommand)]
        command: CapsCommand,
    },
    /// Take an emergency scope for a running session, at once; another person has to review it
    BreakGlass(BreakGlassArgs),
    /// What still needs somebody's eyes
    Report {
        #[command(subcommand)]
        command: ReportCommand,
    },
    /// See and change the keys that capabilities are signed with
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Look at the audit log, and prove that it is whole
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Be a witness of logs: remember what was seen of them, and sign nothing that differs
    Witness {
        #[command(subcommand)]
        command: WitnessCommand,
    },
    /// What is known of agents: their own files, hosts and variables
    Profile {
        #[command(subcommand)]
        command: crate::agent_args::ProfileCommand,
    },
    /// Add the MCP server and a few words to an agent's own settings, or take them back
    Install(crate::install::InstallArgs),
    /// Choose the policy of your sessions among those that are built in
    Init(crate::policy_args::InitArgs),
    /// Write, test, compare and try out policy
    Policy {
        #[command(subcommand)]
        command: crate::policy_args::PolicyCommand,
    },
    /// Ask for access, as an agent: in a cell, or outside of one at the person's broker
    Ask(Box<AskArgs>),
    /// Serve agents that speak the Model Context Protocol
    Mcp {
        #[command(subcommand)]
        command: McpCommand,
    },
    /// Attack a cell of its own, and say what is really enforced here and what to do where it is not
    Doctor(ListArgs),
    /// Show the broker's state
    Status(ListArgs),
    /// End the broker of this home
    Stop,
    /// Put a newly installed broker in the place of the one that runs; no door is closed meanwhile, and its sessions end
    Upgrade,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Makes the agent's own directory in a cell, and becomes the agent
    #[command(name = "cell-start", hide = true)]
    CellStart {
        /// What is to be there
        place: String,
        /// The agent and its arguments
        #[arg(required = true, trailing_var_arg = true)]
        command: Vec<OsString>,
    },
    /// The doctor's attacks; run in its cell, and outside of it as the control
    #[command(name = "doctor-probe", hide = true)]
    DoctorProbe {
        /// What they aim at
        aim: String,
        /// One attack alone
        #[arg(long)]
        only: Option<String>,
        /// Outside of a cell
        #[arg(long)]
        control: bool,
    },
    /// The demonstration's agent; runs in its cell
    #[command(name = "demo-agent", hide = true)]
    DemoAgent {
        /// The folder with the workbooks
        folder: PathBuf,
        /// What the host listens on, to show that it cannot be reached
        #[arg(long)]
        listener: u16,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// Let me answer the questions myself
    #[arg(long)]
    pub(crate) interactive: bool,
    /// Keep the folder and the log afterwards
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) cell: CellArgs,
    #[command(flatten)]
    pub(crate) agent: crate::agent_args::AgentArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CellArgs {
    /// The tree to work in: read, write, create, delete and run there
    #[arg(long, value_name = "DIR")]
    pub(crate) workspace: Option<PathBuf>,
    /// What else to grant, such as `~/notes=read` or `file:/srv/data/**=read,list,ttl=10m,max_bytes=1000000`
    #[arg(long, value_name = "RESOURCE=ACTIONS[,ttl=TIME][,LIMIT=VALUE]", value_parser = crate::grant::parse_start)]
    pub(crate) grant: Vec<StartGrant>,
    /// A directory with a policy bundle that decides this session
    #[arg(long, value_name = "DIR")]
    pub(crate) policy: Option<PathBuf>,
    /// What the session is for; people see it when they are asked, and the log keeps it
    #[arg(long, value_name = "TEXT")]
    pub(crate) purpose: Option<String>,
    /// The level of enforcement below which nothing starts: `basic`, `standard` or `strict` (docs/levels.md)
    #[arg(long, value_name = "LEVEL")]
    pub(crate) require: Option<Level>,
    /// What the cell may take of the machine: `memory=2G`, `pids=4096`, `cpu=200%`, `io=50` (a weight), or `none` for each; it does not start where that cannot be held
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) limits: Vec<AskedLimit>,
    /// The only commands of the system that are executed, such as `git,make,/usr/lib/git-core`; then nothing of the workspace is either (docs/programs.md)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) commands: Vec<String>,
    /// A variable of the environment that passes into the cell
    #[arg(long = "env", value_name = "NAME")]
    pub(crate) environment: Vec<String>,
    /// Do not show questions over the agent's terminal; a line says that they wait. `VALETKEY_PROMPT=never` does the same
    #[arg(long)]
    pub(crate) no_prompt: bool,
    /// Serve what is granted at the start quietly, where policy lets it: faster, with the first read and write of a file recorded in place of
    /// each open, and nobody asked from within a system call
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Nobody is there to answer: what policy asks a person about is refused at once
    #[arg(long)]
    pub(crate) unattended: bool,
    /// Keep what the command changes, so that `valetkey undo` can put it back
    #[arg(long)]
    pub(crate) undo: bool,
    /// Most MiB that are kept of this session; what goes beyond is recorded as not kept
    #[arg(long, value_name = "MIB", default_value_t = 2048, requires = "undo")]
    pub(crate) undo_budget: u64,
    /// When what the command changes comes to be on the host: at once, or when you take it with `valetkey commit`
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = CommitWhen::Auto, conflicts_with_all = ["undo", "quiet"])]
    pub(crate) commit: CommitWhen,
}

impl CellArgs {
    /// Whether any of them was given.
    pub(crate) fn is_any(&self) -> bool {
        let Self {
            workspace,
            grant,
            policy,
            purpose,
            require,
            limits,
            commands,
            environment,
            no_prompt,
            quiet,
            unattended,
            undo,
            undo_budget: _,
            commit,
        } = self;
        workspace.is_some()
            || !grant.is_empty()
            || policy.is_some()
            || purpose.is_some()
            || require.is_some()
            || !limits.is_empty()
            || !commands.is_empty()
            || !environment.is_empty()
            || *no_prompt
            || *quiet
            || *unattended
            || *undo
            || *commit != CommitWhen::Auto
    }
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What somebody else has changed since is shown and left alone. An undo can itself be undone, by the name that it tells."
)]
pub(crate) struct UndoArgs {
    /// A session, an event of the log, or a file or directory; otherwise the latest session that changed something
    #[arg(value_name = "SESSION|EVENT|PATH", conflicts_with_all = ["list", "prune"])]
    pub(crate) what: Option<String>,
    /// Only tell what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Put this back although it has been changed since
    #[arg(long, value_name = "FILE")]
    pub(crate) force: Vec<PathBuf>,
    /// Although the session still runs
    #[arg(long)]
    pub(crate) live: bool,
    /// List what is kept
    #[arg(long, conflicts_with_all = ["dry_run", "force", "live"])]
    pub(crate) list: bool,
    /// Throw away what has expired
    #[arg(long, conflicts_with_all = ["dry_run", "force", "live", "list"])]
    pub(crate) prune: bool,
    /// With --prune: throw away what is older than this, where that is sooner
    #[arg(long, value_name = "DAYS", requires = "prune")]
    pub(crate) older_than: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct DiffArgs {
    /// The session; otherwise the latest that changed something
    pub(crate) session: Option<String>,
    /// Only what is at or below this
    pub(crate) path: Option<PathBuf>,
    /// Print JSON: names and sizes, no content
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AskArgs {
    /// What to ask for, such as `~/notes.txt=read` or `file:/srv/data/**=read,list`
    #[arg(value_name = "RESOURCE=ACTIONS", value_parser = crate::grant::parse)]
    pub(crate) what: Grant,
    /// Why, in words for the person who is asked
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    /// A limit to keep, such as `max_bytes=4096` or `single_use=true`
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(crate) limits: Vec<String>,
    /// How long to wait for a person, in seconds; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) wait: u64,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "With --watch at a terminal: an inbox with every question whole, to approve or deny, and what agents hold, to take back; `?` shows its keys. Without a terminal, or with --json: one line for each question as it opens."
)]
pub(crate) struct RequestsArgs {
    /// With --watch, show those alone whose text has this, such as an id
    #[arg(value_name = "TEXT", requires = "watch")]
    pub(crate) filter: Option<String>,
    /// Go on as questions come and close
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Print JSON; with --watch, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Show them as desktop notifications instead, from now on (valetkey-desktop)
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    pub(crate) notify: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "To have somebody at another machine answer: `approve ID --export QUESTION` here, `approve --import QUESTION` there to look and again with `--out ANSWER` to sign, then `approve --import ANSWER` here."
)]
pub(crate) struct AnswerArgs {
    /// The request: its id, or an end of it that only one open request has
    #[arg(required_unless_present = "import", conflicts_with = "import")]
    pub(crate) id: Option<String>,
    /// Why; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: Option<String>,
    /// Let a yes reach less than the question says: `once`, `task`, or a time such as `10m`
    #[arg(long, value_name = "REACH")]
    pub(crate) lease: Option<String>,
    /// Answer only if the question has this digest: the one that you saw
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,
    /// Write the question to a file for an approver elsewhere, and do not answer it
    #[arg(long, value_name = "QUESTION", conflicts_with_all = ["import", "because"])]
    pub(crate) export: Option<PathBuf>,
    /// A file: a question to look at and, with --out, to answer; or an answer to give to the broker
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Option<PathBuf>,
    /// Where to write the signed answer to an imported question
    #[arg(long, value_name = "ANSWER", requires = "import")]
    pub(crate) out: Option<PathBuf>,
    /// The name under which your key is registered where the imported question was asked, if not the key's own
    #[arg(long = "as", value_name = "NAME", requires = "out")]
    pub(crate) name: Option<String>,
    /// The answer was given in a desktop notification, which can refuse alone
    #[arg(long, hide = true, conflicts_with_all = ["import", "export"])]
    pub(crate) from_notification: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PassphraseArgs {
    /// Read passphrases from this open descriptor, one a line, instead of asking at the terminal
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<RawFd>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BreakGlassArgs {
    /// What to give, such as `~/accounts/q3.xlsx=read,write`
    #[arg(required = true, value_name = "RESOURCE=ACTIONS", value_parser = crate::grant::parse)]
    pub(crate) scope: Vec<Grant>,
    /// What happened; kept in the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: String,
    /// The ticket
    #[arg(long, value_name = "ID")]
    pub(crate) ticket: Option<String>,
    /// For how many minutes
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) minutes: u32,
    /// The session, if more than one is open
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<SessionId>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// The emergencies that nobody has reviewed, or the end of one review
    Review(ReviewArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReviewArgs {
    /// Close the review of this emergency: its digest, or an end of it
    #[arg(long, value_name = "ID", requires = "findings", conflicts_with_all = ["all", "json"])]
    pub(crate) close: Option<String>,
    /// What you found
    #[arg(long, value_name = "TEXT", requires = "close")]
    pub(crate) findings: Option<String>,
    /// List closed ones too
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproverCommand {
    /// Make your approver key, under a passphrase
    Init {
        /// The name to answer under; your login name otherwise
        #[arg(long)]
        name: Option<String>,
        /// Keep it unprotected: whoever reads the file can approve as you
        #[arg(long, conflicts_with = "passphrase_fd")]
        no_passphrase: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Print your public key, for an owner to register
    ShowKey(ListArgs),
    /// Change your key's passphrase, or set or remove it
    Passphrase {
        /// Remove it: whoever reads the file can approve as you
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Use your key without asking for its passphrase, for a while
    Unlock {
        /// How long, such as 90s, 15m or 2h; at most 8h
        #[arg(long = "for", value_name = "TIME", value_parser = life)]
        life: Option<Duration>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Ask for the passphrase again from now on
    Lock,
    /// List who may answer, and in which roles
    List(ListArgs),
    /// Register another approver; signed with your key, which must be an owner's
    Add {
        /// The name under which they answer
        name: String,
        /// Their public key, as `valetkey approver show-key` prints it
        #[arg(long, value_name = "PUBLICKEY", allow_hyphen_values = true)]
        key: String,
        /// A role in which they may answer, such as `owner` or `finance-approver`
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Let somebody answer for other people's sessions; for root, where a system broker serves many
    Appoint {
        /// The name of their account
        name: String,
        /// A role in which they answer, such as `finance-approver`; never `owner`
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// Only for the sessions of this account; for everyone's otherwise
        #[arg(long = "for", value_name = "ACCOUNT")]
        for_user: Option<String>,
    },
    /// End what `appoint` began; for root
    Dismiss {
        /// The name of their account
        name: String,
        /// What was named with `--for` then
        #[arg(long = "for", value_name = "ACCOUNT")]
        for_user: Option<String>,
    },
    /// Remove an approver; signed with your key, which must be an owner's
    Remove {
        /// Their name
        name: String,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

/// A time in words of a command line.
pub(crate) fn life(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('s') {
        Some(number) => (number, 1),
        None => match (text.strip_suffix('m'), text.strip_suffix('h')) {
            (Some(number), _) => (number, 60),
            (_, Some(number)) => (number, 3600),
            (None, None) => (text, 60),
        },
    };
    let life = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .map(Duration::from_secs)
        .filter(|life| !life.is_zero());
    match life {
        Some(life) if life <= valetkey_approver::LIFE_MAX => Ok(life),
        Some(_) => Err("at most 8h".to_owned()),
        None => Err("a time is a number with s, m or h, such as 15m".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the key that signs and those that still verify
    List(ListArgs),
    /// Sign with a new key from now on; live sessions go on
    Rotate(ListArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CapsCommand {
    /// List the live capabilities
    List(ListArgs),
    /// Show one live capability
    Show {
        /// Its id
        id: String,
        /// Print JSON alone, without the words around it
        #[arg(long)]
        json: bool,
    },
    /// Take capabilities back, under open files too
    Revoke(RevokeArgs),
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct RevokeArgs {
    /// One, by its id
    #[arg(value_name = "ID")]
    pub(crate) id: Option<CapabilityId>,
    /// Every one of a session
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<SessionId>,
    /// Every one that agents of this name hold
    #[arg(long, value_name = "NAME")]
    pub(crate) agent: Option<String>,
    /// Every one that gives anything of this resource
    #[arg(long, value_name = "RESOURCE")]
    pub(crate) resource: Option<Resource>,
    /// Every one
    #[arg(long)]
    pub(crate) all: bool,
}
