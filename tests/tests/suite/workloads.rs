//! A day at an office and a day of programming, in real cells under the starter policies: a person is asked seldom, and about everything dangerous.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use valetkey_tests::{Call, Home, Peer, Question, host_program, id, skipped};

use super::needs_cells;

/// How many prompts a hundred operations may cost.
const PROMPTS_PER_HUNDRED_MAX: f64 = 5.0;
/// How long one task may take; most take a second.
pub(crate) const TASK: Duration = Duration::from_secs(90);
/// What marks the content of everything that a task has no business with.
const DECOY: &str = "DECOY";

/// What `danger` is in a shell script, and in a Python script.
const SHELL: &str = "danger() { name=$1; shift; if \"$@\" >/dev/null 2>&1; then echo \"danger $name happened\"; else echo \"danger $name stopped\"; fi; }\n";
const PYTHON: &str = "def danger(name, attempt):\n    try:\n        attempt()\n        print(f'danger {name} happened', flush=True)\n    except OSError:\n        print(f'danger {name} stopped', flush=True)\n";

fn workload_dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("workloads")
        .join(name)
}

/// Something that may be asked for: actions on one path, `~` for the home.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) actions: BTreeSet<String>,
    pub(crate) path: PathBuf,
}

impl Wanted {
    fn read(text: &str, home: &Home) -> Self {
        let (actions, path) = text.split_once(' ').expect("actions and a path");
        Self {
            actions: actions.split(',').map(str::to_owned).collect(),
            path: home.path(path.strip_prefix("~/").expect("a path in the home")),
        }
    }

    /// Whether one resource of a question is this, with no more actions.
    fn covers(&self, resource: &Value, question: &Question) -> bool {
        let actions = question["grant"]["actions"].as_array().expect("actions");
        *resource == resource_of(&self.path)
            && actions
                .iter()
                .all(|action| self.actions.contains(action.as_str().expect("text")))
    }

    /// Whether an event tells of this, or of something below.
    fn is_told_by(&self, event: &Value) -> bool {
        let path = event["resource"].as_str().and_then(path_of);
        path.is_some_and(|path| path.starts_with(&self.path))
    }

    /// Whether an event tells of a folder on the way to it: what is hidden is refused there.
    fn is_below(&self, event: &Value, home: &Home) -> bool {
        let path = event["resource"].as_str().and_then(path_of);
        path.is_some_and(|path| {
            path != home.dir() && path.starts_with(home.dir()) && self.path.starts_with(&path)
        })
    }
}

/// The text of a file as a resource; blanks are the only bytes of these homes that are spelt otherwise.
fn resource_of(path: &Path) -> String {
    format!("file:{}", path.display()).replace(' ', "%20")
}

fn path_of(resource: &str) -> Option<PathBuf> {
    let path = resource.strip_prefix("file:")?.replace("%20", " ");
    (!path.contains('*')).then(|| path.into())
}

/// A script, and how a careful person starts it.
#[derive(Debug)]
struct Task {
    name: String,
    script: PathBuf,
    options: Vec<String>,
    workspace: PathBuf,
    approved: Vec<Wanted>,
    dangers: BTreeMap<String, Wanted>,
}

impl Task {
    fn read(script: PathBuf, home: &Home) -> Self {
        let text = fs::read_to_string(&script).expect("a script");
        let mut task = Self {
            name: script
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned(),
            script,
            options: Vec::new(),
            workspace: home.dir(),
            approved: Vec::new(),
            dangers: BTreeMap::new(),
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            let (key, value) = line.split_once(": ").expect("a key and a value");
            match key {
                "workspace" => {
                    task.workspace = home.path(value);
                    task.options.extend([
                        "--workspace".to_owned(),
                        task.workspace.display().to_string(),
                    ]);
                }
                "purpose" => task.options.extend(["--purpose".into(), value.into()]),
                "grant" => task.options.extend([
                    "--grant".to_owned(),
                    value.replace('~', &home.dir().display().to_string()),
                ]),
                "policy" => task.options.extend([
                    "--policy".to_owned(),
                    home.outside(value).display().to_string(),
                ]),
                "approve" => task.approved.push(Wanted::read(value, home)),
                "danger" => {
                    let (name, wanted) = value.split_once(' ').expect("a name");
                    task.dangers
                        .insert(name.to_owned(), Wanted::read(wanted, home));
                }
                other => panic!("`{other}` in {}", task.name),
            }
        }
        assert!(!task.dangers.is_empty(), "{} has no danger", task.name);
        for danger in task.dangers.values() {
            // Saying yes to it is nothing that the list of a careful person has.
            assert!(
                task.approved
                    .iter()
                    .all(|wanted| wanted.path != danger.path)
            );
        }
        task
    }

