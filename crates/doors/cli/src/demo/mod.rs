//! `valetkey demo`: the whole story, with a real agent in a real cell, step by step.

pub(crate) mod agent;
mod check;
mod house;
mod person;
mod tamper;
mod workbook;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::args::DemoArgs;
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};
use check::Checks;
use house::House;

/// The demonstration must end within this.
const TIME: Duration = Duration::from_secs(60);

/// Runs the demonstration; the exit status is not 0 if any step did not end as it must.
pub(crate) fn run(args: &DemoArgs) -> Result<u8, Fail> {
    let started = Instant::now();
    let house = House::build(args.keep)?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")
        .map_err(|error| failed("listen on loopback", &error))?;
    let port = listener
        .local_addr()
        .map_err(|error| failed("listen on loopback", &error))?
        .port();
    introduce(&house);
    let mut checks = Checks::default();
    let mut session = start_session(&house, port)?;
    let person = person::Person::start(&house, args.interactive)?;
    let status = wait(&mut session, args.interactive)?;
    let answered = person.finish()?;
    let report = house.agent_report()?;
    let nobody_called = listener.set_nonblocking(true).is_ok() && listener.accept().is_err();
    check::task(&mut checks, &house, &report, &answered);
    check::side_steps(&mut checks, &report, nobody_called);
    checks.check(
        "the session ended in good order",
        status == 0,
        &format!("exit status {status}"),
    );
    tamper::trail_and_proof(&mut checks, &house)?;
    house.stop_broker();
    out::line("");
    let seconds = started.elapsed().as_secs_f64();
    if checks.failed() == 0 {
        let all = format!(
            "all {} steps ended as they must, in {seconds:.1} s",
            checks.passed()
        );
        out::line(&styled(Style::Green, &all));
        out::line("Next: valetkey run -- bash");
        Ok(0)
    } else {
        Err(Fail::new(
            Status::Failed,
            format!(
                "{} of {} steps did not end as they must",
                checks.failed(),
                checks.failed().saturating_add(checks.passed())
            ),
        )
        .hinted("run it again with --keep and look at the folder and the log"))
    }
}

fn introduce(house: &House) {
    out::line(&styled(
        Style::Bold,
        "Valetkey: give your agent the valet key, not the key ring",
    ));
    out::line("");
    out::line("A folder of a finance team, with secrets beside it:");
    for (path, what) in house.inventory() {
        out::line(&format!("  {path:<28} {}", styled(Style::Dim, what)));
    }
    out::line("");
    out::line(
        "An agent starts in a cell. It was given nothing; the policy `finance` decides what it may ask for.",
    );
    out::line("");
}

fn start_session(house: &House, port: u16) -> Result<Child, Fail> {
    let program = std::env::current_exe().map_err(|error| failed("find this program", &error))?;
    let mut command = Command::new(&program);
    house.environment(&mut command);
    command
        .current_dir(house.folder())
        .args([
            "run",
            "--purpose",
            "bring the quarterly report up to date",
            "--policy",
        ])
        .arg(house.policy())
        .arg("--workspace")
        .arg(house.folder())
        .arg("--")
        .arg(&program)
        .arg("demo-agent")
        .arg(house.folder())
        .arg("--listener")
        .arg(port.to_string())
        .stdin(Stdio::null())
        .stdout(house.report_file()?)
        .stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|error| failed("start the session", &error))
}

fn wait(session: &mut Child, interactive: bool) -> Result<i32, Fail> {
    let deadline = if interactive {
        None
    } else {
        Instant::now().checked_add(TIME)
    };
    let status = loop {
        if let Some(status) = session
            .try_wait()
            .map_err(|error| failed("wait for the session", &error))?
        {
            break status;
        }
        if deadline.is_some_and(|deadline| Instant::now() > deadline) {
            // It is reaped below, whether or not it had ended by itself just now.
            drop(session.kill());
            drop(session.wait());
            return Err(Fail::new(Status::Failed, "the session did not end"));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut words = String::new();
    if let Some(stderr) = &mut session.stderr {
        // What it said is only for the message below.
        drop(std::io::Read::read_to_string(stderr, &mut words));
    }
    if let Some(code) = status.code().filter(|code| *code != 0) {
        let fail = Fail::new(
            Status::Failed,
            format!("the session ended with status {code}: {}", words.trim()),
        );
        return Err(if code == 5 { fail.with_status(5) } else { fail });
    }
    Ok(status.code().unwrap_or(-1))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Fail {
    Fail::new(Status::Failed, format!("cannot {what}: {error}"))
}
