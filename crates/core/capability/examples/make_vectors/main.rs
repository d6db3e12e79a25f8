//! Writes the token vectors of `vectors/capability/`; the same run writes the same bytes.
//!
//! `cargo run -p valetkey-capability --example make_vectors`

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "makes test data from constants: whatever fails here must stop the generator"
)]

use std::path::Path;
use std::process::ExitCode;

mod vectors;

#[expect(clippy::print_stderr, reason = "a program that is run by hand")]
fn main() -> ExitCode {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(vectors::DIRECTORY);
    for (name, text) in vectors::files() {
        let path = directory.join(name);
        if let Err(error) = std::fs::write(&path, text) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
