//! `valetkey policy starters`: the built-in policies, and a copy of one to begin with.

use std::path::Path;

use valetkey_policy::{STARTER_NAMES, starter_files, starter_purpose};

use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};

pub(super) fn command(name: Option<&str>, out: Option<&Path>) -> Result<u8, Fail> {
    let (Some(name), Some(dir)) = (name, out) else {
        for name in STARTER_NAMES {
            let purpose = starter_purpose(name).unwrap_or_default();
            out::line(&format!(
                "{} {purpose}",
                styled(Style::Bold, &format!("{name:<14}"))
            ));
        }
        return Ok(0);
    };
    write(name, dir)?;
    out::line(&format!("{name} is in {}", dir.display()));
    Ok(0)
}

/// Writes a built-in policy's files to a directory that is not there yet.
pub(crate) fn write(name: &str, dir: &Path) -> Result<(), Fail> {
    let files = starter_files(name).ok_or_else(|| {
        Fail::new(
            Status::Usage,
            format!("there is no built-in policy `{name}`"),
        )
        .hinted(format!("there are: {}", STARTER_NAMES.join(", ")))
    })?;
    let fail = |error: std::io::Error| {
        Fail::new(
            Status::Failed,
            format!("cannot write to {}: {error}", dir.display()),
        )
    };
    // A directory that is there is somebody's work.
    std::fs::create_dir(dir).map_err(fail)?;
    for (path, text) in files {
        std::fs::write(dir.join(path), text).map_err(fail)?;
    }
    Ok(())
}
