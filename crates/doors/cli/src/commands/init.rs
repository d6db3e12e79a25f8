//! `valetkey init`: the policy that this person's sessions have where none is named.

use std::path::{Path, PathBuf};

use valetkey_policy::{Bundle, BundleLimits, PolicySet, STARTER_NAMES, starter_purpose};

use super::policy::write_starter;
use super::run::read_bundle;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out::{self, Style, styled};
use crate::policy_args::InitArgs;

/// The directory of a person's own policy, below that of their configuration, which no view shows.
const POLICY: &str = "policy";

/// Shows the choice, or makes it.
pub(crate) fn command(args: &InitArgs) -> Result<(), Fail> {
    let dir = home::paths()?.config.join(POLICY);
    let Some(name) = &args.policy else {
        show(&dir);
        return Ok(());
    };
    if name == "guardrails" {
        return Err(Fail::new(
            Status::Usage,
            "the guardrails hold in any case: choose what may grant",
        ));
    }
    let parent = dir.parent().unwrap_or(&dir);
    std::fs::create_dir_all(parent).map_err(|error| unwritable(&dir, &error))?;
    let fresh = beside(&dir, "new");
    write_starter(name, &fresh)?;
    let placed = place(&fresh, &dir, args.replace);
    if placed.is_err() {
        // What is left behind is a copy of what is built in.
        drop(std::fs::remove_dir_all(&fresh));
    }
    if let Some(kept) = placed? {
        out::line(&format!("what was there is in {}", kept.display()));
    }
    out::line(&format!(
        "{name} is in {}: sessions have it where none is named",
        dir.display()
    ));
    out::line(
        "`valetkey policy check` and `valetkey policy test` with that directory, after you have changed it",
    );
    Ok(())
}

/// Puts the new directory in its place, and gives where the old one is now.
fn place(fresh: &Path, dir: &Path, replace: bool) -> Result<Option<PathBuf>, Fail> {
    let there = std::fs::symlink_metadata(dir).is_ok();
    if there && !replace {
        return Err(Fail::new(
            Status::Failed,
            format!("there is a policy in {}", dir.display()),
        )
        .hinted("--replace puts another in its place and keeps the old one beside it"));
    }
    let kept = there.then(|| beside(dir, "old"));
    if let Some(kept) = &kept {
        std::fs::rename(dir, kept).map_err(|error| unwritable(dir, &error))?;
    }
    std::fs::rename(fresh, dir).map_err(|error| unwritable(dir, &error))?;
    Ok(kept)
}

fn beside(dir: &Path, what: &str) -> PathBuf {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    dir.with_file_name(format!("{POLICY}.{what}.{ms}"))
}

fn unwritable(dir: &Path, error: &std::io::Error) -> Fail {
    Fail::new(
        Status::Failed,
        format!("cannot write {}: {error}", dir.display()),
    )
}

fn show(dir: &Path) {
    for name in STARTER_NAMES.iter().filter(|name| **name != "guardrails") {
        let purpose = starter_purpose(name).unwrap_or_default();
        out::line(&format!(
            "{} {purpose}",
            styled(Style::Bold, &format!("{name:<14}"))
        ));
    }
    let now = if std::fs::symlink_metadata(dir).is_ok() {
        format!("sessions have the policy in {}", dir.display())
    } else {
        "sessions have `base`; `valetkey init NAME` chooses another".to_owned()
    };
    out::line(&now);
}

/// The policy that this person chose, for a session that names none. One that is there and is not sound is no choice: nothing is started
/// with another in its place.
pub(crate) fn chosen() -> Result<Option<PathBuf>, Fail> {
    let dir = home::paths()?.config.join(POLICY);
    match std::fs::symlink_metadata(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fail::new(
            Status::Failed,
            format!("cannot look at the policy {}: {error}", dir.display()),
        )),
        Ok(_) => {
            let files = read_bundle(&dir)?;
            let files = files
                .into_iter()
                .map(|file| (file.path, file.text.into_bytes()));
            Bundle::from_files(files.collect(), BundleLimits::default())
                .and_then(|bundle| PolicySet::new(&bundle))
                .map_err(|error| {
                    Fail::new(Status::Usage, format!("{}/{error}", dir.display()))
                        .hinted("mend it, or choose another with `valetkey init NAME --replace`")
                })?;
            Ok(Some(dir))
        }
    }
}
