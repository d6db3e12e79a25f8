//! The JSON Schemas that are made from the types and checked in.

use std::fs;

use crate::cargo::Cargo;

/// A schema: the file, and the example that prints it.
struct Schema {
    file: &'static str,
    package: &'static str,
    /// What the example is told to print, where it knows several.
    argument: Option<&'static str>,
}

const SCHEMAS: &[Schema] = &[
    Schema {
        file: "schemas/audit-event.json",
        package: "valetkey-audit",
        argument: None,
    },
    of_api("schemas/policy-input.json", "policy-input"),
    of_api("schemas/policy-decision.json", "policy-decision"),
    of_api("schemas/openapi-agent.json", "openapi-agent"),
    of_api("schemas/openapi-guard.json", "openapi-guard"),
    of_api("schemas/openapi-operator.json", "openapi-operator"),
];

const fn of_api(file: &'static str, argument: &'static str) -> Schema {
    Schema {
        file,
        package: "valetkey-api",
        argument: Some(argument),
    }
}

/// Writes every schema anew.
///
/// # Errors
/// When one cannot be made or written.
pub fn write(cargo: &Cargo) -> Result<(), String> {
    for schema in SCHEMAS {
        let text = made(cargo, schema)?;
        let path = cargo.root().join(schema.file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The schemas that are not as the types make them.
#[must_use]
pub fn stale(cargo: &Cargo) -> Vec<String> {
    SCHEMAS
        .iter()
        .filter_map(|schema| {
            let kept = fs::read_to_string(cargo.root().join(schema.file)).unwrap_or_default();
            match made(cargo, schema) {
                Ok(text) if text == kept => None,
                Ok(_) => Some(format!(
                    "{}: not up to date; run `cargo xtask schemas`",
                    schema.file
                )),
                Err(reason) => Some(format!("{}: cannot be made: {reason}", schema.file)),
            }
        })
        .collect()
}

fn made(cargo: &Cargo, schema: &Schema) -> Result<String, String> {
    let mut args = vec![
        "run",
        "--quiet",
        "--package",
        schema.package,
        "--features",
        "schema",
        "--example",
        "print_schema",
    ];
    args.extend(schema.argument.iter().flat_map(|name| ["--", name]));
    cargo.output(&args)
}
