//! `valetkey-sheet`: a disposable, confined process that appends rows to one workbook.
//!
//! It is started by the guard, never by hand: see the library's `worker` module for what it expects.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    match valetkey_sheet::worker::serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
