//! A real cell, attacked from inside, with the same attacks outside of it as the control.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use valetkey_api::Paths;
use valetkey_guard::Reached;

use super::aim::{Aim, DECOY, Planted, VARIABLE};
use super::finding::{Finding, State};
use super::probe::{self, About, Answer, Told};
use crate::fail::{Fail, Status};
use crate::out;

const SECTION: &str = "cell";
/// All attacks together take a second or two on a slow machine.
const ATTACK_MAX: Duration = Duration::from_secs(60);
/// Attempts that may end the process that makes them: the filter kills for a foreign architecture.
const DEADLY: [&str; 1] = ["x32"];
/// Sockets of the host that give much away.
const SOCKETS: [&str; 8] = [
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/stdout",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/tmp/.X11-unix/X0",
    "/run/snapd.socket",
];

/// Runs in the cell, and outside as the control: makes every attempt, or the one that is named, and tells of each on a line.
pub(crate) fn attack(aim: &str, only: Option<&str>, control: bool) -> Result<u8, Fail> {
    let parsed: Aim = serde_json::from_str(aim).map_err(|error| Fail::new(Status::Usage, error))?;
    if let Some(id) = only {
        let answer = probe::attempt(id, &parsed)
            .ok_or_else(|| Fail::new(Status::Usage, "there is no such probe"))?;
        tell(id, answer);
        return Ok(0);
    }
    for about in probe::all() {
        if control && !about.control {
            continue;
        }
        let answer = if DEADLY.contains(&about.id) {
            in_a_process_of_its_own(about.id, aim)
        } else {
            probe::attempt(about.id, &parsed)
        };
        if let Some(answer) = answer {
            tell(about.id, answer);
        }
    }
    Ok(0)
}

fn in_a_process_of_its_own(id: &str, aim: &str) -> Option<Answer> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new(program)
        .args(["doctor-probe", aim, "--only", id])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told
        .lines()
        .next()
        .and_then(|line| serde_json::from_str::<Told>(line).ok())
    {
        Some(told) => Some(told.answer),
        None => Some(Answer::Held("killed".to_owned())),
    }
}

fn tell(id: &str, answer: Answer) {
    let told = Told {
        id: id.to_owned(),
        answer,
    };
    if let Ok(line) = serde_json::to_string(&told) {
        out::line(&line);
    }
}

/// Which level a session reaches here. Forks, so it comes before anything that takes a thread.
pub(super) fn level(paths: &Paths) -> (Option<Reached>, Finding) {
    let what = "the level that a session reaches";
    match valetkey_guard::reached(paths.mode) {
        Ok(reached) => {
            let lacks: Vec<String> = reached
                .missing
                .iter()
                .map(|(level, lacks)| format!("for `{level}`: {}", lacks.what))
                .collect();
            let mut detail = format!("{}, with {}", reached.level, reached.limits);
            if !lacks.is_empty() {
                detail = format!("{detail}; {}", lacks.join("; "));
            }
            let mut finding = Finding::new(SECTION, "level", what, State::Note, detail);
            if let Some((_, lacks)) = reached.missing.first() {
                finding = finding.next(lacks.next_step);
            }
            (Some(reached), finding)
        }
        Err(error) => {
            let mut finding = Finding::new(
                SECTION,
                "level",
                "a cell can be built",
                State::Fails,
                error.to_string(),
            );
            if let Some(hint) = error.hints().into_iter().next() {
                finding = finding.next(hint);
            }
            (None, finding)
        }
    }
}