    /// The script as words of a command, with what `danger` is.
    fn command(&self) -> [String; 3] {
        let text = fs::read_to_string(&self.script).expect("a script");
        let is_python = self.script.extension().is_some_and(|end| end == "py");
        let (program, prelude) = if is_python {
            ("/usr/bin/python3", PYTHON)
        } else {
            ("/bin/sh", SHELL)
        };
        [
            program.to_owned(),
            "-c".to_owned(),
            prelude.to_owned() + &text,
        ]
    }

    fn run(&self, home: &Home) -> valetkey_tests::Finished {
        home.run(&self.options, &self.command())
            .cwd(&self.workspace)
            .within(TASK)
            .done()
    }
}

/// Who answers: yes to what the task's list has, no to all else.
pub(crate) struct Scripted {
    over: Arc<AtomicBool>,
    pub(crate) approved: Arc<Mutex<Vec<Wanted>>>,
    /// The questions that were put to them. One about several files is one.
    asked: Arc<Mutex<BTreeSet<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Scripted {
    pub(crate) fn start(home: &Arc<Home>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let approved = Arc::new(Mutex::new(Vec::<Wanted>::new()));
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let (ended, list, home) = (Arc::clone(&over), Arc::clone(&approved), Arc::clone(home));
        let seen = Arc::clone(&asked);
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                for question in open_questions(&home) {
                    seen.lock()
                        .expect("the questions")
                        .insert(id(&question).to_owned());
                    let list = list.lock().expect("the list").clone();
                    let verb = if is_wanted(&question, &list) {
                        "approve"
                    } else {
                        "deny"
                    };
                    // It may have been withdrawn meanwhile.
                    drop(home.valetkey([verb, id(&question), "--json"]).done());
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        Self {
            over,
            approved,
            asked,
            thread: Some(thread),
        }
    }

    /// How many questions they were asked until now.
    pub(crate) fn asked(&self) -> usize {
        self.asked.lock().expect("the questions").len()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // It holds the home, which must go with the test, however that ends.
        let ended = self.thread.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || !matches!(ended, Some(Err(_))));
    }
}

/// Whether everything that a question asks for is in the list.
fn is_wanted(question: &Question, list: &[Wanted]) -> bool {
    let also = question["also"].as_array().into_iter().flatten();
    let mut asked = also
        .map(|listed| &listed["resource"])
        .chain([&question["grant"]["resource"]]);
    asked.all(|resource| list.iter().any(|wanted| wanted.covers(resource, question)))
}

/// What is open, asked at the door itself: a program for each look would keep this machine busy.
fn open_questions(home: &Home) -> Vec<Question> {
    let listed = Peer::connect(&home.door("operator"))
        .ok()
        .and_then(|mut peer| peer.get("/v1/requests"));
    let listed = listed.map(|answer| answer.body["questions"].clone());
    listed
        .as_ref()
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    tasks: usize,
    operations: usize,
    prompts: usize,
    dangers: usize,
    dangers_prompted: usize,
    dangers_refused: usize,
}

impl Counts {
    fn prompts_per_hundred(&self) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).expect("a small number"));
        100.0 * number(self.prompts) / number(self.operations)
    }

    fn row(&self, name: &str) -> String {
        format!(
            "| {name} | {} | {} | {} | {:.1} | {} | {} | {} |",
            self.tasks,
            self.operations,
            self.prompts,
            self.prompts_per_hundred(),
            self.dangers,
            self.dangers_prompted,
            self.dangers_refused
        )
    }

    /// Adds what the events of one session tell.
    fn add(&mut self, task: &Task, events: &[Value], output: &str, home: &Home) {
        let is = |event: &&Value, kind: &str| event["type"] == kind;
        let asked: Vec<_> = events
            .iter()
            .filter(|event| is(event, "approval.asked"))
            .collect();
        self.tasks += 1;
        self.operations += events.iter().filter(|event| is_operation(event)).count();
        // What was put together with others is no prompt of its own.
        let is_first = |event: &&&Value| event["attributes"]["with"].is_null();
        self.prompts += asked.iter().filter(is_first).count();
        for (name, danger) in &task.dangers {
            self.dangers += 1;
            let at = format!("danger {name} in {}", task.name);
            let stopped = format!("danger {name} stopped\n");
            assert!(output.contains(&stopped), "{at}: {output}");
            let was_approved = |event: &Value| {
                events.iter().any(|other| {
                    other["request_id"] == event["request_id"] && is(&other, "approval.given")
                })
            };
            let prompts: Vec<_> = asked
                .iter()
                .filter(|event| {
                    danger.is_told_by(event)
                        || (danger.is_below(event, home) && !was_approved(event))
                })
                .collect();
            for prompt in &prompts {
                assert!(!was_approved(prompt), "{at}: {prompt}");
            }
            let refused = events.iter().any(|event| {
                (is(&event, "operation.refused") || event["decision"] == "denied")
                    && (danger.is_told_by(event) || danger.is_below(event, home))
            });
            assert!(
                !prompts.is_empty() || refused,
                "{at}: nobody was asked and nothing refused"
            );
            self.dangers_prompted += usize::from(!prompts.is_empty());
            self.dangers_refused += usize::from(prompts.is_empty());
        }
    }
}

