//! What a cell shows and hides, on the real kernel, as the superuser and as an ordinary user.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{As, cell, everybody, printed, script};

#[test]
fn the_user_inside_is_the_user_outside_with_no_privilege() {
    for who in everybody() {
        let (uid, name) = match who {
            As::Me if rustix::process::geteuid().is_root() => (0, "root".to_owned()),
            As::Me => (rustix::process::geteuid().as_raw(), String::new()),
            As::Nobody => (65534, "nobody".to_owned()),
        };
        let text = printed(
            who,
            &[],
            "id -u; id -un; grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status",
        );
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(uid.to_string().as_str()));
        let seen = lines.next().expect("name");
        assert!(name.is_empty() || seen == name, "{seen}");
        let status: Vec<&str> = lines.collect();
        assert_eq!(status.len(), 7, "{status:?}");
        for line in status {
            let (key, value) = line.split_once(':').expect("field");
            let wanted = match key {
                "NoNewPrivs" => "1",
                "Seccomp" => "2",
                _ => "0000000000000000",
            };
            assert_eq!(value.trim(), wanted, "{key}");
        }
    }
}

#[test]
fn a_cell_that_root_starts_is_nobody_on_the_host() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let secret = tempfile::NamedTempFile::new_in("/usr").expect("a file of root's, mode 0600");
    let path = secret.path().display();
    let text = format!(
        "id -u; touch /tmp/own; stat -c %u /tmp/own; stat -c %u /usr; cat {path} && echo read; echo written > /dev/stderr; sleep 0.5"
    );
    let child = cell(As::Me, &["--", "sh", "-c", &text])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawn");
    // Every process below the guard, as the host sees it.
    let below = |parent: &str| {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        children
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let command = loop {
        let first = below(&child.id().to_string());
        if let Some(command) = first
            .first()
            .and_then(|first| below(first).first().cloned())
        {
            break command;
        }
        assert!(Instant::now() < deadline, "no command");
        std::thread::sleep(Duration::from_millis(5));
    };
    let status = std::fs::read_to_string(format!("/proc/{command}/status")).expect("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("field")
            .split_whitespace()
            .map(|id| id.parse::<u32>().expect("id"))
            .collect::<Vec<_>>()
    };
    for ids in [field("Uid:"), field("Gid:")] {
        assert!(
            ids.len() == 4 && ids.iter().all(|id| *id == ids[0] && *id > 60_000),
            "{ids:?}"
        );
    }
    assert!(field("Groups:").is_empty());
    let output = child.wait_with_output().expect("output");
    // It is root to itself, with files of its own; what is root's on the host is somebody else's.
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "0\n0\n65534\n",
        "{output:?}"
    );
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("Permission denied") && errors.contains("written"),
        "{errors}"
    );
}

#[test]
fn every_mount_is_nosuid_and_the_system_is_read_only() {
    for who in everybody() {
        let text = printed(who, &[], "cat /proc/self/mountinfo");
        for line in text.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let (place, flags) = (fields[4], fields[5]);
            let has = |flag: &str| flags.split(',').any(|one| one == flag);
            assert!(has("nosuid"), "{line}");
            let writable = ["/tmp", "/dev/shm", "/dev/pts", "/proc"].contains(&place)
                || place.starts_with("/run/user/");
            assert_eq!(has("ro"), !writable, "{line}");
            // Only what lies in /dev, or is a device, may be one.
            let device = place.starts_with("/dev") || fields[3] == "/null";
            assert!(device || has("nodev"), "{line}");
        }
        for path in [
            "/usr/x",
            "/etc/x",
            "/dev/x",
            "/run/x",
            "/run/valetkey/x",
            "/x",
        ] {
            let output = script(who, &[], &format!("echo x > {path}"));
            assert!(!output.status.success(), "{path} could be written");
        }
        // As the superuser the agent owns the host's node; only the mount keeps it.
        let mode = || {
            std::fs::metadata("/dev/null")
                .map(|meta| meta.permissions())
                .expect("stat")
        };
        let before = mode();
        assert!(!script(who, &[], "chmod 600 /dev/null").status.success());
        assert_eq!(mode(), before);
    }
}

#[test]
fn nothing_of_the_host_is_in_sight() {
    for who in everybody() {
        let text = printed(
            who,
            &[],
            "ls -A / | tr '\\n' ' '; ls /sys /home /root /var /work 2>&1; true",
        );
        for (name, wanted) in [
            ("etc", true),
            ("usr", true),
            ("sys", false),
            ("home", false),
        ] {
            let first = text.lines().next().expect("line");
            assert_eq!(
                first.split(' ').any(|one| one == name),
                wanted,
                "{name}: {text}"
            );
        }
        assert_eq!(
            printed(who, &[], "cat /proc/net/dev | grep : | wc -l"),
            "1\n"
        );
        assert_eq!(
            printed(who, &[], "hostname; cat /etc/hostname"),
            "cell\ncell\n"
        );
        // Pid 1, the shell, and what the shell runs.
        let pids = printed(who, &[], "ls -d /proc/[0-9]* | wc -l");
        assert!(pids.trim().parse::<u32>().expect("number") <= 5, "{pids}");
        assert_eq!(
            printed(who, &[], "env | sort"),
            "HOME=/tmp\nPATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin\nPWD=/tmp\n"
        );
        // Without a pipe or a redirection, for which the shell would hold a descriptor of its own.
        assert_eq!(printed(who, &[], "ls /proc/$$/fd; true"), "0\n1\n2\n");
    }
}

