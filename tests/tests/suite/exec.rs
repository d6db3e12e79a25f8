//! Programs that are granted by their content: they run as they were, are recorded with their digest, and nothing beside them is given.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use valetkey_tests::Home;

use super::needs_cells;

const SOON: Duration = Duration::from_secs(30);

/// A program outside of the home, where the built-in policy asks nobody.
fn program(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.outside(name);
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("make");
    std::fs::write(&path, text).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
    path
}

fn digest(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("read");
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

#[test]
fn a_granted_program_runs_until_its_content_changes() {
    needs_cells!();
    let home = Home::new();
    let tool = program(&home, "tools/tool", "#!/bin/sh\necho \"ran $1\"\n");
    let native = home.outside("tools/native");
    std::fs::copy("/bin/echo", &native).expect("copy");
    program(&home, "tools/other", "#!/bin/sh\necho other\n");
    let known = digest(&tool);
    let script = format!(
        "cd {0}; ./tool one; ./native two; ./other 2>/dev/null || echo no other; ls; (echo x >> tool) 2>/dev/null || echo not written; \
         read go; ./tool three 2>/dev/null || echo refused; ./native four; grep -c 'content changed' /run/valetkey/denials.json",
        home.outside("tools").display()
    );
    let grants = [
        format!("exec:{}=execute", tool.display()),
        format!("exec:{}=execute", native.display()),
    ];
    let mut running = home
        .run(
            &["--grant", &grants[0], "--grant", &grants[1]],
            &["sh", "-c", &script],
        )
        .open_input()
        .start();
    running.wait_for("not written", SOON);
    std::fs::write(&tool, "#!/bin/sh\necho changed\n").expect("write");
    running.write(b"go\n");
    let ended = running.finish(SOON).ok();
    let text = ended.text().replace('\r', "");
    assert!(
        text.starts_with("ran one\ntwo\nno other\nnative\ntool\nnot written\n"),
        "{text} {}",
        ended.errors()
    );
    let after = text.split("not written\n").nth(1).expect("the rest");
    let lines: Vec<&str> = after.lines().filter(|line| *line != "go").collect();
    assert_eq!(lines[..2], ["refused", "four"], "{text}");
    assert!(
        lines[2].parse::<u32>().is_ok_and(|count| count > 0),
        "{text}"
    );

    let performed = home.events("operation.performed");
    let of_tool: Vec<_> = performed
        .iter()
        .filter(|event| event["evidence"]["file_hash"] == known.as_str())
        .collect();
    assert!(
        of_tool
            .iter()
            .any(|event| event["action"].to_string().contains("execute")),
        "{performed:?}"
    );
    home.verify();
}

#[test]
fn a_program_of_another_content_is_not_the_one_that_was_granted() {
    needs_cells!();
    let home = Home::new();
    let tool = program(&home, "tools/tool", "#!/bin/sh\necho ran\n");
    for (pin, runs) in [
        (digest(&tool), true),
        (format!("sha256:{}", "0".repeat(64)), false),
    ] {
        let grant = format!("exec:{}#{pin}=execute", tool.display());
        let script = format!(
            "{} 2>/dev/null || echo refused; cat {} >/dev/null 2>&1 || echo unread",
            tool.display(),
            tool.display()
        );
        let ended = home
            .run(&["--grant", &grant], &["sh", "-c", &script])
            .done()
            .ok();
        let wanted = if runs { "ran\n" } else { "refused\nunread\n" };
        assert_eq!(ended.text().replace('\r', ""), wanted, "{}", ended.errors());
    }
    let secret = home.write(".ssh/id_rsa", "#!/bin/sh\necho secret\n");
    let grant = format!("exec:{}=execute", secret.display());
    assert_eq!(home.run(&["--grant", &grant], &["true"]).done().code(), 3);
}

#[test]
fn a_policy_decides_by_the_content_of_a_program() {
    needs_cells!();
    let home = Home::new();
    let good = program(&home, "tools/good", "#!/bin/sh\necho good\n");
    let bad = program(&home, "tools/bad", "#!/bin/sh\necho bad\n");
    let policy = "package valetkey\n\ndecision := {\"effect\": \"allow\", \"policy_id\": \"tools\", \"ttl_seconds\": 3600} if {\n\tinput.resource.scheme == \"exec\"\n\tinput.resource.digest in data.tools\n} else := {\"effect\": \"deny\", \"policy_id\": \"tools\"}\n";
    home.write("policy/policy.rego", policy);
    home.write(
        "policy/data.json",
        json!({"tools": [digest(&good)]}).to_string(),
    );
    let bundle = home.path("policy");
    let (good, bad) = (good.display(), bad.display());
    let script = format!(
        "for tool in {good} {bad}; do valetkey ask exec:$tool=execute >/dev/null 2>&1 && $tool; echo $?; done; {bad} 2>/dev/null || echo refused"
    );
    let options = ["--policy".as_ref(), bundle.as_os_str()];
    let ended = home.run(&options, &["sh", "-c", &script]).done().ok();
    assert_eq!(
        ended.text().replace('\r', ""),
        "good\n0\n3\nrefused\n",
        "{}",
        ended.errors()
    );
}

#[test]
fn a_session_executes_the_commands_that_were_named() {
    needs_cells!();
    let home = Home::new();
    let work = home.path("work");
    home.make_dir(&work);
    let tool = home.write("work/tool", "#!/bin/sh\necho tool\n");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let script = "cat /etc/hostname >/dev/null && echo cat; id >/dev/null 2>&1 && echo id; ./tool 2>/dev/null && echo tool; valetkey ask file:/x=read >/dev/null 2>&1; echo $?";
    let options = [
        "--workspace".as_ref(),
        work.as_os_str(),
        "--commands".as_ref(),
        "cat".as_ref(),
    ];
    let ended = home
        .run(&options, &["sh", "-c", script])
        .cwd(&work)
        .done()
        .ok();
    assert_eq!(
        ended.text().replace('\r', ""),
        "cat\n3\n",
        "{}",
        ended.errors()
    );
    let opened = home.events("session.opened").pop().expect("an event");
    assert!(
        opened["attributes"]["posture"]
            .to_string()
            .contains("2 commands of the system alone"),
        "{opened}"
    );
    for bad in ["no-such-command", "/etc/passwd"] {
        assert_eq!(
            home.run(&["--commands", bad], &["true"]).done().code(),
            2,
            "{bad}"
        );
    }
}
