//! Rows appended to a workbook by a typed operation: the file changes in that sheet and nowhere else, or not at all.

use std::fs;
use std::io::{Cursor, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use valetkey_tests::{Home, id, is_root, skipped};

use super::agent_door::Talk;
use super::needs_cells;

const REPORT: &[u8] =
    include_bytes!("../../../crates/adapters/sheet/fixtures/QuarterlyReport.xlsx");
const LEDGER: &[u8] = include_bytes!("../../../crates/adapters/sheet/fixtures/Ledger.xlsm");

/// A finance folder under its policy.
struct Office {
    home: Home,
    folder: PathBuf,
    policy: PathBuf,
}

impl Office {
    fn new() -> Self {
        let home = Home::new();
        let folder = home.path("Finance");
        for (name, bytes) in [
            ("QuarterlyReport.xlsx", REPORT),
            ("Other.xlsx", REPORT),
            ("Ledger.xlsm", LEDGER),
            ("Plain.xlsx", b"no workbook\n"),
        ] {
            let path = home.write(&format!("Finance/Reports/{name}"), bytes);
            fs::set_permissions(path, fs::Permissions::from_mode(0o640)).expect("mode");
        }
        fs::write(home.outside("Outside.xlsx"), REPORT).expect("write");
        std::os::unix::fs::symlink(
            home.outside("Outside.xlsx"),
            folder.join("Reports/Linked.xlsx"),
        )
        .expect("link");
        std::os::unix::fs::symlink("Other.xlsx", folder.join("Reports/Near.xlsx")).expect("link");
        fs::create_dir(folder.join("Reports/Folder.xlsx")).expect("make");
        let policy = home.outside("policy");
        fs::create_dir(&policy).expect("make");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/finance/finance.rego");
        fs::copy(rules, policy.join("finance.rego")).expect("the finance policy");
        Self {
            home,
            folder,
            policy,
        }
    }

    fn report(&self, name: &str) -> PathBuf {
        self.folder.join("Reports").join(name)
    }

    fn talk(&self) -> Talk {
        self.talk_with(&[])
    }

    fn talk_with(&self, further: &[&str]) -> Talk {
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        let (folder, policy) = (text(&self.folder), text(&self.policy));
        let mut options = vec!["--workspace", &folder, "--policy", &policy];
        options.extend(further);
        Talk::start(&self.home, &options)
    }

    fn append(&self, name: &str, sheet: &str, rows: usize) -> Value {
        let row = json!([
            "2026-01-17",
            "North",
            "=HYPERLINK(\"http://evil\")",
            3,
            1250.5
        ]);
        json!({"operation": "sheet.append_rows", "resource": format!("file:{}", self.report(name).display()), "sheet": sheet, "rows": vec![row; rows]})
    }

    /// Whether every workbook is as it was.
    fn assert_untouched(&self) {
        for (name, bytes) in [
            ("QuarterlyReport.xlsx", REPORT),
            ("Other.xlsx", REPORT),
            ("Ledger.xlsm", LEDGER),
        ] {
            assert!(
                fs::read(self.report(name)).expect("read") == bytes,
                "{name} was changed"
            );
        }
        assert!(fs::read(self.home.outside("Outside.xlsx")).expect("read") == REPORT);
        let left = fs::read_dir(self.folder.join("Reports"))
            .expect("list")
            .flatten();
        for entry in left {
            assert!(
                !entry.file_name().to_string_lossy().starts_with(".valetkey"),
                "{entry:?} was left behind"
            );
        }
    }
}

/// The parts of a package as they are stored.
fn parts(package: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(package)).expect("a package");
    let mut parts = Vec::new();
    for index in 0..archive.len() {
        let mut part = archive.by_index_raw(index).expect("a part");
        let name = part.name().expect("a name").into_owned();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).expect("read");
        parts.push((name, bytes));
    }
    parts
}

