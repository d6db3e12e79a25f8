//! A change of the policy in force, as it is shown to whoever signs it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use valetkey_api::{BundleFile, Client, PolicyFiles, PolicyState};
use valetkey_approval::{PolicyChange, PolicyStep, SafeText, SignedPolicyChange, SignedTests};
use valetkey_approver::{ApproverError, KeyFile, Unlocked, sign_policy};
use valetkey_model::Digest;
use valetkey_policy::{Bundle, BundleLimits, starter};
use valetkey_rollout::revision_of;

use super::archive::{self, Files};
use super::{bundle, diff};
use crate::approver::{self, Me};
use crate::args::SigningArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// The name of the form of a signature in a file.
const FORMAT: &str = "valetkey policy sign-off v1";
/// Most bytes of such a file, or of one with tests.
const FILE_MAX_BYTES: usize = 1 << 20;

/// A signature in a file, with what its signer was shown.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignOff {
    format: String,
    pub(super) approval: SignedPolicyChange,
    pub(super) difference: Vec<String>,
}

impl SignOff {
    pub(super) fn read(path: &Path) -> Result<Self, Fail> {
        let read: Self = read_json(path)?;
        if read.format == FORMAT {
            Ok(read)
        } else {
            Err(archive::refused(
                path,
                &"this is no signature under a policy",
            ))
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Fail> {
        write_json(path, self)
    }
}

/// Reads a JSON file.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Fail> {
    let bytes =
        archive::bounded(path, FILE_MAX_BYTES).map_err(|error| archive::refused(path, &error))?;
    valetkey_model::read_json(&bytes).map_err(|error| archive::refused(path, &error))
}

/// Writes a JSON file.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), Fail> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|error| archive::refused(path, &error))?;
    bytes.push(b'\n');
    valetkey_store::write_atomically(path, &bytes, 0o644)
        .map_err(|error| archive::refused(path, &error))
}

/// What is proposed.
pub(super) enum Target<'a> {
    Install(&'a Path),
    RollBack(u64),
}

/// A change, and what it changes in words.
pub(super) struct Proposal {
    pub(super) change: PolicyChange,
    pub(super) files: Vec<BundleFile>,
    pub(super) difference: Vec<String>,
    widens: bool,
}

/// Works out what would change, against what the broker has in force now.
pub(super) fn propose(
    operator: &mut Client,
    state: &PolicyState,
    target: &Target<'_>,
) -> Result<Proposal, Fail> {
    let rollout = &state.rollout;
    let (step, bundle, files) = match target {
        Target::Install(path) => {
            let files = archive::read(path)?;
            let bundle = bundle::load(path, &files)?;
            (PolicyStep::Install, bundle, texts(path, files)?)
        }
        Target::RollBack(revision) => {
            let files = installed(operator, Some(*revision))?.unwrap_or_default();
            let bundle = bundle::load(Path::new("what is installed"), &bytes(&files))?;
            (PolicyStep::RollBack, bundle, files)
        }
    };
    let live = match installed(operator, None)? {
        Some(files) => Bundle::from_files(bytes(&files), BundleLimits::default()),
        None => starter("base"),
    };
    let live = live.map_err(|error| Fail::new(Status::Failed, error))?;
    let revision = revision_of(&bundle.manifest().revision);
    let (difference, widens) = diff::in_words(&live, &bundle)?;
    Ok(Proposal {
        change: PolicyChange {
            step,
            bundle: bundle.digest(),
            revision: revision.map_err(|why| Fail::new(Status::Usage, why))?,
            previous: rollout.live.map(|live| live.bundle),
            sequence: rollout.next_sequence(),
        },
        files,
        difference,
        widens,
    })
}

fn installed(
    operator: &mut Client,
    revision: Option<u64>,
) -> Result<Option<Vec<BundleFile>>, Fail> {
    let path = match revision {
        Some(revision) => format!("/v1/policy/files?revision={revision}"),
        None => "/v1/policy/files".to_owned(),
    };
    let found: PolicyFiles = operator.get(&path)?;
    Ok(found.files)
}

fn texts(path: &Path, files: Files) -> Result<Vec<BundleFile>, Fail> {
    let text = |(name, content): (String, Vec<u8>)| {
        let text = String::from_utf8(content)
            .map_err(|_| archive::refused(path, &format_args!("`{name}` is not UTF-8 text")))?;
        Ok(BundleFile { path: name, text })
    };
    files.into_iter().map(text).collect()
}

