//! The command line of `valetkey policy bundle`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum BundleCommand {
    /// Make an archive of a directory, as OPA's bundles are
    Build(BuildArgs),
    /// Sign an archive or a directory, as `opa sign` does
    Sign(SignArgs),
    /// Say whether an archive or a directory is what was signed
    Verify(VerifyBundleArgs),
    /// Say what is in an archive or a directory
    Show(ShowBundleArgs),
    /// Make a key to sign bundles with
    Key {
        /// A new file for the secret part; its public part is printed
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeyArgs {
    /// The secret key: an Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The key's name, as whoever verifies knows it
    #[arg(long, value_name = "NAME", default_value = "bundle")]
    pub(crate) kid: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BuildArgs {
    /// The directory with the policy
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The archive to write, such as `team.tar.gz`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The revision to put into the manifest; each one that is installed must be higher than those before
    #[arg(long, value_name = "N")]
    pub(crate) revision: Option<u64>,
    /// Sign it with this key, as `bundle sign` does
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The key's name
    #[arg(long, value_name = "NAME", default_value = "bundle", requires = "key")]
    pub(crate) kid: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct SignArgs {
    /// The archive, which is written anew, or the directory, which gets a `.signatures.json`
    #[arg(value_name = "FILE|DIR")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 it is what was signed, 4 it is not, 2 usage.")]
pub(crate) struct VerifyBundleArgs {
    /// The archive or the directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) bundle: PathBuf,
    /// The public key: a PEM file, or the key itself in base64url
    #[arg(long, value_name = "FILE|KEY")]
    pub(crate) key: String,
    /// The key's name in the signature
    #[arg(long, value_name = "NAME", default_value = "bundle")]
    pub(crate) kid: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ShowBundleArgs {
    /// The archive or the directory
    #[arg(value_name = "FILE|DIR")]
    pub(crate) bundle: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