#[test]
fn rows_are_appended_and_all_else_is_kept() {
    needs_cells!();
    let office = Office::new();
    let person = office.home.person();
    let before = fs::metadata(office.report("QuarterlyReport.xlsx")).expect("stat");
    let mut talk = office.talk();
    let (status, done) = talk.call(
        "POST",
        "/v1/operations",
        &office.append("QuarterlyReport.xlsx", "Sales", 2),
    );
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["report"]["rows"], 2);
    let changed = done["report"]["sheet_part"]
        .as_str()
        .expect("a part")
        .to_owned();
    let after = fs::read(office.report("QuarterlyReport.xlsx")).expect("read");
    let stat = fs::metadata(office.report("QuarterlyReport.xlsx")).expect("stat");
    assert_eq!(
        (stat.mode(), stat.uid(), stat.gid()),
        (before.mode(), before.uid(), before.gid())
    );
    let (old, new) = (parts(REPORT), parts(&after));
    assert_eq!(old.len(), new.len());
    for ((old_name, old_bytes), (new_name, new_bytes)) in old.iter().zip(&new) {
        assert_eq!(old_name, new_name);
        assert_eq!(old_bytes == new_bytes, *old_name != changed, "{old_name}");
    }
    // The one use is made: the next is asked about again.
    let (status, again) = talk.call(
        "POST",
        "/v1/operations",
        &office.append("QuarterlyReport.xlsx", "Sales", 1),
    );
    assert_eq!(status, 200, "{again}");
    assert_ne!(again["capability_id"], done["capability_id"]);
    drop(talk.finish().ok());
    assert_eq!(person.finish(), 2);
    let performed = office.home.events("operation.performed");
    let appended: Vec<&Value> = performed
        .iter()
        .filter(|event| event.to_string().contains("sheet.append_rows"))
        .collect();
    assert_eq!(appended.len(), 2);
    assert!(
        appended
            .iter()
            .all(|event| event["evidence"]["file_hash"].is_string()),
        "{appended:?}"
    );
    assert!(
        !office
            .home
            .trail()
            .iter()
            .any(|event| event.to_string().contains("HYPERLINK")),
        "content is not in the log"
    );
    office.home.verify();
}

#[test]
fn rows_that_were_appended_are_undone() {
    needs_cells!();
    let office = Office::new();
    let person = office.home.person();
    let before = fs::metadata(office.report("QuarterlyReport.xlsx")).expect("stat");
    let mut talk = office.talk_with(&["--undo"]);
    for rows in [1, 2] {
        let append = office.append("QuarterlyReport.xlsx", "Sales", rows);
        let (status, done) = talk.call("POST", "/v1/operations", &append);
        assert_eq!(status, 200, "{done}");
    }
    let wrong = office.append("QuarterlyReport.xlsx", "No such sheet", 1);
    drop(talk.refused("/v1/operations", &wrong, "constraint"));
    drop(talk.finish().ok());
    drop(person);
    assert!(fs::read(office.report("QuarterlyReport.xlsx")).expect("read") != REPORT);
    let plan = office.home.valetkey(["undo", "--dry-run"]).done().ok();
    let path = office.report("QuarterlyReport.xlsx");
    assert_eq!(plan.text(), format!("restore   {}\n", path.display()));
    drop(office.home.valetkey(["undo"]).done().ok());
    office.assert_untouched();
    let after = fs::metadata(&path).expect("stat");
    let all = |data: &fs::Metadata| (data.mode(), data.uid(), data.mtime(), data.mtime_nsec());
    assert_eq!(all(&after), all(&before));
}

