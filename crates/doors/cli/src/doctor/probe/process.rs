//! Probes of processes, privilege and environment: who one is, whom one sees, what came in with one.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Answer, Probe, Wall, probe, unless};
use crate::doctor::aim::{self, Aim, DECOY, VARIABLE};

/// Whoever has no number in a user namespace is shown with this one (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

pub(super) const PROBES: &[Probe] = &[
    probe(
        "namespace_user",
        "be in the host's user namespace",
        Wall::Namespaces,
        |aim| shared(aim, "user"),
    ),
    probe(
        "namespace_mount",
        "be in the host's mount namespace",
        Wall::Namespaces,
        |aim| shared(aim, "mnt"),
    ),
    probe(
        "namespace_pid",
        "be in the host's process namespace",
        Wall::Namespaces,
        |aim| shared(aim, "pid"),
    ),
    probe(
        "namespace_net",
        "be in the host's network namespace",
        Wall::Namespaces,
        |aim| shared(aim, "net"),
    ),
    probe(
        "namespace_ipc",
        "be in the host's ipc namespace",
        Wall::Namespaces,
        |aim| shared(aim, "ipc"),
    ),
    probe(
        "namespace_uts",
        "be in the host's uts namespace",
        Wall::Namespaces,
        |aim| shared(aim, "uts"),
    ),
    probe(
        "namespace_cgroup",
        "be in the host's cgroup namespace",
        Wall::Namespaces,
        |aim| shared(aim, "cgroup"),
    ),
    // Root alone owns the system's files, so of anybody else this shows nothing.
    probe(
        "system_owner",
        "be the owner of the system's files",
        Wall::Privilege,
        |_| {
            let own = rustix::process::geteuid().as_raw();
            let owner = fs::metadata("/usr").map(|meta| meta.uid());
            let is_own = owner.is_ok_and(|owner| owner == own && owner != NOBODY);
            unless(
                is_own.then(|| "they are one's own".to_owned()),
                "they are somebody else's",
            )
        },
    ),
    probe(
        "process_seen",
        "see a process of the host",
        Wall::Namespaces,
        |aim| {
            let seen = aim::started(aim.process).is_ok_and(|started| started == aim.started);
            unless(seen.then(|| "it is there".to_owned()), "no such process")
        },
    ),
    probe(
        "process_signal",
        "send a signal to a process of the host",
        Wall::Namespaces,
        |aim| {
            let seen = aim::started(aim.process).is_ok_and(|started| started == aim.started);
            let pid = i32::try_from(aim.process)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            // With no signal: only whether one could be sent.
            let sent = pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
            unless(
                (seen && sent).then(|| "it could be".to_owned()),
                "nobody there",
            )
        },
    ),
    probe(
        "process_memory",
        "open the memory of a process of the host",
        Wall::Namespaces,
        |aim| {
            let seen = aim::started(aim.process).is_ok_and(|started| started == aim.started);
            let opened = fs::File::open(format!("/proc/{}/mem", aim.process)).is_ok();
            unless(
                (seen && opened).then(|| "opened".to_owned()),
                "nobody there",
            )
        },
    ),
    probe(
        "capabilities",
        "hold a capability of the kernel",
        Wall::Privilege,
        |_| {
            let status = status();
            let held = ["CapInh", "CapPrm", "CapEff", "CapAmb"]
                .into_iter()
                .find(|name| {
                    value(&status, name).is_none_or(|value| !value.trim_matches('0').is_empty())
                });
            unless(
                held.map(|name| format!("{name} is not empty")),
                "every set is empty",
            )
        },
    ),
    probe(
        "bounding_set",
        "have a capability left to be gained",
        Wall::Privilege,
        |_| {
            let held =
                value(&status(), "CapBnd").is_none_or(|value| !value.trim_matches('0').is_empty());
            unless(
                held.then(|| "the bounding set is not empty".to_owned()),
                "the bounding set is empty",
            )
        },
    ),
    probe(
        "new_privileges",
        "gain privilege by executing a program",
        Wall::Privilege,
        |_| {
            let can = value(&status(), "NoNewPrivs").as_deref() != Some("1");
            unless(
                can.then(|| "no_new_privs is not set".to_owned()),
                "no_new_privs is set",
            )
        },
    ),
    probe(
        "filter",
        "make calls without a filter",
        Wall::Seccomp,
        |_| {
            let free = value(&status(), "Seccomp").as_deref() != Some("2");
            unless(
                free.then(|| "there is no filter".to_owned()),
                "a filter is in force",
            )
        },
    ),
    probe("core_dump", "leave a core dump", Wall::Privilege, |_| {
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let hard = line
            .and_then(|line| line.split_whitespace().nth(5))
            .unwrap_or("unlimited");
        unless(
            (hard != "0").then(|| format!("up to {hard}")),
            "none, and the limit cannot be raised",
        )
    }),
    probe(
        "variable",
        "find a credential in the environment",
        Wall::Environment,
        |_| {
            let found = std::env::vars_os()
                .any(|(name, value)| name == VARIABLE || value.to_string_lossy().contains(DECOY));
            unless(found.then(|| "it is there".to_owned()), "it was scrubbed")
        },
    ),
    probe(
        "descriptor",
        "read from a descriptor that was left open",
        Wall::Environment,
        |_| {
            let found = (3..64).find(|number| {
                fs::read_to_string(format!("/proc/self/fd/{number}"))
                    .is_ok_and(|text| text.contains(DECOY))
            });
            unless(
                found.map(|number| format!("descriptor {number}")),
                "none is open",
            )
        },
    ),
    probe(
        "host_name",
        "learn the machine's name",
        Wall::Namespaces,
        |_| {
            let name = rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned();
            unless((name != "cell").then_some(name), "it is `cell`")
        },
    ),
];

fn shared(aim: &Aim, kind: &str) -> Answer {
    let (own, host) = (aim::namespaces(), &aim.namespaces);
    match (own.get(kind), host.get(kind)) {
        (Some(own), Some(host)) if own != host => Answer::Held("another one".to_owned()),
        (Some(_), Some(_)) => Answer::Through("the same one".to_owned()),
        _ => Answer::Through("it cannot be told".to_owned()),
    }
}

fn status() -> String {
    fs::read_to_string("/proc/self/status").unwrap_or_default()
}

/// A field of a `status` file of `/proc`.
pub(in crate::doctor) fn value(status: &str, name: &str) -> Option<String> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim().to_owned())
    })
}
