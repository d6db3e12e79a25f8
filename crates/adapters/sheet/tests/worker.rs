//! Drives the real worker as the guard does, and puts liars in its place.

#[cfg(test)]
mod tests {
    use std::fs::{self, File, OpenOptions};
    use std::io::{Cursor, Read, Seek, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::{Duration, Instant};

    use calamine::{Data, Reader, Xlsx, open_workbook_from_rs};
    use valetkey_sheet::worker::{WorkerError, run_worker};
    use valetkey_sheet::{AppendReport, AppendRows, Cell, Limits};
    use valetkey_sys::spawn::spawn_with_fds;

    const WORKER: &str = env!("CARGO_BIN_EXE_valetkey-sheet");
    /// A script just written cannot be executed while a fork of another test still holds it open.
    static ALONE: Mutex<()> = Mutex::new(());
    const AMPLE: Duration = Duration::from_secs(60);

    fn alone() -> MutexGuard<'static, ()> {
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(name)
    }

    fn job(sheet: &str, rows: usize) -> AppendRows {
        AppendRows {
            sheet: sheet.to_owned(),
            rows: vec![vec![Cell::from("=1+1"), Cell::from(2.5), Cell::from(true)]; rows],
            limits: Limits {
                max_rows: Some(50),
                ..Limits::default()
            },
        }
    }

    /// Runs a worker on a fixture and gives back its answer and what it wrote.
    fn run(
        program: &Path,
        name: &str,
        job: &AppendRows,
        limit: Duration,
    ) -> (Result<AppendReport, WorkerError>, Vec<u8>) {
        let output = tempfile::tempfile().unwrap();
        let mut written = output.try_clone().unwrap();
        let input = File::open(fixture(name)).unwrap();
        let result = run_worker(program, input, output, job, limit);
        let mut bytes = Vec::new();
        written.rewind().unwrap();
        written.read_to_end(&mut bytes).unwrap();
        (result, bytes)
    }

    fn refusal(name: &str, job: &AppendRows) -> (&'static str, String) {
        let error = run(Path::new(WORKER), name, job, AMPLE).0.unwrap_err();
        assert!(matches!(error, WorkerError::Refused { .. }), "{error:?}");
        (error.kind(), error.to_string())
    }

    #[test]
    fn the_confined_worker_appends_what_it_is_asked() {
        let _alone = alone();
        let (report, bytes) = run(
            Path::new(WORKER),
            "QuarterlyReport.xlsx",
            &job("Sales", 50),
            AMPLE,
        );
        let report = report.unwrap();
        assert_eq!(
            (report.first_row, report.last_row, report.rows),
            (14, 63, 50)
        );
        let mut book: Xlsx<_> = open_workbook_from_rs(Cursor::new(bytes)).unwrap();
        let sales = book.worksheet_range("Sales").unwrap();
        assert_eq!(sales.get_value((62, 0)), Some(&Data::String("=1+1".into())));
        assert_eq!(sales.get_value((62, 1)), Some(&Data::Float(2.5)));
        assert_eq!(sales.get_value((62, 2)), Some(&Data::Bool(true)));
    }

    #[test]
    fn the_worker_and_the_library_write_the_same_bytes() {
        let _alone = alone();
        let (_, by_worker) = run(
            Path::new(WORKER),
            "QuarterlyReport.xlsx",
            &job("Sales", 3),
            AMPLE,
        );
        let mut by_library = Cursor::new(Vec::new());
        let input = File::open(fixture("QuarterlyReport.xlsx")).unwrap();
        valetkey_sheet::append_rows(input, &mut by_library, &job("Sales", 3)).unwrap();
        assert_eq!(by_worker, by_library.into_inner());
    }

    #[test]
    fn refusals_come_through_with_their_kind() {
        let _alone = alone();
        let (kind, message) = refusal("QuarterlyReport.xlsx", &job("Sales", 51));
        assert_eq!(
            (kind, message.as_str()),
            ("too_many_rows", "51 rows asked, at most 50 allowed")
        );
        assert_eq!(refusal("Ledger.xlsm", &job("Entries", 1)).0, "macros");
        assert_eq!(
            refusal("QuarterlyReport.xlsx", &job("Nowhere", 1)).0,
            "sheet_not_found"
        );
        assert_eq!(
            refusal("make_fixtures.py", &job("Sales", 1)).0,
            "unsupported"
        );
    }

    #[test]
    fn a_job_near_the_ceiling_of_the_protocol_fits_into_the_confinement() {
        let _alone = alone();
        let mut job = job("Sales", 0);
        job.limits.max_rows = None;
        job.rows = vec![vec![Cell::from("some words & others"); 100]; 400];
        let (report, _) = run(Path::new(WORKER), "QuarterlyReport.xlsx", &job, AMPLE);
        assert_eq!(report.unwrap().rows, 400);
        job.rows = vec![vec![Cell::from("some words & others"); 100]; 600];
        let (report, _) = run(Path::new(WORKER), "QuarterlyReport.xlsx", &job, AMPLE);
        assert!(matches!(report, Err(WorkerError::BadCall(_))), "{report:?}");
    }

