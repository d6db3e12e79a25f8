//! The bus door: of a real session bus with planted services a cell reaches the methods that were granted, and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use valetkey_tests::{Call, Finished, Home, host_program, skipped, until};

use super::needs_cells;

const SOON: Duration = Duration::from_secs(30);

/// What both the planted service and a client that tries everything need of the protocol.
const WIRE: &str = r#"
import os, socket, struct, sys
def pad(b, n): return b + bytes(-len(b) % n)
def text(s): s = s.encode(); return struct.pack('<I', len(s)) + s + b'\0'
def sig(s): return bytes([len(s)]) + s.encode() + b'\0'
def message(kind, serial, fields, body=b'', flags=0):
    f = b''
    for code, kind_of, value in fields:
        f = pad(f, 8) + bytes([code]) + sig(kind_of)
        f = pad(f, 4) + struct.pack('<I', value) if kind_of == 'u' else f + sig(value) if kind_of == 'g' else pad(f, 4) + text(value)
    return pad(b'l' + bytes([kind, flags, 1]) + struct.pack('<III', len(body), serial, len(f)) + f, 8) + body
def call(serial, to, iface, member, args=(), path='/', flags=0, more=()):
    body = b''
    for a in args: body = pad(body, 4) + (text(a) if isinstance(a, str) else struct.pack('<I', a))
    fields = [(1, 'o', path), (3, 's', member)] + ([(6, 's', to)] if to else []) + ([(2, 's', iface)] if iface else [])
    if args: fields.append((8, 'g', ''.join('s' if isinstance(a, str) else 'u' for a in args)))
    return message(1, serial, fields + list(more), body, flags)
def exact(s, n):
    b = b''
    while len(b) < n:
        part = s.recv(n - len(b))
        if not part: raise EOFError
        b += part
    return b
def read(s):
    h = exact(s, 16)
    size, serial, count = struct.unpack('<III', h[4:])
    f = exact(s, count + -count % 8); body = exact(s, size)
    got, i = {}, 0
    while i < count:
        i += -i % 8; code = f[i]; kind = f[i+2:i+2+f[i+1]].decode(); i += 3 + f[i+1]
        if kind == 'g': n = f[i]; got[code] = f[i+1:i+1+n].decode(); i += n + 2
        else:
            i += -i % 4; n = struct.unpack('<I', f[i:i+4])[0]; i += 4
            if kind == 'u': got[code] = n
            else: got[code] = f[i:i+n].decode(); i += n + 1
    return h[1], serial, got, body
def connect():
    s = socket.socket(socket.AF_UNIX); s.settimeout(20)
    s.connect(os.environ['DBUS_SESSION_BUS_ADDRESS'].split('path=')[1].split(',')[0])
    s.sendall(b'\0AUTH EXTERNAL ' + str(os.getuid()).encode().hex().encode() + b'\r\n')
    assert s.recv(99).startswith(b'OK')
    s.sendall(b'BEGIN\r\n' + call(1, 'org.freedesktop.DBus', 'org.freedesktop.DBus', 'Hello'))
    while True:
        kind, _, got, body = read(s)
        if got.get(5) == 1: return s
def ask(s, serial, *args, **more):
    s.sendall(call(serial, *args, **more))
    while True:
        kind, _, got, body = read(s)
        if got.get(5) == serial: return ('ok', body) if kind == 2 else (got.get(4, '').split('.')[-1], body)
"#;

/// Has names on the bus, writes down every call, answers it with a text, and tells everybody of it.
const SERVICE: &str = r"
s = connect()
for n, name in enumerate(sys.argv[2:]):
    assert ask(s, n + 2, 'org.freedesktop.DBus', 'org.freedesktop.DBus', 'RequestName', (name, 0))[0] == 'ok'
s.settimeout(None)
log = open(sys.argv[1], 'a')
print('ready', file=log, flush=True)
serial = 100
while True:
    kind, number, got, body = read(s)
    if kind != 1: continue
    print(got.get(6), got.get(2), got.get(3), file=log, flush=True)
    s.sendall(message(4, serial, [(1, 'o', '/'), (2, 's', 'org.example.Notes'), (3, 's', 'Changed')]))
    s.sendall(message(2, serial + 1, [(5, 'u', number), (6, 's', got[7]), (8, 'g', 's')], text('done')))
    serial += 2
";

/// A session bus of one test, with a planted service under three names.
struct Bus {
    home: Home,
    processes: Vec<Child>,
    log: PathBuf,
}

