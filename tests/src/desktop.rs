//! A desktop for one test: an X server, a session bus and a notification daemon of its own, with what a program on that bus could send.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::home::Home;
use crate::place::{host_program, scratch};
use crate::process::{Call, Finished, Started, until};

/// What the tests need of the host, all in Debian packages of nearly these names.
const PROGRAMS: [&str; 6] = [
    "Xvfb",
    "dbus-daemon",
    "dunst",
    "dunstctl",
    "gdbus",
    "dbus-send",
];
/// How long anything of the desktop may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// The programs that a desktop needs and this machine lacks, if any.
#[must_use]
pub fn cannot_have_desktop() -> Option<String> {
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|name| host_program(name).is_none())
        .collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
}

/// A desktop. All of it ends when it is dropped.
#[derive(Debug)]
pub struct Desktop {
    root: tempfile::TempDir,
    display: String,
    daemon: Option<Child>,
    /// In the order in which they are ended.
    others: Vec<Child>,
}

impl Desktop {
    /// Starts an X server, a session bus and the notification daemon.
    ///
    /// # Panics
    /// When one of them does not start.
    #[must_use]
    pub fn start() -> Self {
        let mut desktop = Self::without_daemon();
        desktop.start_daemon();
        desktop
    }

    /// The same with nobody who shows notifications.
    ///
    /// # Panics
    /// When the X server or the bus does not start.
    #[must_use]
    pub fn without_daemon() -> Self {
        let root = scratch();
        let number = root.path().join("display");
        // The server picks a free display itself, and writes its number when it takes connections.
        let server = spawn(
            Command::new("sh")
                .args([
                    "-c",
                    "exec Xvfb -displayfd 3 -nolisten tcp -screen 0 1024x768x24 3>\"$0\"",
                ])
                .arg(&number),
        );
        let display = until("an X server", SOON, || {
            let text = fs::read_to_string(&number).ok()?;
            text.ends_with('\n').then(|| format!(":{}", text.trim()))
        });
        let config = root.path().join("bus.conf");
        let socket = root.path().join("bus");
        // No directory of services: the bus starts nothing by itself.
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        fs::write(&config, text).expect("write");
        let bus = spawn(
            Command::new("dbus-daemon")
                .arg("--nofork")
                .arg(format!("--config-file={}", config.display())),
        );
        until("a session bus", SOON, || socket.exists().then_some(()));
        Self {
            root,
            display,
            daemon: None,
            others: vec![bus, server],
        }
    }

