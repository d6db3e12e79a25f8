//! Probes of files: what no capability covers, and what of the system may not be changed.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Answer, Probe, Wall, unless, worked};
use crate::doctor::aim::{Aim, DECOY};

/// A short form for the table.
const fn probe(
    id: &'static str,
    tries: &'static str,
    wall: Wall,
    control: bool,
    attempt: fn(&Aim) -> Answer,
) -> Probe {
    Probe {
        id,
        tries,
        wall,
        control,
        attempt,
    }
}

pub(super) const PROBES: &[Probe] = &[
    probe(
        "file_outside",
        "read a file outside of what is given",
        Wall::View,
        true,
        |aim| decoy(&aim.outside.join("decoy")),
    ),
    probe(
        "folder_outside",
        "list a folder outside of what is given",
        Wall::View,
        true,
        |aim| worked(fs::read_dir(&aim.outside)),
    ),
    probe(
        "create_outside",
        "make a file outside of what is given",
        Wall::View,
        true,
        |aim| {
            worked(File::create(
                aim.outside.join(format!("made-{}", std::process::id())),
            ))
        },
    ),
    probe(
        "dots",
        "climb out of the workspace with `..`",
        Wall::View,
        true,
        |aim| decoy(&aim.workspace.join("../outside/decoy")),
    ),
    probe(
        "symlink",
        "follow a link in the workspace that leads out",
        Wall::View,
        true,
        |aim| decoy(&aim.workspace.join("symlink")),
    ),
    probe(
        "hardlink",
        "read a file outside by a name in the workspace",
        Wall::View,
        true,
        |aim| decoy(&aim.workspace.join("hardlink")),
    ),
    probe(
        "env_file",
        "read `.env` in the workspace",
        Wall::View,
        true,
        |aim| decoy(&aim.workspace.join(".env")),
    ),
    probe(
        "env_file_link",
        "read `.env` by another name",
        Wall::View,
        true,
        |aim| decoy(&aim.workspace.join("env-by-another-name")),
    ),
    probe(
        "env_file_write",
        "write to `.env` by another name",
        Wall::View,
        true,
        |aim| {
            worked(
                File::options()
                    .append(true)
                    .open(aim.workspace.join("env-by-another-name")),
            )
        },
    ),
    probe(
        "link_out",
        "give a file outside a name in the workspace",
        Wall::View,
        true,
        |aim| {
            worked(fs::hard_link(
                aim.outside.join("decoy"),
                aim.workspace.join(format!("taken-{}", std::process::id())),
            ))
        },
    ),
    probe(
        "device_node",
        "make a device in the workspace",
        Wall::View,
        false,
        |aim| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            let path = aim.workspace.join("device");
            let mode = Mode::from_raw_mode(0o600);
            let made = mknodat(
                CWD,
                &path,
                FileType::BlockDevice,
                mode,
                rustix::fs::makedev(7, 0),
            );
            worked(made.map_err(io::Error::from))
        },
    ),
    probe(
        "root_of_first",
        "reach the host through `/proc/1/root`",
        Wall::Namespaces,
        true,
        |aim| decoy(&through("/proc/1/root", &aim.outside.join("decoy"))),
    ),
    probe(
        "root_of_host",
        "reach the host through a process of it",
        Wall::Namespaces,
        true,
        |aim| {
            let root = format!("/proc/{}/root", aim.process);
            decoy(&through(&root, &aim.outside.join("decoy")))
        },
    ),
    probe(
        "home_ssh",
        "list the person's `~/.ssh`",
        Wall::View,
        true,
        |_| listed(home(".ssh")),
    ),
    probe(
        "home_config",
        "list the person's `~/.config`",
        Wall::View,
        true,
        |_| listed(home(".config")),
    ),
    probe(
        "own_folders",
        "list Valetkey's own folders",
        Wall::View,
        true,
        |aim| {
            let seen = aim.own.iter().find(|path| fs::read_dir(path).is_ok());
            unless(seen.map(|path| path.display().to_string()), "none is there")
        },
    ),
    probe("shadow", "read `/etc/shadow`", Wall::Mounts, true, |_| {
        worked(File::open("/etc/shadow"))
    }),
    probe(
        "system_program",
        "open a program of the system for writing",
        Wall::Mounts,
        true,
        |_| writable("/usr/bin/env"),
    ),
    probe(
        "system_users",
        "open `/etc/passwd` for writing",
        Wall::Mounts,
        true,
        |_| writable("/etc/passwd"),
    ),
    probe(
        "kernel_setting",
        "open a setting of the kernel for writing",
        Wall::Mounts,
        true,
        |_| writable("/proc/sys/kernel/core_pattern"),
    ),
    probe(
        "sysrq",
        "open the kernel's emergency switch",
        Wall::Mounts,
        true,
        |_| writable("/proc/sysrq-trigger"),
    ),
    probe(
        "kernel_memory",
        "read the kernel's memory",
        Wall::Mounts,
        true,
        |_| nonempty("/proc/kcore"),
    ),
    probe(
        "kernel_symbols",
        "read where the kernel's functions are",
        Wall::Mounts,
        true,
        |_| nonempty("/proc/kallsyms"),
    ),
    probe(
        "kernel_log",
        "open the kernel's log",
        Wall::Mounts,
        true,
        |_| worked(File::open("/dev/kmsg")),
    ),
    probe(
        "memory_device",
        "open the memory as a device",
        Wall::Mounts,
        true,
        |_| worked(File::open("/dev/mem")),
    ),
    probe(
        "fuse_device",
        "open `/dev/fuse`",
        Wall::Mounts,
        true,
        |_| worked(File::open("/dev/fuse")),
    ),
    probe(
        "devices",
        "see devices other than the harmless ones",
        Wall::Mounts,
        true,
        |_| {
            const HARMLESS: [&str; 13] = [
                "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd",
                "stdin", "stdout", "stderr",
            ];
            let other = fs::read_dir("/dev").ok().and_then(|entries| {
                let names = entries.flatten().map(|entry| entry.file_name());
                names
                    .map(|name| name.to_string_lossy().into_owned())
                    .find(|name| !HARMLESS.contains(&name.as_str()))
            });
            unless(other, "only the harmless ones")
        },
    ),
    probe(
        "sysfs",
        "see the machine's hardware below `/sys`",
        Wall::Mounts,
        true,
        |_| worked(fs::read_dir("/sys/class")),
    ),
    probe(
        "mounts",
        "find a mount that heeds set-user-id bits",
        Wall::Mounts,
        true,
        |_| {
            let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            let options = text
                .lines()
                .filter_map(|line| line.split_whitespace().nth(5));
            let loose = options
                .into_iter()
                .find(|options| !options.split(',').any(|o| o == "nosuid"));
            unless(loose.map(str::to_owned), "all are `nosuid`")
        },
    ),
];