#[test]
fn what_a_limit_or_the_policy_forbids_leaves_the_file_as_it_was() {
    needs_cells!();
    let office = Office::new();
    let person = office.home.person();
    let mut talk = office.talk();
    let mut refused = |body: &Value, kind: &str| {
        let problem = talk.refused("/v1/operations", body, kind);
        office.assert_untouched();
        problem["detail"].as_str().expect("a detail").to_owned()
    };
    let words = refused(
        &office.append("QuarterlyReport.xlsx", "Sales", 51),
        "constraint",
    );
    assert!(words.contains("max_rows"), "{words}");
    let words = refused(&office.append("Ledger.xlsm", "Entries", 1), "denied");
    assert!(words.contains("macros"), "{words}");
    let words = refused(
        &office.append("QuarterlyReport.xlsx", "No such sheet", 1),
        "constraint",
    );
    assert!(words.contains("sheet"), "{words}");
    let mut long = office.append("QuarterlyReport.xlsx", "Sales", 1);
    long["rows"] = json!(vec![json!(["x".repeat(30_000)]); 4]);
    let words = refused(&long, "constraint");
    assert!(
        words.contains("max_write_bytes") || words.contains("bytes"),
        "{words}"
    );
    for name in ["Linked.xlsx", "Near.xlsx", "Missing.xlsx", "Folder.xlsx"] {
        refused(&office.append(name, "Sales", 1), "not-found");
    }
    refused(&office.append("Plain.xlsx", "Sales", 1), "constraint");
    for resource in [
        "/etc/passwd".to_owned(),
        office.home.outside("Outside.xlsx").display().to_string(),
        office.home.path("Finance/Reports").display().to_string(),
    ] {
        let mut elsewhere = office.append("QuarterlyReport.xlsx", "Sales", 1);
        elsewhere["resource"] = json!(format!("file:{resource}"));
        let (status, problem) = talk_once(&office, &elsewhere);
        assert!(status == 403 || status == 404, "{resource}: {problem}");
    }
    let mut pattern = office.append("QuarterlyReport.xlsx", "Sales", 1);
    pattern["resource"] = json!(format!("file:{}/Reports/*.xlsx", office.folder.display()));
    let (status, problem) = talk_once(&office, &pattern);
    assert_eq!(
        (status, &problem["type"]),
        (400, &json!("urn:valetkey:problem:invalid"))
    );
    office.assert_untouched();
    drop(talk.finish().ok());
    drop(person);
    office.home.verify();
}

fn talk_once(office: &Office, body: &Value) -> (u16, Value) {
    let mut talk = office.talk();
    let answer = talk.call("POST", "/v1/operations", body);
    drop(talk.finish().ok());
    answer
}

#[test]
fn a_capability_of_another_session_or_of_nobody_is_no_good() {
    needs_cells!();
    let office = Office::new();
    let mut first = office.talk();
    let ask = json!({"resource": format!("file:{}", office.report("QuarterlyReport.xlsx").display()), "actions": ["append"]});
    let (_, pending) = first.call("POST", "/v1/requests", &ask);
    let id = pending["request_id"].as_str().expect("an id").to_owned();
    drop(
        office
            .home
            .approve(&office.home.wait_for_question("/QuarterlyReport.xlsx")),
    );
    let (_, granted) = first.call("GET", &format!("/v1/requests/{id}?wait=10"), &Value::Null);
    let capability = granted["capability"]["capability_id"].clone();
    assert!(capability.is_string(), "{granted}");
    let mut second = office.talk();
    let mut append = office.append("QuarterlyReport.xlsx", "Sales", 1);
    append["capability_id"] = capability.clone();
    second.refused("/v1/operations", &append, "capability");
    append["capability_id"] = json!("cap-01K00000000000000000000000");
    second.refused("/v1/operations", &append, "capability");
    append["capability_id"] = json!("nonsense");
    second.refused("/v1/operations", &append, "invalid");
    office.assert_untouched();
    // On another file it is no good in its own session either.
    let mut other = office.append("Other.xlsx", "Sales", 1);
    other["capability_id"] = capability.clone();
    first.refused("/v1/operations", &other, "capability");
    office.assert_untouched();
    // Where it belongs it works, once.
    append["capability_id"] = capability.clone();
    assert_eq!(first.call("POST", "/v1/operations", &append).0, 200);
    first.refused("/v1/operations", &append, "capability");
    drop((first.finish().ok(), second.finish().ok()));
    office.home.verify();
}