#[test]
fn the_first_process_hides_the_guard() {
    for who in everybody() {
        assert_eq!(
            printed(
                who,
                &[],
                "cat /proc/1/cmdline /proc/1/comm; ls -A /proc/1/task"
            ),
            "cell\n"
        );
        for text in [
            "cat /proc/1/environ",
            "cat /proc/1/mem",
            "cat /proc/1/maps",
            "readlink /proc/1/fd/0",
            "readlink /proc/1/exe",
            "ls /proc/1/cwd/",
            "ls /proc/1/root/",
        ] {
            let output = script(who, &[], text);
            assert!(!output.status.success(), "{text}: {output:?}");
        }
        // It takes no signal from inside.
        assert_eq!(
            printed(
                who,
                &[],
                "kill -KILL 1; kill -TERM 1; kill -STOP 1; echo on"
            ),
            "on\n"
        );
    }
}

#[test]
fn the_kernels_own_files_cannot_be_changed_or_read() {
    for who in everybody() {
        for text in [
            "echo 0 > /proc/sys/vm/swappiness",
            "echo 5 > /proc/sys/user/max_user_namespaces",
            "test -s /proc/kallsyms",
            "test -s /proc/keys",
            "mknod /tmp/device c 1 3",
            "mount -t tmpfs none /tmp",
            "unshare --user true",
            "unshare --mount true",
            "dmesg",
        ] {
            assert!(!script(who, &[], text).status.success(), "{who:?}: {text}");
        }
    }
}

#[test]
fn a_posture_is_what_the_kernel_says() {
    for who in everybody() {
        let output = cell(who, &["--posture", "--", "true"])
            .output()
            .expect("run");
        assert!(output.status.success(), "{output:?}");
        let posture: valetkey_sandbox::Posture =
            serde_json::from_slice(&output.stdout).expect("posture");
        assert!(posture.no_new_privs && posture.no_capabilities);
        assert!(posture.landlock_abi >= 1);
        assert!(posture.covered_proc.contains(&"/proc/sys".to_owned()));
        assert!(posture.processes_max.is_some_and(|most| most <= 16_384));
        let by_root = matches!(who, As::Me) && rustix::process::geteuid().is_root();
        let whose = if by_root {
            valetkey_sandbox::HostUser::Throwaway
        } else {
            valetkey_sandbox::HostUser::Person
        };
        assert_eq!(posture.host_user, whose);
        assert_eq!(posture.fuse_connections, 0);
    }
}

#[test]
fn exit_statuses_and_signals_pass_through() {
    let status = |text: &str| script(As::Me, &[], text).status.code();
    assert_eq!(status("exit 0"), Some(0));
    assert_eq!(status("exit 7"), Some(7));
    assert_eq!(status("kill -TERM $$"), Some(128 + 15));
    assert_eq!(status("kill -KILL $$"), Some(128 + 9));
    // What is left behind ends with the command.
    let started = Instant::now();
    assert_eq!(status("setsid sleep 60 & exit 3"), Some(3));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_command_that_cannot_be_executed_says_why() {
    for (command, status, why) in [
        ("no-such-program", 127, "No such file or directory"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/usr", 126, "Permission denied"),
    ] {
        let output = cell(As::Me, &["--", command]).output().expect("run");
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(why),
            "{output:?}"
        );
    }
}

#[test]
fn stopping_is_told_and_resuming_works() {
    for who in everybody() {
        let output = script(who, &[], "kill -TSTP $$; sleep 0.2; echo woke");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("stopped by 20") && told.contains("goes on"),
            "{told}"
        );
        assert_eq!(output.stdout, b"woke\n");
    }
}

#[test]
fn a_terminal_controls_the_command_and_takes_no_typed_input() {
    for who in everybody() {
        let text = printed(
            who,
            &["--pty"],
            "tty; echo direct > /dev/tty; ps -o pgid=,tpgid= -p $$; ls -l /proc/$$/fd | wc -l",
        );
        let mut lines = text.lines().map(str::trim);
        assert_eq!(lines.next(), Some("/dev/pts/0"));
        assert_eq!(lines.next(), Some("direct"));
        let groups: Vec<&str> = lines.next().expect("groups").split_whitespace().collect();
        assert_eq!(
            groups[0], groups[1],
            "the command's group is in the foreground"
        );
    }
}

