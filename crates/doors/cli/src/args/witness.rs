//! The words of `valetkey witness`, and of `valetkey audit witness`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::audit::{KeyArgs, LogArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Make a witness: its key, and the directory in which it remembers what it cosigned
    Init(WitnessInitArgs),
    /// Cosign checkpoints of the logs that it is given (C2SP tlog-witness)
    Serve(WitnessServeArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WitnessInitArgs {
    /// Where it remembers; nobody else may write there
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Its secret key; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Its name, such as `witness.example.org/w1`
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Make an empty memory for a key that is there already: only for one that has never cosigned
    #[arg(long)]
    pub(crate) new_state: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WitnessServeArgs {
    /// Where it remembers
    #[arg(long, value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Its secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Where it listens: `unix:PATH`, or an address of this machine such as `127.0.0.1:7380`; `:0` takes any port, and prints it
    #[arg(long, value_name = "WHERE")]
    pub(crate) listen: String,
    /// A log that it cosigns for: the key `name+id+key`, or a file with it
    #[arg(long = "log", value_name = "KEY", required = true)]
    pub(crate) logs: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AuditWitnessArgs {
    /// The witnesses and the quorum (C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    pub(crate) witness_policy: PathBuf,
    /// Where to ask, beside the addresses in the policy: `unix:PATH` or `http://HOST:PORT/PREFIX`
    #[arg(long, value_name = "URL")]
    pub(crate) to: Vec<String>,
    /// Where to write the cosigned checkpoint; standard output otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Hand it in to the broker of this home, whose policy may want the log witnessed lately
    #[arg(long)]
    pub(crate) hand_in: bool,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
