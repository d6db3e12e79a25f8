//! Runs a command in a cell: what the cell's tests drive, and a way to look around in one.
//!
//! `cell [OPTION…] -- COMMAND…`. The root is bare, or with `--fuse` a small tree that this program
//! serves itself. Standard output and error come through pipes, or with `--pty` from the cell's
//! terminal; standard input is passed on with `--stdin`. The exit status is the command's, 128 and the
//! number of its signal, or 5 if there is no cell.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program of its own speaks so"
)]

mod tree;

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use valetkey_sandbox::{Cell, CellSpec, Commands, Event, Root, SandboxError, Stdio};

/// What the command line asks for.
#[derive(Default)]
struct Options {
    posture: bool,
    published: Option<OsString>,
    answer_agent: bool,
    leave_stopped: bool,
    times: Option<u32>,
}

fn main() -> ExitCode {
    let (spec, options) = parse(std::env::args_os().skip(1));
    let mut status = 0;
    let started = Instant::now();
    for _ in 0..options.times.unwrap_or(1) {
        status = match run(&spec, &options) {
            Ok(status) => status,
            Err(error) => {
                eprintln!("cell: {error}");
                return ExitCode::from(5);
            }
        };
    }
    if let Some(times) = options.times {
        eprintln!(
            "{:?} a cell",
            started.elapsed().checked_div(times).unwrap_or_default()
        );
    }
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}

fn parse(mut words: impl Iterator<Item = OsString>) -> (CellSpec, Options) {
    let mut spec = CellSpec::new(Vec::new());
    let mut options = Options::default();
    spec.root = Root::Tmpfs;
    spec.cwd = "/tmp".into();
    spec.readme = "How to ask.\n".to_owned();
    spec.env = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("HOME", "/tmp"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .to_vec();
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        match word.to_str().unwrap_or_default() {
            "--" => break,
            "--pty" => spec.stdio = [Stdio::Pty; 3],
            "--stdin" => spec.stdio = [Stdio::Pipe; 3],
            "--fuse" => spec.root = Root::Fuse,
            "--quiet" => spec.quiet_mounts.push(PathBuf::from(value())),
            "--through" => spec.shown_through.push(PathBuf::from(value())),
            "--bind" => spec.extra_ro_binds.push(PathBuf::from(value())),
            "--cwd" => spec.cwd = PathBuf::from(value()),
            "--commands" => {
                let names: Vec<String> = value()
                    .to_string_lossy()
                    .split(',')
                    .map(str::to_owned)
                    .collect();
                match Commands::find(&names, "/usr/bin:/bin".as_ref(), &spec.system_dirs) {
                    Ok(commands) => spec.commands = Some(commands),
                    Err(error) => eprintln!("cell: {error}"),
                }
            }
            "--limit" => match value().to_str().unwrap_or_default().parse() {
                Ok(asked) => spec.limits.set(asked),
                Err(error) => eprintln!("cell: {error}"),
            },
            "--publish" => options.published = Some(value()),
            "--posture" => options.posture = true,
            "--answer-agent" => options.answer_agent = true,
            "--leave-stopped" => options.leave_stopped = true,
            "--times" => options.times = value().to_str().and_then(|text| text.parse().ok()),
            other => eprintln!("cell: unknown option {other}"),
        }
    }
    spec.command = words.collect();
    (spec, options)
}

fn run(spec: &CellSpec, options: &Options) -> Result<i32, SandboxError> {
    let mut launching = Cell::launch(spec)?;
    if let Some(device) = launching.view_fuse.take() {
        let root = tree::Tree::for_view(spec);
        thread::spawn(move || tree::serve(&device, &root));
    }
    for device in launching.quiet_fuse.iter_mut().filter_map(Option::take) {
        thread::spawn(move || tree::serve(&device, &tree::Tree::quiet()));
    }
    let prepared = launching.prepare()?;
    if options.posture {
        println!(
            "{}",
            serde_json::to_string_pretty(prepared.posture()).unwrap_or_default()
        );
    }
    let mut cell = prepared.start()?;
    if let Some(text) = &options.published
        && let Some(board) = &cell.denials
        && let Err(error) = board.publish(text.as_encoded_bytes())
    {
        eprintln!("cell: publish: {error}");
    }
    if options.answer_agent {
        answer_agent(&cell);
    }
    let [input, output, error] = std::mem::take(&mut cell.pipes);
    if let Some(input) = input {
        thread::spawn(move || pass(std::io::stdin(), File::from(input)));
    }
    let mut passing = Vec::new();
    if let Some(from) = cell.pty_master.take() {
        passing.push(thread::spawn(move || {
            pass(File::from(from), std::io::stdout())
        }));
    }
    if let Some(from) = output {
        passing.push(thread::spawn(move || {
            pass(File::from(from), std::io::stdout())
        }));
    }
    if let Some(from) = error {
        passing.push(thread::spawn(move || {
            pass(File::from(from), std::io::stderr())
        }));
    }
    let status = watch(&cell, options)?;
    cell.kill();
    for one in passing {
        drop(one.join());
    }
    Ok(status)
}

fn watch(cell: &Cell, options: &Options) -> Result<i32, SandboxError> {
    loop {
        match cell.wait_event()? {
            Event::Started => {}
            Event::Exited(status) => return Ok(status),
            Event::Killed(signal) => return Ok(signal.saturating_add(128)),
            Event::ExecFailed { program, errno } => {
                eprintln!(
                    "cell: {program}: {}",
                    std::io::Error::from_raw_os_error(errno)
                );
            }
            Event::Stopped(signal) => {
                eprintln!("cell: stopped by {signal}");
                if !options.leave_stopped {
                    cell.resume()?;
                }
            }
            Event::Continued => eprintln!("cell: goes on"),
            Event::Lost => return Ok(255),
        }
    }
}

/// Answers the first connection to the agent's socket with a line.
fn answer_agent(cell: &Cell) {
    let Ok(listener) = cell.agent_listener.as_fd().try_clone_to_owned() else {
        return;
    };
    thread::spawn(move || {
        let listener = std::os::unix::net::UnixListener::from(listener);
        if let Ok((mut stream, _)) = listener.accept() {
            drop(stream.write_all(b"the guard answers\n"));
        }
    });
}

fn pass(mut from: impl Read, mut to: impl Write) {
    let mut bytes = [0; 65536];
    while let Ok(size) = from.read(&mut bytes) {
        let part = bytes.get(..size).unwrap_or_default();
        if part.is_empty() || to.write_all(part).and_then(|()| to.flush()).is_err() {
            break;
        }
    }
}
