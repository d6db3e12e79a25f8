//! What is said of a refusal, so that the search for another way ends: the rule in words, whether asking can help, and how.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use valetkey_client::{Action, ActionSet, Problem};

use crate::access;

/// A refusal in the words of whoever refused.
pub(crate) fn words(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    text.push_str(if problem.requestable {
        "\nAsking can help: call `request_access` with a true reason."
    } else {
        "\nAsking again does not help: do not try other ways to the same thing. Work without it, or tell the person what you would need and why."
    });
    if let Some(how) = &problem.how_to_request {
        text.push_str("\nHow: ");
        text.push_str(how);
    }
    text
}

/// Whether an answer of the system may be a refusal of Valetkey's: a name that is not in the view answers as if it were not there.
pub(crate) fn may_be_refused(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::INTR)
    )
}

/// Whether the path is one that is granted to be looked at, so that "not there" means that.
pub(crate) fn is_visible(path: &Path) -> bool {
    let looks = [Action::Read, Action::List, Action::Metadata];
    looks
        .iter()
        .any(|look| access::is_given(path, ActionSet::of(&[*look])))
}

/// What is said of a path that nothing granted covers.
pub(crate) fn not_granted(path: &Path, took: Duration) -> String {
    let waited = if took > Duration::from_secs(1) {
        " A person may have been asked and not have said yes."
    } else {
        ""
    };
    format!(
        "Nothing that you were given covers {}, so you are not told whether it exists.{waited} If the task needs it, call `request_access` with this path, the actions and a true reason; `list_access` shows what you have.",
        path.display()
    )
}
