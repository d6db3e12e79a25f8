//! The command line of `valetkey audit`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use valetkey_model::{CapabilityId, RequestId, Resource, SessionId};
use valetkey_trail::{KindTerm, When};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Print the last events
    Tail(Box<TailArgs>),
    /// Print the events that are asked for
    Query(Box<QueryArgs>),
    /// Print one event whole
    Show {
        /// Its id or its number
        event: String,
        #[command(flatten)]
        log: LogArgs,
    },
    /// Draw what led to an event, and what came of it
    Graph(GraphArgs),
    /// Make an index beside the log, or what is missing of it: `query` is faster with it, and believes none of it
    Index(IndexArgs),
    /// Count events by type, decision, agent, person, resource and hour
    Stats(Box<StatsArgs>),
    /// Check every event, hash and signature
    Verify(VerifyArgs),
    /// Prove that an event is in the log, to somebody who has neither the log nor this program
    Prove(ProveArgs),
    /// Check such a proof
    CheckProof(CheckProofArgs),
    /// Write events to a file, with a proof beside it that they are what the log holds
    Export(Box<ExportArgs>),
    /// Check an export against its proof: complete for its range, and unchanged
    VerifyExport(VerifyExportArgs),
    /// Write the log as C2SP tlog-tiles, for any web server and other verifiers; what is there already is added to
    Tiles(TilesArgs),
    /// Who can open what policy seals
    Auditor {
        #[command(subcommand)]
        command: AuditorCommand,
    },
    /// Open what was sealed of an event; written to the reviewers' log before it is shown
    Unseal(UnsealArgs),
    /// Throw away what is sealed of a person; events and hashes stay, and every proof holds
    Erase(EraseArgs),
    /// Check the log, and print the keys that sign it: its own, and those of its epochs
    Keys(AuditKeysArgs),
    /// Have witnesses cosign the last checkpoint (C2SP tlog-witness); by a timer, or from another machine
    Witness(super::AuditWitnessArgs),
    /// Print the last signed checkpoint; keep it where whoever has the log cannot change it
    Checkpoint(LogArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditorCommand {
    /// Seal to this auditor, too, from now on
    Add {
        /// The name
        name: String,
        /// Their public key, as `age-keygen` prints it: `age1…`
        #[arg(long, value_name = "RECIPIENT")]
        key: String,
        /// The hand, 1 or 2: where policy wants two hands, it takes one auditor of each
        #[arg(long, value_name = "N", default_value_t = 1)]
        hand: u8,
    },
    /// List the auditors
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Do not seal to this auditor any more; what was sealed before they can still open
    Remove {
        /// The name
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Where policy wants two hands, one auditor opens the outer seal (`--out FILE`) and another the inner one (`--inner FILE`); or both keys are given at once."
)]
pub(crate) struct UnsealArgs {
    /// The event: its id or its number
    pub(crate) event: String,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: String,
    /// A file with the auditor's secret key, as `age-keygen` writes it; may be repeated
    #[arg(long = "key", value_name = "FILE", required = true)]
    pub(crate) keys: Vec<PathBuf>,
    /// Where the sealed originals lie, if not beside the log
    #[arg(long, value_name = "DIR")]
    pub(crate) sealed: Option<PathBuf>,
    /// Open the outer seal alone, and write what is within for the auditor of the first hand
    #[arg(long, value_name = "FILE", conflicts_with = "inner")]
    pub(crate) out: Option<PathBuf>,
    /// What the auditor of the second hand wrote with `--out`
    #[arg(long, value_name = "FILE")]
    pub(crate) inner: Option<PathBuf>,
    /// The reviewers' log, if not this home's
    #[arg(long, value_name = "DIR")]
    pub(crate) reviewer_log: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct EraseArgs {
    /// Whose: the login name, or the keyed hash that stands for it in the log
    #[arg(long, value_name = "USER")]
    pub(crate) user: String,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    pub(crate) because: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LogArgs {
    /// The log's directory, if not this home's
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One readable line an event
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line, each exactly the event that was signed
    Ndjson,
    /// Comma-separated values
    Csv,
    /// Open Cybersecurity Schema Framework 1.8, one event a line
    Ocsf,
    /// Elastic Common Schema, one document a line
    Ecs,
    /// Common Event Format
    Cef,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct FormatArgs {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print one JSON object a line, as `--format ndjson`
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl FormatArgs {
    pub(crate) fn format(&self) -> Format {
        if self.json {
            Format::Ndjson
        } else {
            self.format
        }
    }
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Which events")]
pub(crate) struct FilterArgs {
    /// From this time on: `2026-01-17`, `2026-01-17T15:12:00Z` (UTC), or how long ago, such as `2h`
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Of this type, such as `approval.given`, or family, such as `operation`; may be repeated, as all that follow
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kinds: Vec<KindTerm>,
    /// With this decision
    #[arg(long = "decision", value_name = "DECISION", value_parser = word::<valetkey_audit::AuditDecision>)]
    pub(crate) decisions: Vec<valetkey_audit::AuditDecision>,
    /// With this outcome
    #[arg(long = "outcome", value_name = "OUTCOME", value_parser = word::<valetkey_audit::Outcome>)]
    pub(crate) outcomes: Vec<valetkey_audit::Outcome>,
    /// Done by: broker, guard, agent, user, approver, operator or adapter
    #[arg(long = "actor", value_name = "ACTOR", value_parser = word::<valetkey_audit::Actor>)]
    pub(crate) actors: Vec<valetkey_audit::Actor>,
    /// Of this agent
    #[arg(long = "agent", value_name = "NAME")]
    pub(crate) agents: Vec<String>,
    /// On behalf of this person: login name or user id
    #[arg(long = "user", value_name = "USER")]
    pub(crate) users: Vec<String>,
    /// In this session
    #[arg(long = "session", value_name = "ID")]
    pub(crate) sessions: Vec<SessionId>,
    /// Of this request
    #[arg(long = "request", value_name = "ID")]
    pub(crate) requests: Vec<RequestId>,
    /// Of this capability
    #[arg(long = "capability", value_name = "ID")]
    pub(crate) capabilities: Vec<CapabilityId>,
    /// About something that this pattern covers, such as `~/Reports/**` or `file:/srv/**/*.csv`
    #[arg(long = "resource", value_name = "PATTERN", value_parser = crate::grant::resource)]
    pub(crate) resources: Vec<Resource>,
    /// The key of the keyed hashes (`keys/log-privacy.key`), if not this home's: people and resources are found by their names with it
    #[arg(long, value_name = "FILE")]
    pub(crate) privacy_key: Option<PathBuf>,
    /// With this text in them; every one that is given
    #[arg(long = "text", value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
}

/// One of the words that the log itself uses.
fn word<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| {
        let error = error.to_string();
        error.replace("unknown variant ", "unknown word ")
    })
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    /// How many
    #[arg(short = 'n', long, default_value_t = 20)]
    pub(crate) lines: usize,
    /// Go on as events come
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Of a filter that is given several times any may fit; different filters must all fit. Times are UTC."
)]
pub(crate) struct QueryArgs {
    /// Only the last so many
    #[arg(short = 'n', long)]
    pub(crate) lines: Option<usize>,
    /// Go through the log itself, also where there is an index beside it
    #[arg(long)]
    pub(crate) no_index: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct IndexArgs {
    /// Make all of it anew
    #[arg(long)]
    pub(crate) rebuild: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct GraphArgs {
    /// The event: its id or its number
    pub(crate) event: String,
    /// Print at most so many lines
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) most: usize,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StatsArgs {
    /// How many names of each group
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// The log's public key: a file, or the key itself
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// A checkpoint that was kept elsewhere (`valetkey audit checkpoint`, `valetkey audit witness`): the log must be a continuation of it. May be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) since: Vec<PathBuf>,
    /// The checkpoint that is given with `--since` must be cosigned as this file asks (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", requires = "since")]
    pub(crate) witness_policy: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Verify tiles instead of the log: a directory that `valetkey audit tiles` wrote
    #[arg(long, value_name = "DIR", conflicts_with = "log")]
    pub(crate) tiles: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditKeysArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ProveArgs {
    /// The event: its id or its number
    pub(crate) event: String,
    /// Where to write the proof (C2SP tlog-proof, with the event as its extra data); standard output otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeyArgs {
    /// The log's public key: a file, or the key itself
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckProofArgs {
    /// The proof
    pub(crate) proof: PathBuf,
    /// The event in a file of its own, if not the one in the proof
    #[arg(long, value_name = "FILE")]
    pub(crate) event: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Forms of an export: those out of which each event can be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values
    Csv,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExportArgs {
    /// Where to write the events; the proof is written beside it, with `.proof` after its name
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// How to write them
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,
    /// From this event on
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub(crate) from: u64,
    /// Before this event
    #[arg(long, value_name = "SEQ")]
    pub(crate) to: Option<u64>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyExportArgs {
    /// The export
    pub(crate) export: PathBuf,
    /// Its proof, if not beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// The log's directory: then the first row that differs is named
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TilesArgs {
    /// The directory to write to
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