#[test]
fn a_file_that_changes_meanwhile_is_left_alone() {
    needs_cells!();
    let office = Office::new();
    let mut talk = office.talk();
    talk.send(
        "POST",
        "/v1/operations",
        &office
            .append("QuarterlyReport.xlsx", "Sales", 1)
            .to_string(),
    );
    let question = office.home.wait_for_question("/QuarterlyReport.xlsx");
    let mut other = REPORT.to_vec();
    other.extend_from_slice(b"and more");
    fs::write(office.report("QuarterlyReport.xlsx"), &other).expect("write");
    // The approval is of a file that is not there any more.
    let approved = office.home.valetkey(["approve", id(&question)]).done();
    drop(approved.expect(3).says("no longer what was shown"));
    let (status, _, problem) = talk.answer();
    assert_eq!(status, 403, "{problem}");
    assert!(fs::read(office.report("QuarterlyReport.xlsx")).expect("read") == other);
    drop(talk.finish().ok());
}

#[test]
fn the_rows_are_shown_before_they_are_appended() {
    needs_cells!();
    let office = Office::new();
    let mut talk = office.talk();
    let mut append = office.append("QuarterlyReport.xlsx", "Sales", 1);
    append["rows"] = json!([
        ["\u{1b}[2Jpaid \u{202e}", 12.5, null, true],
        ["x".repeat(900)],
        ["a line\n+ that is none"],
    ]);
    talk.send("POST", "/v1/operations", &append.to_string());
    let question = office.home.wait_for_question("/QuarterlyReport.xlsx");
    let change = &question["change"];
    assert_eq!(change["added"], 3, "{change}");
    assert_eq!(change["omitted"], 1, "{change}");
    let shown = office.home.valetkey(["requests"]).done().ok().text();
    for words in [
        "3 rows added, 0 removed",
        "sheet \"Sales\"",
        "| 12.5 |  | true",
        "and 1 more that are not shown",
        "is not for this content alone",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    assert!(
        !shown.lines().any(|line| line.trim() == "+ that is none\""),
        "{shown}"
    );
    drop(office.home.deny(&question));
    assert_eq!(talk.answer().0, 403);
    office.assert_untouched();
    // What people write into a document is in no event.
    assert!(
        !office
            .home
            .trail()
            .iter()
            .any(|event| event.to_string().contains("12.5"))
    );
    drop(talk.finish().ok());
}

#[test]
fn a_refused_append_changes_nothing() {
    needs_cells!();
    let office = Office::new();
    let mut talk = office.talk();
    talk.send(
        "POST",
        "/v1/operations",
        &office
            .append("QuarterlyReport.xlsx", "Sales", 1)
            .to_string(),
    );
    drop(
        office
            .home
            .deny(&office.home.wait_for_question("/QuarterlyReport.xlsx")),
    );
    let (status, _, problem) = talk.answer();
    assert_eq!(
        (status, &problem["type"]),
        (403, &json!("urn:valetkey:problem:denied"))
    );
    office.assert_untouched();
    drop(talk.finish().ok());
}

#[test]
fn a_document_operation_counts_as_one_on_one_file() {
    needs_cells!();
    if is_root() {
        return skipped(
            "a_document_operation_counts",
            "a change of root's files is of high risk and gets no lease: the ordinary user shows it",
        );
    }
    let report = "QuarterlyReport.xlsx";
    let sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for (limit, done, refused) in [
        ("\"max_operations\": 2".to_owned(), 2, "max_operations"),
        // The file is replaced each time, and stays one.
        (
            format!("\"max_files\": 1, \"media_types\": [\"{sheet}\"]"),
            3,
            "",
        ),
        (
            "\"media_types\": [\"application/pdf\"]".to_owned(),
            0,
            "media_types",
        ),
    ] {
        let office = Office::new();
        let rules = office.policy.join("finance.rego");
        let text = fs::read_to_string(&rules).expect("read");
        let text = text
            .replace("\"max_rows\": 50", &format!("\"max_rows\": 50, {limit}"))
            .replace("\"scope\": \"once\"", "\"scope\": \"task\"");
        fs::write(&rules, text).expect("write");
        let person = office.home.person();
        let mut talk = office.talk();
        for number in 0..done {
            let body = office.append(report, "Sales", 1);
            let (status, answer) = talk.call("POST", "/v1/operations", &body);
            assert_eq!(status, 200, "{limit}, {number}: {answer}");
        }
        if !refused.is_empty() {
            let body = office.append(report, "Sales", 1);
            let problem = talk.refused("/v1/operations", &body, "constraint");
            let detail = problem["detail"].as_str().expect("a detail");
            assert!(detail.starts_with(refused), "{detail}");
        }
        drop(talk.finish().ok());
        assert_eq!(person.finish(), 1, "{limit}: one question for all");
        office.home.verify();
    }
}

#[test]
fn a_document_with_another_name_is_not_replaced() {
    needs_cells!();
    let office = Office::new();
    let report = office.report("QuarterlyReport.xlsx");
    let before = fs::read(&report).expect("read");
    fs::hard_link(&report, office.home.outside("other.xlsx")).expect("link");
    let mut talk = office.talk();
    let rows = office.append("QuarterlyReport.xlsx", "Sales", 2);
    let (status, told) = talk.call("POST", "/v1/operations", &rows);
    assert_eq!(status, 403, "{told}");
    assert!(told.to_string().contains("several names"), "{told}");
    assert_eq!(fs::read(&report).expect("read"), before);
}

/// Kills the worker of an operation that `talk` has sent, a while after it has begun; whether there was one to be killed.
fn kill_the_worker(talk: &Talk, after: Duration) -> bool {
    let guard = talk.guard();
    let worker = || {
        // By each thread of the guard: the worker lives some milliseconds, and a look at all processes takes as long.
        let threads = fs::read_dir(format!("/proc/{}/task", guard.as_raw_nonzero())).ok()?;
        threads.flatten().find_map(|thread| {
            let children = fs::read_to_string(thread.path().join("children")).ok()?;
            let mut children = children.split(' ').filter_map(|child| child.parse().ok());
            children.find_map(|child: i32| {
                let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
                let is_worker = name.starts_with("valetkey-sheet");
                is_worker.then(|| Pid::from_raw(child)).flatten()
            })
        })
    };
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        if let Some(worker) = worker() {
            std::thread::sleep(after);
            return rustix::process::kill_process(worker, Signal::KILL).is_ok();
        }
    }
    false
}

