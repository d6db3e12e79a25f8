//! The direction of dependencies: `core ← host ← services ← doors`, never the other way.

use serde_json::Value;

/// What a crate of each layer may depend on, among the project's own crates.
const MAY_USE: [(&str, &[&str]); 5] = [
    ("core", &["core"]),
    ("host", &["core", "host"]),
    ("adapters", &["core", "host", "adapters"]),
    ("services", &["core", "host", "services"]),
    ("doors", &["core", "host", "services", "doors"]),
];

/// Dependencies that a layer does not allow and that have a reason.
const EXCEPTIONS: [(&str, &str, &str); 1] = [(
    "valetkey-guard",
    "valetkey-sheet",
    "the guard starts the worker and speaks its protocol; the work itself is done in the worker's process",
)];

/// Dependencies that point outward. `metadata` is what `cargo metadata --no-deps` prints.
#[must_use]
pub fn misplaced(metadata: &Value) -> Vec<String> {
    let packages = metadata.get("packages").and_then(Value::as_array);
    let packages: Vec<&Value> = packages.into_iter().flatten().collect();
    let layer_of = |name: &str| {
        packages
            .iter()
            .find(|package| text(package, "name") == name)
            .and_then(|package| layer(text(package, "manifest_path")))
    };
    let mut findings = Vec::new();
    for package in &packages {
        let name = text(package, "name");
        let Some(own) = layer(text(package, "manifest_path")) else {
            continue;
        };
        let Some((_, allowed)) = MAY_USE.iter().find(|(layer, _)| *layer == own) else {
            findings.push(format!("{name}: `crates/{own}` is not a layer"));
            continue;
        };
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for used in dependencies
            .into_iter()
            .flatten()
            .map(|used| text(used, "name"))
        {
            let excepted = EXCEPTIONS.iter().any(|(a, b, _)| *a == name && *b == used);
            if let Some(theirs) = layer_of(used)
                && !allowed.contains(&theirs)
                && !excepted
            {
                findings.push(format!(
                    "{name}: {own} must not depend on {theirs} ({used})"
                ));
            }
        }
    }
    findings
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value
        .get(member)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The layer of a crate, by where its manifest lies; the chores, tests and benches belong to none.
fn layer(manifest: &str) -> Option<&str> {
    let (_, below) = manifest.rsplit_once("/crates/")?;
    below.split('/').next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(place: &str, name: &str, uses: &[&str]) -> Value {
        let dependencies: Vec<Value> = uses.iter().map(|used| json!({"name": used})).collect();
        json!({"name": name, "manifest_path": format!("/w/{place}/Cargo.toml"), "dependencies": dependencies})
    }

    #[test]
    fn a_dependency_that_points_outward_is_found() {
        let metadata = json!({"packages": [
            package("crates/core/model", "model", &["serde"]),
            package("crates/core/policy", "policy", &["model", "store"]),
            package("crates/host/store", "store", &["model"]),
            package("crates/services/broker", "broker", &["policy", "store", "cli"]),
            package("crates/doors/cli", "cli", &["broker", "model"]),
            package("crates/services/guard", "valetkey-guard", &["valetkey-sheet"]),
            package("crates/adapters/sheet", "valetkey-sheet", &["store", "broker"]),
            package("crates/other/thing", "thing", &[]),
            package("xtask", "xtask", &["cli"]),
        ]});
        assert_eq!(
            misplaced(&metadata),
            [
                "policy: core must not depend on host (store)",
                "broker: services must not depend on doors (cli)",
                "valetkey-sheet: adapters must not depend on services (broker)",
                "thing: `crates/other` is not a layer",
            ]
        );
    }
}