impl Bus {
    fn start() -> Option<Self> {
        for name in ["dbus-daemon", "gdbus", "dbus-send", "python3"] {
            if host_program(name).is_none() {
                skipped("bus", &format!("there is no {name} here"));
                return None;
            }
        }
        let home = Home::new();
        let socket = home.outside("bus");
        let config = home.outside("bus.conf");
        let rules =
            "<allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/>";
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">{rules}</policy></busconfig>",
            socket.display()
        );
        fs::write(&config, text).expect("write");
        let daemon = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()))
            .stderr(Stdio::null())
            .spawn();
        let mut bus = Self {
            log: home.outside("called"),
            home,
            processes: vec![daemon.expect("dbus-daemon")],
        };
        until("a session bus", SOON, || socket.exists().then_some(()));
        let service = bus.home.outside("service.py");
        fs::write(&service, format!("{WIRE}\n{SERVICE}")).expect("write");
        let names = [
            "org.example.Notes",
            "org.freedesktop.secrets",
            "org.freedesktop.systemd1",
        ];
        let planted = Command::new("python3")
            .arg(&service)
            .arg(&bus.log)
            .args(names)
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        bus.processes.push(planted.expect("python3"));
        until("a service", SOON, || {
            bus.called().contains("ready").then_some(())
        });
        Some(bus)
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.home.outside("bus").display())
    }

    fn called(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A session with these grants and a shell script in it.
    fn session(&self, grants: &[&str], script: &str) -> Call {
        let work = self.home.path("work");
        self.home.make_dir(&work);
        self.home.write("work/wire.py", WIRE);
        let mut options = vec!["--workspace".to_owned(), work.display().to_string()];
        for grant in grants {
            options.extend(["--grant".to_owned(), (*grant).to_owned()]);
        }
        let call = self.home.run(&options, &["sh", "-c", script]).cwd(&work);
        call.env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .within(Duration::from_secs(60))
    }

    /// The same script outside of any cell.
    fn outside(&self, script: &str) -> Finished {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .current_dir(self.home.path("work"));
        Call::new(command).done()
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

const ADD: &str = "bus:org.example.Notes/org.example.Notes.Add=call";
const BY_GDBUS: &str = "gdbus call --session --dest org.example.Notes --object-path / --method org.example.Notes.Add hi";
const BY_DBUS_SEND: &str = "dbus-send --session --print-reply=literal --dest=org.example.Notes / org.example.Notes.Add string:hi";

#[test]
fn only_the_granted_method_of_a_service_comes_through() {
    needs_cells!();
    let Some(bus) = Bus::start() else { return };
    let tried = r"
from wire import *
s = connect()
def tell(name, answer): print(name, answer[0])
tell('add', ask(s, 10, 'org.example.Notes', 'org.example.Notes', 'Add', ('x',)))
tell('remove', ask(s, 11, 'org.example.Notes', 'org.example.Notes', 'Remove', ('x',)))
tell('no interface', ask(s, 12, 'org.example.Notes', None, 'Add', ('x',)))
tell('other interface', ask(s, 13, 'org.example.Notes', 'org.example.Other', 'Add', ('x',)))
tell('properties', ask(s, 14, 'org.example.Notes', 'org.freedesktop.DBus.Properties', 'Get', ('a', 'b')))
tell('secrets', ask(s, 15, 'org.freedesktop.secrets', 'org.freedesktop.Secret.Service', 'GetSecrets'))
tell('systemd', ask(s, 16, 'org.freedesktop.systemd1', 'org.freedesktop.systemd1.Manager', 'StartTransientUnit'))
bus = 'org.freedesktop.DBus'
for n, name in enumerate(['GetConnectionCredentials', 'GetConnectionUnixProcessID', 'GetNameOwner', 'StartServiceByName']):
    tell(name, ask(s, 20 + n, bus, bus, name, ('org.freedesktop.secrets', 0)[:2 if name[0] == 'S' else 1]))
tell('names', ask(s, 30, bus, bus, 'ListNames'))
tell('own', ask(s, 31, bus, bus, 'RequestName', ('org.example.Mine', 0)))
tell('monitor', ask(s, 32, bus, 'org.freedesktop.DBus.Monitoring', 'BecomeMonitor'))
ok, body = ask(s, 33, bus, bus, 'GetNameOwner', ('org.example.Notes',))
owner = body[4:-1].decode()
tell('owner', (ok,))
tell('add by number', ask(s, 34, owner, 'org.example.Notes', 'Add', ('x',)))
tell('secrets by number', ask(s, 35, owner, 'org.freedesktop.Secret.Service', 'GetSecrets'))
s.sendall(message(4, 36, [(1, 'o', '/'), (2, 's', 'org.example.Notes'), (3, 's', 'Forged')]))
s.sendall(message(2, 37, [(5, 'u', 1), (6, 's', owner)]))
tell('add again', ask(s, 38, 'org.example.Notes', 'org.example.Notes', 'Add', ('x',)))
d = connect(); d.sendall(call(50, 'org.example.Notes', 'org.example.Notes', 'Add', ('x',), more=[(6, 's', 'org.freedesktop.secrets')]))
try: print('two destinations', read(d)[0])
except (EOFError, ConnectionResetError): print('two destinations cut')
";
    let script = format!("{BY_GDBUS} && {BY_DBUS_SEND} && python3 -c \"{tried}\"");
    let ended = bus.session(&[ADD], &script).done().ok();
    let wanted = "('done',)\n   doneadd ok\nremove AccessDenied\nno interface AccessDenied\nother interface AccessDenied\nproperties AccessDenied\n\
                  secrets AccessDenied\nsystemd AccessDenied\nGetConnectionCredentials AccessDenied\nGetConnectionUnixProcessID AccessDenied\n\
                  GetNameOwner NameHasNoOwner\nStartServiceByName ServiceUnknown\nnames AccessDenied\nown AccessDenied\nmonitor AccessDenied\nowner ok\n\
                  add by number ok\nsecrets by number AccessDenied\nadd again ok\ntwo destinations cut\n";
    assert_eq!(ended.text().replace('\r', ""), wanted, "{}", ended.errors());
    let called = bus.called();
    let calls: Vec<&str> = called.lines().skip(1).collect();
    assert_eq!(
        calls, ["org.example.Notes org.example.Notes Add"; 5],
        "{called}"
    );

    let performed = bus.home.events("operation.performed");
    let made = performed
        .iter()
        .filter(|event| event["attributes"]["operation"] == "call");
    let resource = "bus:org.example.Notes/org.example.Notes.Add";
    assert_eq!(
        made.filter(|event| event["resource"] == resource).count(),
        5,
        "{performed:?}"
    );
    bus.home.verify();

    // Outside of a cell the same come through, so each refusal was the door's.
    let free = bus.outside(&format!("python3 -c \"{tried}\""));
    for line in [
        "remove ok",
        "secrets ok",
        "systemd ok",
        "names ok",
        "own ok",
        "GetConnectionCredentials ok",
        "secrets by number ok",
    ] {
        assert!(
            free.text().contains(line),
            "{line}: {} {}",
            free.text(),
            free.errors()
        );
    }
}

#[test]
fn without_a_grant_there_is_no_bus_in_a_cell() {
    needs_cells!();
    let Some(bus) = Bus::start() else { return };
    let path = bus.home.outside("bus");
    let script = format!(
        "echo \"[$DBUS_SESSION_BUS_ADDRESS]\"; ls /run/valetkey; test -e {} || echo gone",
        path.display()
    );
    let ended = bus.session(&[], &script).done().ok();
    assert!(
        ended.text().starts_with("[]")
            && ended.text().contains("gone")
            && !ended.text().contains("bus.sock"),
        "{}",
        ended.text()
    );
}

#[test]
fn keyrings_and_service_managers_are_not_granted_by_anybody() {
    needs_cells!();
    let Some(bus) = Bus::start() else { return };
    for service in [
        "org.freedesktop.secrets/GetSecrets",
        "org.freedesktop.systemd1/StartUnit",
        "org.freedesktop.portal.Flatpak/Spawn",
    ] {
        let ended = bus
            .session(&[&format!("bus:{service}=call")], "true")
            .done();
        assert_eq!(ended.code(), 3, "{}", ended.errors());
    }
    assert_eq!(bus.called(), "ready\n");
}

#[test]
fn calls_are_counted_and_end_with_their_capability() {
    needs_cells!();
    let Some(bus) = Bus::start() else { return };
    let grant = format!("{ADD},max_operations=2");
    let script = format!(
        "for n in 1 2 3; do {BY_DBUS_SEND} >/dev/null 2>&1 && echo yes || echo no; done; grep -c max_operations /run/valetkey/denials.json"
    );
    let ended = bus.session(&[&grant], &script).done().ok();
    assert!(
        ended.text().replace('\r', "").starts_with("yes\nyes\nno\n"),
        "{} {}",
        ended.text(),
        ended.errors()
    );
    assert_eq!(bus.called().lines().count(), 3);

    let script = format!(
        "{BY_DBUS_SEND} >/dev/null 2>&1 && echo first; until {BY_DBUS_SEND} 2>&1 | grep -q AccessDenied; do sleep 0.1; done; echo over"
    );
    let mut running = bus.session(&[ADD], &script).start();
    running.wait_for("first", SOON);
    drop(bus.home.valetkey(["caps", "revoke", "--all"]).done().ok());
    running.wait_for("over", SOON);
    drop(running.finish(SOON).ok());
}