    #[test]
    fn files_that_are_not_as_they_have_to_be_are_refused() {
        let _alone = alone();
        let input = || File::open(fixture("QuarterlyReport.xlsx")).unwrap();
        let output = || tempfile::tempfile().unwrap();
        let full = || {
            let mut file = output();
            file.write_all(b"x").unwrap();
            file
        };
        let writable = || {
            let mut file = output();
            file.write_all(&fs::read(fixture("QuarterlyReport.xlsx")).unwrap())
                .unwrap();
            file
        };
        let write_only = || {
            let file = tempfile::NamedTempFile::new().unwrap();
            OpenOptions::new().write(true).open(file.path()).unwrap()
        };
        let device = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap()
        };
        for (input, output) in [
            (writable(), output()),
            (File::open("/").unwrap(), output()),
            (File::open("/dev/zero").unwrap(), output()),
            (input(), full()),
            (input(), input()),
            (input(), write_only()),
            (input(), device()),
        ] {
            let result = run_worker(Path::new(WORKER), input, output, &job("Sales", 1), AMPLE);
            assert!(matches!(result, Err(WorkerError::BadCall(_))), "{result:?}");
        }
    }

    /// A stand-in for the worker: a shell script.
    fn stand_in(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    }

    fn stand_in_says(script: &str, limit: Duration) -> WorkerError {
        let (_folder, path) = stand_in(script);
        run(&path, "QuarterlyReport.xlsx", &job("Sales", 2), limit)
            .0
            .expect_err(script)
    }

    #[test]
    fn a_worker_that_does_not_answer_in_time_is_stopped() {
        let _alone = alone();
        for script in [
            "while :; do :; done",
            // It answers, closes its output and stays.
            "echo '{}'; exec >&-; while :; do :; done",
            "trap '' TERM INT HUP; while :; do :; done",
        ] {
            let began = Instant::now();
            let error = stand_in_says(script, Duration::from_millis(300));
            assert!(
                matches!(error, WorkerError::TimedOut(_)),
                "{script}: {error:?}"
            );
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    }

    #[test]
    fn a_worker_that_crashes_counts_for_nothing() {
        let _alone = alone();
        let good = r#"{"ok":{"first_row":14,"last_row":15,"rows":2,"bytes_written":9,"sheet_part":"x","parts_total":17,"parts_unchanged":16}}"#;
        for script in [
            "kill -9 $$",
            "exit 1",
            &format!("echo '{good}'; kill -11 $$"),
            &format!("echo '{good}'; exit 7"),
        ] {
            let error = stand_in_says(script, AMPLE);
            assert!(
                matches!(error, WorkerError::Crashed(_)),
                "{script}: {error:?}"
            );
        }
        // The same answer is believed from one that ends well.
        let (_folder, path) = stand_in(&format!("echo '{good}'"));
        run(&path, "QuarterlyReport.xlsx", &job("Sales", 2), AMPLE)
            .0
            .unwrap();
    }

    #[test]
    fn a_worker_that_lies_is_not_believed() {
        let _alone = alone();
        let report = |first: u32, last: u32, rows: u32, bytes: u32, unchanged: u32| {
            format!(
                r#"echo '{{"ok":{{"first_row":{first},"last_row":{last},"rows":{rows},"bytes_written":{bytes},"sheet_part":"x","parts_total":17,"parts_unchanged":{unchanged}}}}}'"#
            )
        };
        for script in [
            String::from("true"),
            String::from("echo hello"),
            String::from("echo '{}'"),
            String::from(r#"echo '{"ok":{}}'"#),
            String::from(r#"echo '{"ok":null,"error":null}'"#),
            String::from(r#"echo '{"error":{"kind":"harmless","message":""}}'"#),
            String::from(r#"echo '{"error":{"kind":"macros","message":"","more":1}}'"#),
            String::from("while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"),
            report(14, 15, 2, 9, 15),
            report(14, 15, 3, 9, 16),
            report(14, 14, 2, 9, 16),
            report(15, 14, 2, 9, 16),
            report(0, 1, 2, 9, 16),
            format!("{0}; {0}", report(14, 15, 2, 9, 16)),
        ] {
            let error = stand_in_says(&script, AMPLE);
            assert!(
                matches!(error, WorkerError::BadAnswer(_)),
                "{script}: {error:?}"
            );
        }
    }

    #[test]
    fn the_limit_on_bytes_is_measured_on_the_real_file() {
        let _alone = alone();
        let answer = r#"echo '{"ok":{"first_row":14,"last_row":15,"rows":2,"bytes_written":9,"sheet_part":"x","parts_total":17,"parts_unchanged":16}}'"#;
        let (_folder, path) = stand_in(&format!("cat <&3 >&4; echo more >&4; {answer}"));
        let mut job = job("Sales", 2);
        for (most, fine) in [(9, true), (5, false)] {
            job.limits.max_write_bytes = Some(most);
            let result = run(&path, "QuarterlyReport.xlsx", &job, AMPLE).0;
            assert_eq!(result.is_ok(), fine, "{result:?}");
        }
        let (_folder, path) = stand_in(&format!("cat <&3 >&4; echo much more >&4; {answer}"));
        job.limits.max_write_bytes = Some(9);
        let result = run(&path, "QuarterlyReport.xlsx", &job, AMPLE).0;
        assert!(
            matches!(result, Err(WorkerError::BadAnswer(_))),
            "{result:?}"
        );
    }

    #[test]
    fn what_a_worker_says_cannot_steer_a_terminal() {
        let _alone = alone();
        let script = r#"printf '{"error":{"kind":"malformed","message":"a\\u001b[2J\\u202eb"}}\n'"#;
        assert_eq!(
            stand_in_says(script, AMPLE).to_string(),
            "a\u{fffd}[2J\u{fffd}b"
        );
    }

    #[test]
    fn a_worker_starts_with_nothing_but_its_descriptors() {
        let _alone = alone();
        let (_folder, path) = stand_in("env >&4; pwd >&4; echo /proc/self/fd/* >&4");
        let (_, written) = run(&path, "QuarterlyReport.xlsx", &job("Sales", 2), AMPLE);
        let written = String::from_utf8(written).unwrap();
        // The shell itself sets PWD and the like.
        assert!(
            !written.contains("CARGO") && !written.contains("HOME"),
            "{written}"
        );
        assert!(written.contains("\n/\n"), "{written}");
        let descriptors = written.lines().last().unwrap().split(' ').count();
        // 0 to 4, the script, and the directory that the shell reads.
        assert!(descriptors <= 7, "{written}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let _alone = alone();
        let path = Path::new("/nonexistent/valetkey-sheet");
        let result = run(path, "QuarterlyReport.xlsx", &job("Sales", 2), AMPLE).0;
        assert_eq!(result.unwrap_err().kind(), "worker_io");
    }

    #[test]
    fn a_worker_without_its_descriptors_answers_and_ends() {
        let _alone = alone();
        let ended = Command::new(WORKER).stdin(Stdio::null()).output().unwrap();
        assert!(ended.status.success());
        assert!(
            String::from_utf8(ended.stdout)
                .unwrap()
                .starts_with(r#"{"error":{"kind":"bad_job""#)
        );
    }

    #[test]
    fn the_worker_is_confined_before_it_reads_its_job() {
        let _alone = alone();
        let input = File::open(fixture("QuarterlyReport.xlsx")).unwrap();
        let mut command = Command::new(WORKER);
        command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let descriptors = vec![input.into(), tempfile::tempfile().unwrap().into()];
        let mut worker = spawn_with_fds(&mut command, descriptors).unwrap();
        // It waits for a job now that does not come yet.
        let status = format!("/proc/{}/status", worker.id());
        let confined = |status: &str| {
            status.contains("\nSeccomp:\t2\n") && status.contains("\nNoNewPrivs:\t1\n")
        };
        let deadline = Instant::now() + AMPLE;
        while !confined(&fs::read_to_string(&status).unwrap()) {
            assert!(Instant::now() < deadline, "the worker is not confined");
            std::thread::sleep(Duration::from_millis(5));
        }
        let text = serde_json::to_vec(&job("Sales", 1)).unwrap();
        worker.stdin.take().unwrap().write_all(&text).unwrap();
        let ended = worker.wait_with_output().unwrap();
        assert!(ended.status.success(), "{:?}", ended.status);
        assert!(ended.stdout.starts_with(br#"{"ok":{"first_row":14,"#));
    }

    /// The example that tries to get out. Cargo builds it for `cargo test`, but leaves an old one
    /// for `cargo test --test worker`, so it is built here; without Cargo it is as it is.
    fn attempts() -> PathBuf {
        let path = Path::new(WORKER)
            .with_file_name("examples")
            .join("confined_attempts");
        if let Some(cargo) = std::env::var_os("CARGO") {
            let release = path.components().any(|part| part.as_os_str() == "release");
            let built = Command::new(cargo)
                .args(["build", "--quiet", "--package", "valetkey-sheet"])
                .args(["--example", "confined_attempts"])
                .args(release.then_some("--release"))
                .status();
            assert!(built.unwrap().success());
        }
        path
    }

    #[test]
    fn a_worker_that_is_taken_over_gets_nowhere() {
        let _alone = alone();
        let program = attempts();
        for what in [
            "open",
            "reopen",
            "create",
            "look",
            "list",
            "tcp",
            "udp",
            "unix",
            "start",
            "thread",
            "duplicate",
            "signal",
        ] {
            let free = Command::new(&program)
                .args([what, "unconfined"])
                .output()
                .unwrap();
            assert_eq!(
                free.status.code(),
                Some(0),
                "{what} does not work even unconfined"
            );
            let held = Command::new(&program).arg(what).output().unwrap();
            // Killed by the filter, or refused; never done, and never for want of confinement.
            assert!(
                matches!(held.status.code(), None | Some(1)),
                "{what}: {:?}",
                held.status
            );
        }
        let honest = Command::new(&program).arg("compute").output().unwrap();
        assert!(honest.status.success(), "{:?}", honest.status);
        assert_eq!(honest.stdout, b"[1024, 65536, 4194304, 67108864]\n");
    }
}
