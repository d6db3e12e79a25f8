//! The attack program in a cell: every way out fails; and the same program outside a cell shows that each check can fail.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use valetkey_tests::{Call, Device, Home, NOBODY, attack_program, is_root, skipped};

use super::needs_cells;

/// What has no harmless control on every machine: its kernel or its container may lack the device, the call, the file or the
/// network, or keep root itself from them, and then what is answered without a cell says nothing.
const WITHOUT_CONTROL: [&str; 25] = [
    "alg",
    "cgroup",
    "dev_disk",
    "dev_kmsg",
    "dev_kvm",
    "dev_mem",
    "fmodule",
    "int80",
    "interface",
    "ioperm",
    "iopl",
    "kallsyms",
    "kcore",
    "kexec",
    "modprobe",
    "modules",
    "root_1",
    "set_mm",
    "setns_1",
    "suid_copy",
    "sysrq",
    "udp",
    "unload",
    "vsock",
    "x32",
];
/// Controls that there must be at the least.
const CONTROLS_MIN: usize = 100;

/// What the attacks aim at, planted on the host.
struct Planted {
    words: Vec<String>,
    holder: Child,
    _listeners: (TcpListener, UnixListener, UnixListener, UnixListener),
}

impl Planted {
    fn new(home: &Home, name: &str) -> Self {
        let place = |file: &str| home.outside(&format!("{name}-{file}"));
        fs::create_dir_all(place("outside")).expect("make");
        let decoy = place("outside").join("decoy");
        fs::write(&decoy, "DECOY of the host\n").expect("write");
        let granted = home.write(&format!("{name}-granted"), [b'g'; 8192]);
        let hidden = home.write("work/.env", "DECOY=secret\n");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("listen");
        let port = tcp.local_addr().expect("an address").port();
        let unix = UnixListener::bind(place("host.sock")).expect("listen");
        fs::create_dir_all(place("run")).expect("make");
        let bus = UnixListener::bind(place("run").join("bus")).expect("listen");
        let abstract_name = format!("vk-attack-{}-{name}", std::process::id());
        let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&abstract_name);
        let hidden_listener = UnixListener::bind_addr(&address.expect("a name")).expect("listen");
        for open in [place("host.sock"), place("run").join("bus")] {
            fs::set_permissions(open, std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .expect("mode");
        }
        let holder = Command::new("sh")
            .args(["-c", "exec 9<\"$0\"; exec sleep 600"])
            .arg(&decoy)
            .stdin(Stdio::null())
            .spawn()
            .expect("start a process");
        let text = |path: &Path| path.display().to_string();
        let approver_key = unlocked_key(home);
        let words = vec![
            format!("decoy={}", text(&decoy)),
            format!("pid={}", holder.id()),
            format!("tcp={port}"),
            format!("unix={}", text(&place("host.sock"))),
            format!("bus={}", text(&place("run").join("bus"))),
            format!("operator={}", text(&home.state().join("run/operator.sock"))),
            format!("abstract={abstract_name}"),
            format!("granted={}", text(&granted)),
            format!("hidden={}", text(&hidden)),
            format!("state={}", text(home.state())),
            format!("approver_key={approver_key}"),
        ];
        Self {
            words,
            holder,
            _listeners: (tcp, unix, bus, hidden_listener),
        }
    }
}

/// Puts the home's approver key under a passphrase, unlocks it, and gives the name under which the kernel keeps it.
fn unlocked_key(home: &Home) -> String {
    let phrase = "correct horse battery\n";
    let shown = home
        .valetkey(["approver", "show-key", "--json"])
        .done()
        .ok();
    if shown.json()["protected"] == false {
        let set = home.valetkey(["approver", "passphrase", "--passphrase-fd", "0"]);
        drop(set.input(phrase).done().ok());
    }
    let unlock = home.valetkey(["approver", "unlock", "--for", "10m", "--passphrase-fd", "0"]);
    drop(unlock.input(phrase).done().ok());
    let public_key = shown.json()["public_key"].clone();
    format!("valetkey:approver:{}", public_key.as_str().expect("a key"))
}