fn bytes(files: &[BundleFile]) -> Files {
    let files = files.iter();
    files
        .map(|file| (file.path.clone(), file.text.clone().into_bytes()))
        .collect()
}

impl Proposal {
    /// Shows it, asks, and signs it.
    pub(super) fn sign(
        &self,
        operator: &mut Client,
        state: &PolicyState,
        args: &SigningArgs,
    ) -> Result<SignOff, Fail> {
        let tests = read_tests(&args.tests)?;
        self.show(&tests);
        confirm(args.yes)?;
        let me = me(operator, state, args)?;
        let own = |one: &&SignedTests| one.signed.bundle == self.change.bundle;
        let seen = tests.iter().find(own).map(SignedTests::digest);
        let seen: Option<Digest> = seen
            .transpose()
            .map_err(|error| Fail::new(Status::Usage, error))?;
        let change = self.change.clone();
        let approval = sign_policy(&me.key, &me.name, change, &self.difference, seen)?;
        Ok(SignOff {
            format: FORMAT.to_owned(),
            approval,
            difference: self.difference.clone(),
        })
    }

    /// On standard error: what it is that is signed, whatever else is printed.
    fn show(&self, tests: &[SignedTests]) {
        let change = &self.change;
        let what = match change.step {
            PolicyStep::Install => "install",
            PolicyStep::RollBack => "go back to",
        };
        let previous = change.previous.map_or_else(
            || "the built-in `base`".to_owned(),
            |digest| digest.to_string(),
        );
        out::error(&format!("{what} revision {}", change.revision));
        out::error(&format!("  bundle      {}", change.bundle));
        out::error(&format!("  in place of {previous}"));
        for line in &self.difference {
            out::error(&format!("  {}", SafeText::prose(line)));
        }
        out::error(match (self.difference.is_empty(), self.widens) {
            (true, _) => "  nothing that was tried is decided otherwise",
            (false, true) => "  MORE is given than now",
            (false, false) => "  nothing more is given than now",
        });
        for one in tests {
            let signed = &one.signed;
            let score = signed.mutants_permille;
            let score = score.map_or("not tried".to_owned(), permille);
            let text = format!(
                "  tests       {} passed, {} failed, {} of rules, changes noticed {score}; signed by {}{}",
                signed.passed,
                signed.failed,
                permille(signed.coverage_permille),
                signed.by,
                if signed.bundle == change.bundle {
                    ""
                } else {
                    "; OF ANOTHER BUNDLE"
                }
            );
            out::error(&SafeText::prose(&text).to_string());
        }
    }
}

fn permille(count: u32) -> String {
    format!("{}.{} %", count / 10, count % 10)
}

/// Signed tests in files.
pub(super) fn read_tests(paths: &[PathBuf]) -> Result<Vec<SignedTests>, Fail> {
    paths.iter().map(|path| read_json(path)).collect()
}

/// Asks at the terminal. Nobody to ask is no yes.
fn confirm(yes: bool) -> Result<(), Fail> {
    if yes {
        return Ok(());
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Fail::new(
            Status::Usage,
            "there is no terminal to ask at: nothing was signed",
        )
        .hinted("--yes signs what is shown without asking"));
    }
    let mut stderr = std::io::stderr().lock();
    drop(write!(stderr, "sign this? [y/N] ").and_then(|()| stderr.flush()));
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Fail::new(Status::Failed, "nothing was signed"))
}

/// The person's key, and the name by which those who govern policy know it.
pub(super) fn me(
    operator: &mut Client,
    state: &PolicyState,
    args: &SigningArgs,
) -> Result<Me, Fail> {
    let mut ask = approver::asker(args.passphrase.passphrase_fd)?;
    let paths = home::paths()?;
    let named = state.governance.iter().flat_map(|one| &one.approvers);
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return approver::me(operator, &paths, &mut *ask);
    }
    let file = KeyFile::load(&paths)?.ok_or(ApproverError::NoKey)?;
    let known = named
        .into_iter()
        .find(|one| one.public_key == file.public_key());
    let name = known.map(|one| one.name.clone()).ok_or_else(|| {
        Fail::new(
            Status::Denied,
            "your key is none of those that `governance.json` names: you cannot approve policy",
        )
    })?;
    let key: Unlocked = file.unlock(&mut *ask)?;
    Ok(Me { name, key })
}
