//! Prints the JSON Schema of an event, as it is kept in `schemas/audit-event.json`.

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() -> Result<(), serde_json::Error> {
    let text = serde_json::to_string_pretty(&valetkey_audit::schema())?;
    println!("{text}");
    Ok(())
}
