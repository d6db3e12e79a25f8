//! Prints a schema or a door's description by the name of its file in `schemas/`.

use std::process::ExitCode;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what this program is for"
)]
fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let made = match name.as_str() {
        "policy-input" => Some(valetkey_model::policy_input_schema()),
        "policy-decision" => Some(valetkey_model::policy_decision_schema()),
        other => other
            .strip_prefix("openapi-")
            .and_then(valetkey_api::openapi),
    };
    match made.map(|value| serde_json::to_string_pretty(&value)) {
        Some(Ok(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!(
                "usage: print_schema policy-input | policy-decision | openapi-agent | openapi-guard | openapi-operator"
            );
            ExitCode::from(2)
        }
    }
}