/// An operation as `docs/contracts.md` counts them, or a request that policy decided. What is told in two events counts once: a file that is made
/// and opened, both names of a rename. That a file was closed is no operation. What was done several times within a moment is one event, and counts once.
fn is_operation(event: &Value) -> bool {
    let kind = event["type"].as_str().expect("a type");
    let again = match event["attributes"]["operation"].as_str() {
        Some("close" | "rename_from") => true,
        Some("open") => event["action"].to_string().contains("create"),
        _ => false,
    };
    kind == "request.decided" || (kind.starts_with("operation.") && !again)
}

/// Every file of a home, with its content and mode, by its path.
fn everything(dir: &Path, into: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("list").flatten() {
        let meta = fs::symlink_metadata(entry.path()).expect("look");
        if meta.is_dir() {
            everything(&entry.path(), into);
        } else if meta.is_file() {
            let content = fs::read(entry.path()).expect("read");
            into.insert(entry.path(), (meta.permissions().mode(), content));
        }
    }
}

/// What the tasks of a workload may not touch: everything outside of the workspace and grants of each, and what was made as a decoy.
fn assert_nothing_happened(
    task: &Task,
    before: &BTreeMap<PathBuf, (u32, Vec<u8>)>,
    home: &Home,
) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut after = BTreeMap::new();
    everything(&home.dir(), &mut after);
    let holds = |content: &[u8]| {
        content
            .windows(DECOY.len())
            .any(|bytes| bytes == DECOY.as_bytes())
    };
    for (path, (_, content)) in &after {
        let was_decoy = before.get(path).is_some_and(|(_, had)| holds(had));
        assert!(
            was_decoy || !holds(content),
            "{}: {} has what it must not",
            task.name,
            path.display()
        );
    }
    for danger in task.dangers.values() {
        let below = |map: &BTreeMap<PathBuf, (u32, Vec<u8>)>| -> Vec<_> {
            map.iter()
                .filter(|(path, _)| path.starts_with(&danger.path))
                .map(|(path, had)| (path.clone(), had.clone()))
                .collect()
        };
        assert_eq!(below(before), below(&after), "{}", task.name);
    }
    for (path, had) in before {
        let own = path.starts_with(&task.workspace)
            || task
                .options
                .iter()
                .any(|option| option.contains(&path.display().to_string()));
        assert!(
            own || after.get(path) == Some(had),
            "{}: {} is another",
            task.name,
            path.display()
        );
    }
    after
}

/// The starter policy of that name, as a bundle of the person's own.
fn give_policy(home: &Home, name: &str) {
    let from =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../policies/{name}/{name}.rego"));
    fs::create_dir_all(home.outside(name)).expect("make");
    fs::copy(from, home.outside(name).join(format!("{name}.rego"))).expect("copy");
}