#[test]
fn input_and_large_output_pass_whole() {
    let mut child = cell(
        As::Me,
        &[
            "--stdin",
            "--",
            "sh",
            "-c",
            "head -c 5; head -c 10000000 /dev/zero",
        ],
    )
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .expect("run");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(b"hello")
        .expect("write");
    let mut out = Vec::new();
    child
        .stdout
        .take()
        .expect("stdout")
        .read_to_end(&mut out)
        .expect("read");
    assert_eq!(out.len(), 10_000_005);
    assert!(out.starts_with(b"hello"));
    assert!(child.wait().expect("wait").success());
}

#[test]
fn the_cell_dies_with_its_guard() {
    for (who, seconds) in everybody().into_iter().zip(["31415926", "27182818"]) {
        let mut guard = cell(who, &["--", "sleep", seconds]).spawn().expect("run");
        let lives = || {
            std::fs::read_dir("/proc")
                .expect("proc")
                .flatten()
                .any(|entry| {
                    std::fs::read(entry.path().join("cmdline"))
                        .is_ok_and(|line| line == format!("sleep\0{seconds}\0").into_bytes())
                })
        };
        wait_until(lives);
        guard.kill().expect("kill");
        assert_eq!(guard.wait().expect("wait").signal(), Some(9));
        wait_until(|| !lives());
    }
}

#[test]
fn the_guard_is_reached_by_the_socket_and_writes_what_the_agent_only_reads() {
    for who in everybody() {
        let ask = "import socket;s=socket.socket(socket.AF_UNIX);\
                   s.connect('/run/valetkey/agent.sock');print(s.recv(99).decode().strip())";
        let options = ["--answer-agent", "--publish", "[\"refused\"]"];
        let text = format!(
            "sleep 0.2; cat /run/valetkey/README.md /run/valetkey/denials.json; \
                            python3 -c \"{ask}\"; rm /run/valetkey/denials.json 2>&1"
        );
        let output = script(who, &options, &text);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.starts_with("How to ask.\n[\"refused\"]the guard answers\n"),
            "{output:?}"
        );
        assert!(text.contains("Read-only file system"), "{text}");
    }
}

#[test]
fn everyday_programs_work() {
    for text in [
        "bash -c 'for i in 1 2; do sleep 0 & done; wait; echo $(echo ok)'",
        "python3 -c 'import threading,subprocess,socket,multiprocessing as m;\
         t=threading.Thread(target=print);t.start();t.join();\
         subprocess.run([\"true\"],check=True);\
         s=socket.create_server((\"127.0.0.1\",0));c=socket.create_connection(s.getsockname());\
         print(\"ok\")'",
        "cd /tmp && git init -q repo && cd repo && git -c user.name=a -c user.email=a@b commit -q \
         --allow-empty -m x && git log --oneline | wc -l",
        "mkfifo /tmp/f && (echo ok > /tmp/f & cat /tmp/f)",
    ] {
        for who in everybody() {
            let out = printed(who, &[], text);
            assert!(out.contains("ok") || out.trim() == "1", "{text}: {out}");
        }
    }
}

#[test]
fn a_served_root_quiet_mounts_and_places_that_show_through() {
    if !std::path::Path::new("/dev/fuse").exists() {
        eprintln!("skipped: this machine has no /dev/fuse");
        return;
    }
    for who in everybody().into_iter().filter(|who| fuse_is_open_to(*who)) {
        let options = [
            "--fuse",
            "--quiet",
            "/home/quiet",
            "--quiet",
            "/tmp/q",
            "--through",
            "/tmp/seen",
        ];
        let text =
            "cat /note /home/quiet/note /tmp/q/note /tmp/seen/note; pwd; ls -A / | tr '\\n' ' '";
        let out = printed(
            who,
            &[&options[..], &["--cwd", "/home/quiet"]].concat(),
            text,
        );
        let (notes, root) = out.split_once("/home/quiet\n").expect("working directory");
        assert_eq!(notes, "watched\nquiet\nquiet\nshown through\n");
        assert!(root.contains("usr ") && !root.contains("sys"), "{root}");
        let missing = printed(who, &["--fuse", "--cwd", "/nowhere"], "pwd");
        assert_eq!(missing, "/\n");
    }
}

#[test]
fn a_closed_fuse_device_is_said_in_one_line() {
    for who in everybody().into_iter().filter(|who| !fuse_is_open_to(*who)) {
        let output = cell(who, &["--fuse", "--", "true"]).output().expect("run");
        assert_eq!(output.status.code(), Some(5));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("cannot open /dev/fuse") && told.lines().count() == 1,
            "{told}"
        );
    }
}

fn fuse_is_open_to(who: As) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata("/dev/fuse").map(|meta| meta.permissions().mode());
    match who {
        As::Me => std::fs::File::open("/dev/fuse").is_ok(),
        As::Nobody => mode.is_ok_and(|mode| mode & 0o006 == 0o006),
    }
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "never came true"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
