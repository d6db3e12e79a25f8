//! `valetkey`: the program that people run.
#![forbid(unsafe_code)]

mod agent_args;
mod agents;
mod approver;
mod args;
mod commands;
mod demo;
mod doctor;
mod fail;
mod grant;
mod home;
mod install;
mod learn;
mod out;
mod policy_args;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; clap knows where each belongs.
            drop(error.print());
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match commands::dispatch(args) {
        Ok(status) => ExitCode::from(status),
        Err(fail) => {
            fail.print();
            ExitCode::from(fail.status())
        }
    }
}
