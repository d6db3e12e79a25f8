//! Giving up privilege, and reading back from the kernel that it is gone.

use std::fs;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};
use valetkey_sys::fork::unshare_user_namespace;
use valetkey_sys::privilege::{drop_bounding_set, join_new_session_keyring};

use super::{Plan, mounts, namespaces};
use crate::error::{AtStep, Fault, Step};
use crate::host_user::HostUser;
use crate::limits::Held as HeldLimits;
use crate::posture::Posture;
use crate::seccomp;

/// Enters the second user namespace, in which the user has their own ids and the cell's mounts belong
/// to somebody else, drops every capability there, and tells what the kernel says about it.
pub(super) fn give_up(
    plan: &Plan<'_>,
    host_user: HostUser,
    namespaces_frozen: bool,
    covered_proc: Vec<String>,
) -> Result<Posture, Fault> {
    unshare_user_namespace().at(Step::SecondUserNamespace, "")?;
    set_dumpable_behavior(DumpableBehavior::Dumpable).at(Step::SecondUserNamespace, "dumpable")?;
    namespaces::map_user(plan.spec.uid, 0, plan.spec.gid, 0)?;
    let own_keyring = join_new_session_keyring().is_ok();
    set_capabilities_secure_bits(secure_bits()).at(Step::DropPrivilege, "secure bits")?;
    drop_bounding_set().at(Step::DropPrivilege, "bounding set")?;
    clear_capabilities()?;
    set_no_new_privs(true).at(Step::DropPrivilege, "no_new_privs")?;
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, no_core).at(Step::DropPrivilege, "core size")?;
    // Read while it may be: what is not dumpable may not be looked at, not even by itself.
    let status = fs::read_to_string("/proc/self/status").at(Step::DropPrivilege, "status")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropPrivilege, "dumpable")?;
    namespaces::end_with_guard()?;
    let posture = Posture {
        kernel: namespaces::kernel(),
        namespaces: ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"]
            .map(str::to_owned)
            .into(),
        landlock_abi: plan.version.number(),
        seccomp_profile: seccomp::AGENT.name.to_owned(),
        seccomp_allowed: seccomp::AGENT.allowed_count(),
        no_new_privs: field(&status, "NoNewPrivs").is_some_and(|value| value == "1"),
        no_capabilities: capabilities_empty(&status),
        namespaces_frozen,
        own_keyring,
        processes_max: getrlimit(Resource::Nproc)
            .current
            .filter(|_| host_user != HostUser::Superuser),
        host_user,
        limits: HeldLimits::default(),
        covered_proc,
        fuse_connections: mounts::fuse_connections(plan.spec),
    };
    if !posture.no_new_privs || !posture.no_capabilities {
        return Err(Fault::new(
            Step::DropPrivilege,
            "the kernel kept a privilege",
        ));
    }
    Ok(posture)
}

/// Empties the permitted, effective, inheritable and ambient sets.
pub(crate) fn clear_capabilities() -> Result<(), Fault> {
    clear_ambient_capability_set().at(Step::DropPrivilege, "ambient set")?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).at(Step::DropPrivilege, "capabilities")
}

/// Being, or becoming, user 0 gives no capability, and none can be kept or raised; locked.
fn secure_bits() -> CapabilitiesSecureBits {
    CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED
}

fn capabilities_empty(status: &str) -> bool {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .all(|name| {
            field(status, name).is_some_and(|value| u64::from_str_radix(value, 16) == Ok(0))
        })
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_capability_left_anywhere_is_seen() {
        let none = "CapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t0\nCapAmb:\t0\n";
        assert!(capabilities_empty(none));
        assert!(!capabilities_empty(
            &none.replace("CapBnd:\t0", "CapBnd:\t200000")
        ));
        assert!(!capabilities_empty(&none.replace("CapAmb:\t0\n", "")));
    }
}