fn through(root: &str, path: &Path) -> std::path::PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

fn home(below: &str) -> Option<std::path::PathBuf> {
    std::env::var_os("HOME").map(|home| Path::new(&home).join(below))
}

fn listed(path: Option<std::path::PathBuf>) -> Answer {
    let entries = path.and_then(|path| fs::read_dir(path).ok());
    unless(entries.map(|_| "listed".to_owned()), "it is not there")
}

fn decoy(path: &Path) -> Answer {
    match fs::read_to_string(path) {
        Ok(text) if text.contains(DECOY) => Answer::Through("read it".to_owned()),
        Ok(_) => Answer::Held("something else is there".to_owned()),
        Err(error) => Answer::Held(error.to_string()),
    }
}

/// Opens without changing anything.
fn writable(path: &str) -> Answer {
    match File::options().write(true).open(path) {
        Ok(_) => Answer::Through("opened".to_owned()),
        // The kernel let it in and found the program running.
        Err(error) if error.raw_os_error() == Some(26) => Answer::Through(error.to_string()),
        Err(error) => Answer::Held(error.to_string()),
    }
}

fn nonempty(path: &str) -> Answer {
    use std::io::Read as _;
    let mut byte = [0; 1];
    match File::open(path).and_then(|mut file| file.read(&mut byte)) {
        Ok(0) => Answer::Held("empty".to_owned()),
        Ok(_) => Answer::Through("read it".to_owned()),
        Err(error) => Answer::Held(error.to_string()),
    }
}
