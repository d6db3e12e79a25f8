//! `valetkey-desktop`: shows open questions, alerts and leases as desktop notifications, and opens the inbox from them.
//!
//! Two processes: this one knows the broker and the person, and starts programs; its child speaks D-Bus, and can do nothing else.
#![forbid(unsafe_code)]

mod board;
mod fail;
mod feed;
mod link;
mod opener;
mod speaker;
mod terminal;
mod text;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use crate::fail::Fail;

const USAGE: &str = "\
Show open questions, alerts, open reviews and leases as desktop notifications

Usage: valetkey-desktop

Runs until it is stopped, once for each home. Nothing is approved from a notification: its actions open the inbox, refuse, or end a lease.

Environment:
  VALETKEY_TERMINAL         the command that opens a terminal; the inbox's command is put after it
  VALETKEY_HOME, VALETKEY_MODE   whose broker, as for `valetkey`
  DBUS_SESSION_BUS_ADDRESS  the session bus

Exit status: 0 done, 1 failed, 2 usage.
";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = words.iter().filter_map(|word| word.to_str()).collect();
    let done = match words.as_slice() {
        [] => watch::run(),
        [link::SPEAKER] => speaker::run(),
        ["--help" | "-h"] => {
            print(&mut std::io::stdout(), USAGE);
            Ok(())
        }
        ["--version" | "-V"] => {
            let version = concat!("valetkey-desktop ", env!("CARGO_PKG_VERSION"), "\n");
            print(&mut std::io::stdout(), version);
            Ok(())
        }
        _ => Err(Fail::usage("valetkey-desktop takes no arguments").hinted("see --help")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            say(&fail.to_string());
            ExitCode::from(fail.status())
        }
    }
}

/// One line for whoever looks at this program's standard error.
pub(crate) fn say(line: &str) {
    print(&mut std::io::stderr(), &format!("{line}\n"));
}

fn print(to: &mut dyn std::io::Write, text: &str) {
    // Nobody is left to tell where it cannot be written.
    drop(to.write_all(text.as_bytes()));
    drop(std::io::stdout().flush());
}