/// Attacks a cell, and judges.
pub(super) fn look(paths: &Paths) -> Result<Vec<Finding>, Fail> {
    let failed = |what: &'static str| {
        move |error: std::io::Error| Fail::new(Status::Failed, format!("cannot {what}: {error}"))
    };
    let planted = Planted::new(paths.all(), sockets()).map_err(failed("plant what is aimed at"))?;
    let aim = serde_json::to_string(&planted.aim).map_err(|e| Fail::new(Status::Failed, e))?;
    let program = std::env::current_exe().map_err(failed("find this program"))?;
    let start = |inside: bool| {
        let mut command = Command::new(&program);
        if inside {
            command.args([
                "run",
                "--purpose",
                "valetkey doctor attacks a cell of its own",
            ]);
            command.arg("--policy").arg(&planted.policy);
            command.arg("--workspace").arg(&planted.aim.workspace);
            command.arg("--").arg(&program);
        }
        command.args(["doctor-probe", &aim]);
        if !inside {
            command.arg("--control");
        }
        command
            .current_dir(&planted.aim.workspace)
            .env(VARIABLE, DECOY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let descriptor = planted.descriptor()?;
        valetkey_sys::spawn::spawn_with_fds(&mut command, vec![descriptor])
    };
    let attacking = start(true).map_err(failed("start a session"))?;
    let control = start(false).map_err(failed("start the control"))?;
    let (inside, outside) = (finish(attacking)?, finish(control)?);
    let (attacks, controls) = (told(&inside.0), told(&outside.0));
    let mut findings: Vec<_> = probe::all()
        .iter()
        .map(|about| judge(about, attacks.get(about.id), controls.get(about.id)))
        .collect();
    if attacks.is_empty() {
        // One finding in place of one for each: nothing was attacked.
        let why = inside.1.trim().trim_start_matches("error: ").to_owned();
        findings = vec![Finding::new(
            SECTION,
            "session",
            "a session starts",
            State::Fails,
            why,
        )];
    }
    Ok(findings)
}

fn sockets() -> Vec<PathBuf> {
    let mut sockets: Vec<PathBuf> = SOCKETS.iter().map(PathBuf::from).collect();
    sockets.extend(std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from));
    if let Some(dir) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) {
        sockets.extend(
            ["bus", "wayland-0", "gnupg/S.gpg-agent", "keyring/control"].map(|name| dir.join(name)),
        );
    }
    sockets
}

/// Waits for a child; what it said, and what it complained of.
fn finish(child: Child) -> Result<(String, String), Fail> {
    let pid = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    let waiter = std::thread::Builder::new().spawn(move || {
        // Nobody listens any more if it took too long.
        drop(sender.send(child.wait_with_output()));
    });
    waiter.map_err(|error| Fail::new(Status::Failed, error))?;
    match receiver.recv_timeout(ATTACK_MAX) {
        Ok(Ok(output)) => Ok((
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )),
        Ok(Err(error)) => Err(Fail::new(Status::Failed, error)),
        Err(_) => {
            let pid = i32::try_from(pid)
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                // It is our own child, and not waited for yet: its number is its own.
                let _killed = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            Err(Fail::new(Status::Failed, "the attacks did not end"))
        }
    }
}

fn told(text: &str) -> BTreeMap<String, Answer> {
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Told>(line).ok());
    lines.map(|told| (told.id, told.answer)).collect()
}

/// What an attempt and its control say together. An attempt that was not told of is none that was held.
fn judge(about: &About, attack: Option<&Answer>, control: Option<&Answer>) -> Finding {
    let (state, detail) = match (attack, control) {
        (None, _) => (
            State::Fails,
            "the attempt did not tell what came of it".to_owned(),
        ),
        (Some(Answer::Through(how)), _) => (State::Fails, how.clone()),
        (Some(Answer::Held(how)), None) if !about.control => (State::Holds, how.clone()),
        (Some(Answer::Held(how)), Some(Answer::Through(_))) => (State::Holds, how.clone()),
        (Some(Answer::Held(_)), Some(Answer::Held(how))) => (
            State::NotCheckable,
            format!("outside of a cell, too: {how}"),
        ),
        (Some(Answer::Held(_)), None) => {
            (State::NotCheckable, "the control did not run".to_owned())
        }
    };
    let what = format!(
        "{}: cannot {} [{}]",
        about.wall.name(),
        about.tries,
        about.id
    );
    Finding::new(SECTION, about.id, what, state, detail)
        .of_wall(about.wall)
        .mend(
            "do not start agents here, and report this with the output of `valetkey doctor --json`",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_only_where_it_comes_through_outside() {
        let held = Answer::Held("no".to_owned());
        let through = Answer::Through("yes".to_owned());
        let mut about = probe::all()
            .into_iter()
            .find(|about| about.control)
            .unwrap();
        let state = |about: &About, attack, control| judge(about, attack, control).state;
        assert_eq!(state(&about, Some(&held), Some(&through)), State::Holds);
        assert_eq!(state(&about, Some(&held), Some(&held)), State::NotCheckable);
        assert_eq!(state(&about, Some(&held), None), State::NotCheckable);
        assert_eq!(state(&about, Some(&through), Some(&held)), State::Fails);
        assert_eq!(state(&about, None, Some(&through)), State::Fails);
        about.control = false;
        assert_eq!(state(&about, Some(&held), None), State::Holds);
    }
}