#[test]
fn an_operation_killed_in_the_middle_leaves_the_old_file_or_the_new() {
    needs_cells!();
    let office = Office::new();
    let person = office.home.person();
    let path = office.report("QuarterlyReport.xlsx");
    let whole = |bytes: &[u8]| {
        let parts = parts(bytes);
        assert_eq!(parts.len(), self::parts(REPORT).len());
    };
    let mut killed = 0;
    for round in 0..3 {
        let before = fs::read(&path).expect("read");
        let mut talk = office.talk();
        let call = office
            .append("QuarterlyReport.xlsx", "Sales", 2)
            .to_string();
        talk.send("POST", "/v1/operations", &call);
        let was_killed = kill_the_worker(&talk, Duration::from_micros(round * 700));
        let (status, _, answer) = talk.answer();
        let after = fs::read(&path).expect("read");
        whole(&after);
        if status == 200 {
            assert_ne!(after, before);
        } else {
            assert!(was_killed, "{answer}");
            assert!(after == before, "a refused operation changed the file");
            killed += 1;
        }
        drop(talk.finish());
    }
    // The guard itself, while the operation is under way.
    for round in 1..3 {
        let mut talk = office.talk();
        let before = fs::read(&path).expect("read");
        let call = office
            .append("QuarterlyReport.xlsx", "Sales", 2)
            .to_string();
        talk.send("POST", "/v1/operations", &call);
        std::thread::sleep(Duration::from_millis(round * 25));
        rustix::process::kill_process(talk.guard(), Signal::KILL).expect("kill");
        drop(talk.finish());
        let after = fs::read(&path).expect("read");
        whole(&after);
        assert!(after == before || after.len() != before.len());
    }
    assert!(person.finish() > 0);
    assert!(killed > 0, "no worker was met in the middle");
    office.home.verify();
}
