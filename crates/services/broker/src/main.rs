//! `valetkeyd`: the broker's process.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = valetkey_broker::Options::read(std::env::args().skip(1));
    match options.and_then(valetkey_broker::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever started us on demand reads this line and shows it.
            let line = format!("error: {error}\n");
            let _unheard = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
            let _unheard = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
            ExitCode::FAILURE
        }
    }
}
