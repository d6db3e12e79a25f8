//! What this kernel has, and what keeps this user from it.

use std::fs;
use std::path::Path;

use super::finding::{Finding, State};

const SECTION: &str = "kernel";

/// Looks at every feature that a cell is made of.
pub(super) fn look() -> Vec<Finding> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    vec![
        Finding::new(SECTION, "release", "Linux", State::Note, release),
        user_namespaces(),
        apparmor(),
        landlock(),
        seccomp(),
        fuse(),
        pidfd(),
    ]
}

fn read(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

fn finding(id: &str, what: &str, holds: bool, detail: impl Into<String>) -> Finding {
    let state = if holds { State::Holds } else { State::Fails };
    Finding::new(SECTION, id, what, state, detail)
}

fn user_namespaces() -> Finding {
    let what = "users may make user namespaces";
    let root = rustix::process::geteuid().is_root();
    let most = read("/proc/sys/user/max_user_namespaces");
    let switched_off = read("/proc/sys/kernel/unprivileged_userns_clone").as_deref() == Some("0");
    let id = "user_namespaces";
    if !Path::new("/proc/self/ns/user").exists() {
        return finding(id, what, false, "this kernel has none")
            .mend("use a kernel with CONFIG_USER_NS");
    }
    if most.as_deref() == Some("0") {
        return finding(id, what, false, "user.max_user_namespaces is 0")
            .mend("run `sysctl user.max_user_namespaces=10000` as root");
    }
    if switched_off && !root {
        return finding(id, what, false, "kernel.unprivileged_userns_clone is 0")
            .mend("run `sysctl kernel.unprivileged_userns_clone=1` as root");
    }
    finding(
        id,
        what,
        true,
        most.map_or_else(String::new, |most| format!("up to {most}")),
    )
}

/// Ubuntu since 23.10: a program without a profile that says `userns,` gets a namespace in which it can do nothing.
fn apparmor() -> Finding {
    let what = "AppArmor leaves user namespaces to this program";
    let id = "apparmor";
    let restricts = read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
    let own = read("/proc/self/attr/apparmor/current").or_else(|| read("/proc/self/attr/current"));
    judge_apparmor(
        id,
        what,
        restricts.as_deref() == Some("1"),
        own.as_deref().unwrap_or(""),
        rustix::process::geteuid().is_root(),
    )
}

fn judge_apparmor(id: &str, what: &str, restricts: bool, own: &str, root: bool) -> Finding {
    let profiled = !own.is_empty() && !own.starts_with("unconfined");
    if !restricts {
        return finding(id, what, true, "it does not restrict them");
    }
    if root || profiled {
        return finding(id, what, true, "it restricts others");
    }
    finding(id, what, false, "kernel.apparmor_restrict_unprivileged_userns is 1, and this program has no profile").mend(
        "install the profile that comes with Valetkey: `sudo cp packaging/apparmor/valetkey /etc/apparmor.d/valetkey && sudo apparmor_parser -r /etc/apparmor.d/valetkey`, with the program at /usr/bin/valetkey",
    )
}

fn landlock() -> Finding {
    let what = "Landlock";
    match valetkey_sys::privilege::landlock_abi() {
        Ok(abi) if abi >= 6 => finding("landlock", what, true, format!("ABI {abi}")),
        Ok(abi) if abi >= 1 => {
            let detail = format!("ABI {abi}: without scopes for signals and sockets");
            Finding::new(SECTION, "landlock", what, State::Note, detail)
                .next("use Linux 6.12 or later for level `standard`")
        }
        Ok(abi) => finding("landlock", what, false, format!("ABI {abi}"))
            .mend("use a kernel of 5.13 or later, started with `landlock` in its `lsm=` list"),
        Err(error) => finding("landlock", what, false, error.to_string())
            .mend("use a kernel of 5.13 or later, started with `landlock` in its `lsm=` list"),
    }
}

fn seccomp() -> Finding {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    let holds = ["kill_process", "errno"]
        .iter()
        .all(|wanted| actions.split_whitespace().any(|action| action == *wanted));
    finding("seccomp", "filters of system calls", holds, actions)
        .mend("use a kernel with CONFIG_SECCOMP_FILTER")
}

fn fuse() -> Finding {
    let opened = fs::File::options().read(true).write(true).open("/dev/fuse");
    let detail = opened.as_ref().err().map(ToString::to_string);
    let absent = !Path::new("/dev/fuse").exists();
    let mend = if absent {
        "load the module as root with `modprobe fuse`"
    } else {
        "let users open it: install `udev`, or run `chmod 0666 /dev/fuse` as root"
    };
    finding(
        "fuse",
        "/dev/fuse opens",
        opened.is_ok(),
        detail.unwrap_or_default(),
    )
    .mend(mend)
}

fn pidfd() -> Finding {
    let own = rustix::process::pidfd_open(
        rustix::process::getpid(),
        rustix::process::PidfdFlags::empty(),
    );
    let detail = own
        .as_ref()
        .err()
        .map(ToString::to_string)
        .unwrap_or_default();
    finding(
        "pidfd",
        "processes are held by descriptor",
        own.is_ok(),
        detail,
    )
    .mend("use a kernel of 5.3 or later, outside of a container that filters `pidfd_open`")
}

/// Limits by cgroup are not used yet; whether they could be is worth knowing.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_restriction_of_ubuntu_is_told_with_the_step_that_lifts_it() {
        let judge = |restricts, own, root| judge_apparmor("apparmor", "x", restricts, own, root);
        let restricted = judge(true, "unconfined", false);
        assert_eq!(restricted.state, State::Fails);
        assert!(
            restricted
                .next
                .is_some_and(|step| step.contains("packaging/apparmor/valetkey"))
        );
        for (restricts, own, root) in [
            (false, "unconfined", false),
            (true, "valetkey (unconfined)", false),
            (true, "unconfined", true),
        ] {
            assert_eq!(
                judge(restricts, own, root).state,
                State::Holds,
                "{own} {root}"
            );
        }
    }
}