    /// Starts the notification daemon, or another after it was stopped.
    ///
    /// # Panics
    /// When it does not take its name on the bus.
    pub fn start_daemon(&mut self) {
        let config = self.root.path().join("dunstrc");
        // The menu of actions is a program that picks the line with the wanted words.
        let menu = self.root.path().join("menu");
        let wanted = self.wanted_action();
        let script = format!("#!/bin/sh\ngrep -m1 -F -f {}\n", wanted.display());
        fs::write(&menu, script).expect("write");
        fs::set_permissions(&menu, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("mode");
        let text = format!(
            "[global]\n monitor = 0\n idle_threshold = 0\n markup = full\n dmenu = {}\n",
            menu.display()
        );
        fs::write(&config, text).expect("write");
        self.daemon = Some(spawn(self.command("dunst").arg("-config").arg(&config)));
        until("a notification daemon", SOON, || {
            self.has_daemon().then_some(())
        });
    }

    /// Ends the notification daemon.
    ///
    /// # Panics
    /// When its name stays taken.
    pub fn stop_daemon(&mut self) {
        self.daemon.take().into_iter().for_each(end);
        until("no notification daemon", SOON, || {
            (!self.has_daemon()).then_some(())
        });
    }

    fn has_daemon(&self) -> bool {
        let asked = self.ask(
            "org.freedesktop.DBus.NameHasOwner",
            &["org.freedesktop.Notifications"],
        );
        asked.text().contains("true")
    }

    /// The bus's socket.
    #[must_use]
    pub fn bus(&self) -> PathBuf {
        self.root.path().join("bus")
    }

    /// The bus's address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.bus().display())
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .env("XDG_CONFIG_HOME", self.root.path())
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    fn ask(&self, method: &str, args: &[&str]) -> Finished {
        let mut command = self.command("gdbus");
        command.args(["call", "--session", "--dest", "org.freedesktop.DBus"]);
        command.args(["--object-path", "/org/freedesktop/DBus", "--method", method]);
        Call::new(command).args(args).done()
    }

    /// Starts `valetkey-desktop` of a home on this desktop, with a terminal that writes down what it is to run.
    #[must_use]
    pub fn notifier(&self, home: &Home) -> Started {
        self.notifier_call(home).start()
    }

    /// The same, not started yet.
    #[must_use]
    pub fn notifier_call(&self, home: &Home) -> Call {
        let terminal = home.outside("terminal");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> {}\n",
            home.outside("opened").display()
        );
        fs::write(&terminal, script).expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&terminal, mode).expect("mode");
        let mut command = home.command(home.program("valetkey-desktop"));
        command
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .env("VALETKEY_TERMINAL", &terminal);
        Call::new(command)
    }

    /// What the terminals were to run, one a line.
    #[must_use]
    pub fn opened(&self, home: &Home) -> Vec<String> {
        let text = fs::read_to_string(home.outside("opened")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How many notifications are on the screen.
    ///
    /// # Panics
    /// When the daemon does not say.
    #[must_use]
    pub fn displayed(&self) -> usize {
        let asked = Call::new(self.command("dunstctl"))
            .args(["count", "displayed"])
            .done();
        asked.text().trim().parse().expect("a number")
    }

    /// Waits until so many are on the screen.
    pub fn wait_for(&self, count: usize) {
        until(&format!("{count} notifications"), SOON, || {
            (self.displayed() == count).then_some(())
        });
    }

    /// The daemon's own record of the notifications that were closed, newest first.
    ///
    /// # Panics
    /// When it is no JSON.
    #[must_use]
    pub fn history(&self) -> Vec<Value> {
        let asked = Call::new(self.command("dunstctl"))
            .arg("history")
            .done()
            .ok();
        let json = asked.json();
        json["data"][0].as_array().expect("a list").clone()
    }

    /// Waits for a notification in the record whose title contains `title`.
    pub fn wait_for_history(&self, title: &str) -> Value {
        until(&format!("a record of `{title}`"), SOON, || {
            self.history()
                .into_iter()
                .find(|one| said(one, "summary").contains(title))
        })
    }

    /// Presses what is pressed when the notification itself is.
    pub fn press(&self) {
        drop(
            Call::new(self.command("dunstctl"))
                .args(["action", "0"])
                .done()
                .ok(),
        );
    }

    fn wanted_action(&self) -> PathBuf {
        self.root.path().join("action")
    }

    /// Picks one of the buttons, by what is written on it.
    ///
    /// # Panics
    /// When the daemon's menu cannot be used.
    pub fn pick(&self, label: &str) {
        fs::write(self.wanted_action(), format!("{label}\n")).expect("write");
        drop(
            Call::new(self.command("dunstctl"))
                .arg("context")
                .done()
                .ok(),
        );
    }

    /// Has the daemon's own close the notification on top.
    pub fn close(&self) {
        drop(Call::new(self.command("dunstctl")).arg("close").done().ok());
    }

    /// Sends a signal to everybody, or to one connection, from a connection that is not the daemon's.
    pub fn signal(&self, to: Option<&str>, member: &str, args: &[&str]) {
        let mut command = self.command("dbus-send");
        command.args(["--session", "--type=signal"]);
        command.args(to.map(|to| format!("--dest={to}")));
        command.args([
            "/org/freedesktop/Notifications",
            &format!("org.freedesktop.Notifications.{member}"),
        ]);
        drop(Call::new(command).args(args).done().ok());
    }

    /// The unique names of all connections.
    ///
    /// # Panics
    /// When the bus does not say.
    #[must_use]
    pub fn connections(&self) -> Vec<String> {
        let text = self.ask("org.freedesktop.DBus.ListNames", &[]).ok().text();
        let names = text.split('\'').filter(|name| name.starts_with(':'));
        names.map(str::to_owned).collect()
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        self.daemon.take().into_iter().for_each(end);
        self.others.drain(..).for_each(end);
    }
}

/// A text of a record.
#[must_use]
pub fn said<'r>(record: &'r Value, name: &str) -> &'r str {
    record[name]["data"].as_str().unwrap_or_default()
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("start a program of the desktop")
}

fn end(mut child: Child) {
    drop(child.kill());
    drop(child.wait());
}

/// A directory of no use to anybody, for a bus that is not there.
#[must_use]
pub fn no_bus(dir: &Path) -> String {
    format!("unix:path={}", dir.join("no-bus").display())
}