/// A home as the workload wants it, and its tasks in order.
fn prepared(name: &str, home: &Home) -> Vec<Task> {
    let dir = workload_dir(name);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/adapters/sheet/fixtures");
    let setup = Call::new(home.command("python3"))
        .arg(dir.join("setup.py"))
        .arg(home.dir())
        .arg(fixtures)
        .done();
    drop(setup.ok());
    give_policy(home, "finance");
    let mut scripts: Vec<_> = fs::read_dir(&dir)
        .expect("a workload")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "setup"))
        .collect();
    scripts.sort();
    scripts
        .into_iter()
        .map(|script| Task::read(script, home))
        .collect()
}

fn day_of(name: &str) -> Counts {
    let home = Arc::new(Home::new());
    let tasks = prepared(name, &home);
    let mut had = BTreeMap::new();
    everything(&home.dir(), &mut had);
    let person = Scripted::start(&home);
    let mut outputs = Vec::new();
    for task in tasks {
        person
            .approved
            .lock()
            .expect("the list")
            .clone_from(&task.approved);
        let ended = task.run(&home);
        assert_eq!(
            ended.code(),
            0,
            "{}:\n{}\n{}",
            task.name,
            ended.text(),
            ended.errors()
        );
        let output = ended.text() + &ended.errors();
        assert!(!output.contains(DECOY), "{}: {output}", task.name);
        had = assert_nothing_happened(&task, &had, &home);
        outputs.push((task, output));
    }
    let asked = person.asked();
    drop(person);
    home.verify();
    let trail = home.trail();
    let sessions: Vec<_> = trail
        .iter()
        .filter(|event| event["type"] == "session.opened")
        .map(|event| event["session"].clone())
        .collect();
    assert_eq!(sessions.len(), outputs.len());
    let mut counts = Counts::default();
    for (session, (task, output)) in sessions.iter().zip(&outputs) {
        let own: Vec<_> = trail
            .iter()
            .filter(|event| event["session"] == *session)
            .cloned()
            .collect();
        counts.add(task, &own, output, &home);
    }
    // What the person saw is in the log.
    assert!(
        asked > 0 && asked <= counts.prompts,
        "{asked} of {counts:?}"
    );
    counts
}

/// Says why the workloads cannot be run here, if they cannot.
pub(crate) fn lacks_a_program() -> bool {
    let missing = ["python3", "git", "make", "cc"]
        .into_iter()
        .find(|name| host_program(name).is_none());
    if let Some(name) = missing {
        skipped("workloads", &format!("there is no {name} here"));
    }
    missing.is_some()
}

#[test]
fn without_a_cell_every_danger_happens() {
    if lacks_a_program() {
        return;
    }
    for name in ["office", "coding"] {
        let home = Home::new();
        for task in prepared(name, &home) {
            let [program, arguments @ ..] = task.command();
            let ended = Call::new(home.command(program))
                .args(arguments)
                .cwd(&task.workspace)
                .within(TASK)
                .done();
            for danger in task.dangers.keys() {
                let output = ended.text();
                assert!(
                    output.contains(&format!("danger {danger} happened\n")),
                    "{danger} in {}: {output}\n{}",
                    task.name,
                    ended.errors()
                );
            }
        }
    }
}

#[test]
fn of_a_hundred_operations_at_most_five_ask_and_no_danger_passes() {
    needs_cells!();
    if lacks_a_program() {
        return;
    }
    let begun = Instant::now();
    let names = ["office", "coding"];
    let days: Vec<_> = names
        .map(|name| thread::spawn(move || day_of(name)))
        .into_iter()
        .map(|day| day.join().expect("a day"))
        .collect();
    println!(
        "| Workload | Tasks | Operations | Prompts | Prompts for 100 operations | Dangerous | Asked about | Refused |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (name, day) in names.iter().zip(&days) {
        println!("{}", day.row(name));
    }
    println!("in {:?}", begun.elapsed());
    for day in &days {
        assert_eq!(day.tasks, 10);
        assert!(day.operations > 200, "{day:?}");
        assert!(
            day.prompts_per_hundred() <= PROMPTS_PER_HUNDRED_MAX,
            "{day:?}"
        );
        assert!(day.dangers >= 10, "{day:?}");
        assert_eq!(
            day.dangers_prompted + day.dangers_refused,
            day.dangers,
            "{day:?}"
        );
    }
}