impl Drop for Planted {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

/// The table: number and name, and how each attack ended with its detail.
type Table = BTreeMap<String, (bool, String)>;

fn table(output: &str) -> Table {
    let mut table = Table::new();
    for line in output.lines() {
        let mut words = line.splitn(4, ' ');
        let (number, name) = (
            words.next().expect("a number"),
            words.next().expect("a name"),
        );
        let escaped = match words.next() {
            Some("escaped") => true,
            Some("contained") => false,
            other => panic!("{other:?} in {line}"),
        };
        let detail = words.next().unwrap_or("").to_owned();
        table.insert(format!("{number} {name}"), (escaped, detail));
    }
    table
}

/// Runs the attacks in a cell. A wrapper hands a descriptor to `valetkey` that must not come through.
fn attack_from_a_cell(home: &Home, planted: &Planted) -> Table {
    let work = home.path("work");
    let program = home.bring(attack_program(), "work/attack");
    let granted = planted
        .words
        .iter()
        .find_map(|word| word.strip_prefix("granted="))
        .expect("planted");
    let decoy = planted
        .words
        .iter()
        .find_map(|word| word.strip_prefix("decoy="))
        .expect("planted");
    let mut command = home.command("sh");
    command
        .args(["-c", "exec 9</etc/passwd; exec 8<\"$0\"; exec \"$@\""])
        .arg(decoy)
        .arg(home.program("valetkey"))
        .args(["run", "--workspace"])
        .arg(&work)
        .args(["--grant", &format!("{granted}=read"), "--policy"])
        .arg(super::asking::impatient(home, 1))
        .arg("--")
        .arg(program)
        .args(&planted.words)
        .current_dir(&work);
    let ended = Call::new(command)
        .within(Duration::from_secs(100))
        .done()
        .ok();
    assert!(ended.err.is_empty(), "{}", ended.errors());
    table(&ended.text())
}

/// Runs the same attacks without a cell, in a mount and a host name space of their own, so that nothing of the host changes.
fn attack_unprotected(home: &Home, planted: &Planted) -> Table {
    let work = home.outside("loose");
    fs::create_dir_all(&work).expect("make");
    let mut command = home.command("unshare");
    command
        .args([
            "-m",
            "-u",
            "sh",
            "-c",
            "exec 9</etc/passwd; exec \"$@\"",
            "sh",
        ])
        .arg(attack_program())
        .args(&planted.words)
        .current_dir(&work);
    let ended = Call::new(command)
        .within(Duration::from_secs(100))
        .done()
        .ok();
    table(&ended.text())
}

fn escapes(table: &Table) -> Vec<String> {
    let escaped = table.iter().filter(|(_, (escaped, _))| *escaped);
    escaped
        .map(|(name, (_, detail))| format!("{name}: {detail}"))
        .collect()
}

#[test]
fn every_way_out_fails_and_each_check_can_fail() {
    needs_cells!();
    let home = Home::new();
    let planted = Planted::new(&home, "cell");
    let contained = attack_from_a_cell(&home, &planted);
    assert!(contained.len() >= 120, "{} attacks", contained.len());
    if !is_root() {
        skipped(
            "every_way_out: the control",
            "the unprotected run takes root",
        );
        print_table(&contained, None);
        assert_eq!(escapes(&contained), Vec::<String>::new());
        return;
    }
    let loose = Planted::new(&home, "control");
    let control = attack_unprotected(&home, &loose);
    print_table(&contained, Some(&control));
    assert_eq!(escapes(&contained), Vec::<String>::new());
    let cannot_fail: Vec<&String> = control
        .iter()
        .filter(|(name, (escaped, _))| {
            !escaped
                && !WITHOUT_CONTROL
                    .iter()
                    .any(|without| name.ends_with(&format!(" {without}")))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(
        cannot_fail.is_empty(),
        "these do not escape without a cell either: {cannot_fail:?}"
    );
    let controls = control.values().filter(|(escaped, _)| *escaped).count();
    assert!(controls >= CONTROLS_MIN, "{controls} controls");
    home.verify();
}

#[test]
fn every_way_out_fails_for_an_ordinary_user() {
    if !is_root() {
        skipped(
            "every_way_out_fails_for_an_ordinary_user",
            "the other test runs as one",
        );
        return;
    }
    let home = Home::of_ordinary_user(Device::Open);
    let planted = Planted::new(&home, "nobody");
    home.make_dir(&home.path("work"));
    let contained = attack_from_a_cell(&home, &planted);
    println!("as uid {NOBODY}:");
    print_table(&contained, None);
    assert_eq!(escapes(&contained), Vec::<String>::new());
    home.verify();
}

fn print_table(contained: &Table, control: Option<&Table>) {
    println!("{:<24} {:<36} without a cell", "attack", "in a cell");
    for (name, (escaped, detail)) in contained {
        let word = |escaped: bool| if escaped { "ESCAPED" } else { "contained" };
        let other = control.and_then(|control| control.get(name)).map_or_else(
            || "-".to_owned(),
            |(escaped, detail)| {
                let harmless = if *escaped {
                    ""
                } else {
                    ", no harmless control here"
                };
                format!("{} ({detail}{harmless})", word(*escaped))
            },
        );
        println!(
            "{name:<24} {:<36} {other}",
            format!("{} ({detail})", word(*escaped))
        );
    }
}
