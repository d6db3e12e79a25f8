//! What a confined daemon can still do: keep files in its own directories and speak over Unix sockets.

use crate::support::{As, everybody, program};

fn service(who: As, action: &str, confined: bool) -> Option<i32> {
    let place = format!(
        "/tmp/service-test-{}-{who:?}-{action}-{confined}",
        std::process::id()
    );
    std::fs::create_dir_all(&place).expect("a directory");
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("its mode");
    let mut arguments = vec![place.as_str(), action];
    if !confined {
        arguments.push("unconfined");
    }
    let status = program(who, "service", &arguments)
        .status()
        .expect("run")
        .code();
    drop(std::fs::remove_dir_all(&place));
    drop(std::fs::remove_file(format!("{place}.outside")));
    status
}

#[test]
fn its_own_work_goes_on() {
    for who in everybody() {
        for action in ["own-file", "own-socket", "thread", "proc"] {
            assert_eq!(service(who, action, true), Some(0), "{who:?} {action}");
        }
    }
}

#[test]
fn everything_else_is_refused_and_would_be_done_otherwise() {
    for who in everybody() {
        for action in [
            "other-read",
            "other-write",
            "run",
            "listen",
            "connect",
            "udp",
        ] {
            assert_eq!(service(who, action, true), Some(1), "{who:?} {action}");
            assert_eq!(
                service(who, action, false),
                Some(0),
                "{who:?} {action} unconfined"
            );
        }
    }
}
