//! The demonstration's agent: a program in a cell that does its task and then tries what it must not. It prints one JSON object a line.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use valetkey_api::{Client, ClientError};

use crate::fail::{Fail, Status};
use crate::out;

/// The door in the cell.
const DOOR: &str = "/run/valetkey/agent.sock";
/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_millis(500);

/// Does everything, and says what came of it.
pub(crate) fn run(folder: &Path, listener: u16) -> Result<u8, Fail> {
    let report = folder.join("Reports/QuarterlyReport.xlsx");
    let ledger = folder.join("Reports/Ledger.xlsm");
    say(
        "read_report",
        fs::read(&report).map(|bytes| bytes.len().to_string()),
    );
    let mut door =
        Client::connect(Path::new(DOOR)).map_err(|error| Fail::new(Status::Failed, error))?;
    say_call("append", append(&mut door, &report, 1, None));
    replay(&mut door, &report);
    say_call("too_many_rows", append(&mut door, &report, 51, None));
    say_call("macros", append(&mut door, &ledger, 1, None));
    say("ssh_key", read(&folder.join("../.ssh/id_ed25519")));
    say("env_file", read(&folder.join(".env")));
    say("symlink_out", read(&folder.join("Reports/Forecast.xlsx")));
    say(
        "write_report",
        File::options()
            .write(true)
            .truncate(true)
            .open(&report)
            .and_then(|mut file| file.write_all(b"gone"))
            .map(|()| String::new()),
    );
    say(
        "network_loopback",
        connect(SocketAddr::from(([127, 0, 0, 1], listener))),
    );
    say(
        "network_outside",
        connect(SocketAddr::from(([192, 0, 2, 1], 80))),
    );
    expired(&mut door, &report);
    say("denials", fs::read_to_string("/run/valetkey/denials.json"));
    Ok(0)
}

/// Uses a capability that was good for one use a second time.
fn replay(door: &mut Client, report: &Path) {
    let first = request(door, report, json!({"single_use": true}));
    let Some(id) = first.as_ref().ok().and_then(capability_id) else {
        say_call("single_use", first);
        return;
    };
    say_call("single_use", append(door, report, 1, Some(&id)));
    say_call("replayed", append(door, report, 1, Some(&id)));
}

/// Uses a capability after its end.
fn expired(door: &mut Client, report: &Path) {
    let granted = request(door, report, json!({"max_rows": 1}));
    let Some(id) = granted.as_ref().ok().and_then(capability_id) else {
        say_call("expired", granted);
        return;
    };
    let ends = granted.ok().and_then(|value| {
        value
            .pointer("/capability/expires_at")
            .and_then(Value::as_str)
            .map(str::to_owned)
    });
    wait_until(ends.as_deref());
    say_call("expired", append(door, report, 1, Some(&id)));
}

fn wait_until(end: Option<&str>) {
    let Some(end) = end.and_then(|text| text.parse::<valetkey_model::Timestamp>().ok()) else {
        return;
    };
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let now = valetkey_model::Timestamp::from_unix_ms(u64::try_from(now.as_millis()).unwrap_or(0));
    std::thread::sleep(Duration::from_millis(end.ms_since(now).saturating_add(200)));
}

fn request(door: &mut Client, report: &Path, constraints: Value) -> Result<Value, ClientError> {
    let ask = json!({
        "resource": resource(report), "actions": ["append"], "constraints": constraints,
        "justification": "one more row for the report",
    });
    let state: Value = door.post("/v1/requests", &ask)?;
    let text = |name: &str| state.get(name).and_then(Value::as_str);
    match (text("state"), text("request_id")) {
        (Some("pending"), Some(id)) => door.get(&format!("/v1/requests/{id}?wait=50")),
        _ => Ok(state),
    }
}

fn append(
    door: &mut Client,
    file: &Path,
    rows: usize,
    capability: Option<&str>,
) -> Result<Value, ClientError> {
    let row = json!([
        "2026-01-17",
        "North",
        "=HYPERLINK(\"http://evil\")",
        3,
        1250.5
    ]);
    let sheet = if file.extension().is_some_and(|end| end == "xlsm") {
        "Entries"
    } else {
        "Sales"
    };
    let mut operation = json!({
        "operation": "sheet.append_rows", "resource": resource(file), "sheet": sheet, "rows": vec![row; rows],
        "justification": "bring the report up to date",
    });
    if let (Some(id), Some(members)) = (capability, operation.as_object_mut()) {
        members.insert("capability_id".to_owned(), json!(id));
    }
    door.post("/v1/operations", &operation)
}

fn resource(path: &Path) -> String {
    valetkey_model::Resource::file(path)
        .map(|resource| resource.to_string())
        .unwrap_or_default()
}

fn capability_id(state: &Value) -> Option<String> {
    state
        .pointer("/capability/capability_id")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn connect(address: SocketAddr) -> std::io::Result<String> {
    TcpStream::connect_timeout(&address, CONNECT_TIME).map(|_| String::new())
}

fn say(step: &str, result: std::io::Result<String>) {
    match result {
        Ok(value) => tell(&json!({"step": step, "done": true, "value": value})),
        Err(error) => tell(&json!({"step": step, "done": false, "reason": error.to_string()})),
    }
}

fn say_call(step: &str, result: Result<Value, ClientError>) {
    match result {
        Ok(value) => tell(&json!({"step": step, "done": true, "value": value})),
        Err(ClientError::Problem(problem)) => {
            tell(
                &json!({"step": step, "done": false, "reason": problem.detail, "kind": problem.kind}),
            );
        }
        Err(error) => tell(
            &json!({"step": step, "done": false, "reason": error.to_string(), "kind": "broken"}),
        ),
    }
}

fn tell(value: &Value) {
    out::line(&value.to_string());
}
