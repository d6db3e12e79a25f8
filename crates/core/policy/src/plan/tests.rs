//! A plan beside the interpreter: whatever the input and the policy, it says the same, or nothing.

use std::fmt::Write as _;
use std::time::Duration;

use regorus::Value;
use serde_json::{Value as Json, json};

use crate::testkit::{asks, bundle};
use crate::{Bundle, Fault, Policy, STARTER_NAMES, starter};

/// So much that a busy machine makes no difference.
const TIME: Duration = Duration::from_secs(600);

/// Inputs that each starter is tried with, beside those that are written down.
fn rounds() -> usize {
    std::env::var("VALETKEY_PLAN_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(60)
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % bound
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

const PATHS: [&str; 30] = [
    "/home/alice/work/src/main.rs",
    "/home/alice/work/.git/config",
    "/home/alice/work/.git/hooks/pre-commit",
    "/home/alice/work/.env",
    "/home/alice/work/.env.example",
    "/home/alice/work/Reports/Q3.xlsx",
    "/home/alice/work/Reports/old.xls",
    "/home/alice/work/Reports",
    "/home/alice/work/tls/server.pem",
    "/home/alice/work/.vscode/tasks.json",
    "/home/alice/work/id_rsa.pub",
    "/home/alice/work",
    "/home/alice/.ssh/id_ed25519",
    "/home/alice/.config",
    "/home/alice/.config/gh/hosts.yml",
    "/home/alice/.cargo/registry/x",
    "/home/alice/.bashrc",
    "/home/alice/Documents/tax.pdf",
    "/home/alice",
    "/home",
    "/",
    "/etc/shadow",
    "/etc/passwd",
    "/root/x",
    "/usr/bin/git",
    "/srv/x.docm",
    "/home/alice/ä ö/\u{1f600}.md",
    "",
    "relative",
    "//",
];

/// An input as the broker makes them, or nearly so.
fn some_input(dice: &mut Dice) -> Json {
    let path = dice.of(&PATHS);
    let is_pattern = dice.one_in(4);
    let resource = if is_pattern {
        format!("file:{}/**", path.trim_end_matches('/'))
    } else {
        format!("file:{path}")
    };
    let resource = match dice.below(8) {
        0 => "https://crates.io/api/v1".to_owned(),
        1 => "exec:/usr/bin/git".to_owned(),
        _ => resource,
    };
    let scheme = resource.split(':').next().unwrap().to_owned();
    let all = [
        "read", "write", "append", "create", "delete", "list", "metadata", "execute", "connect",
    ];
    let actions: Vec<&str> = all.into_iter().filter(|_| dice.one_in(3)).collect();
    let mut input = json!({
        "request": {"id": "req-1", "resource": resource, "actions": actions, "constraints": {}},
        "resource": {
            "scheme": scheme, "path": path, "is_pattern": is_pattern, "in_workspace": path.starts_with("/home/alice/work"),
            "in_home": path.starts_with("/home/alice/"), "is_protected": dice.one_in(9),
        },
        "subject": {
            "user": {"uid": if dice.one_in(5) { 0 } else { 1000 }, "home": "/home/alice", "home_resource": "file:/home/alice"},
            "session": {"workspace": "file:/home/alice/work/**", "labels": []},
        },
        "context": {"protected": ["file:/home/alice/.vk/**"]},
    });
    if dice.one_in(3) {
        input["resource"]["kind"] = json!(dice.of(&["file", "directory", "other", "absent"]));
    }
    if dice.one_in(4) {
        input["request"]["constraints"] = json!({"redact": ["secrets"]});
    }
    if dice.one_in(4) {
        input["request"]["granted_by_person"] =
            json!({"constraints": {"redact": ["secrets"]}, "except": ["file:/x/**"]});
    }
    if dice.one_in(5) {
        input["subject"]["session"]["labels"] = json!(["confidential"]);
    }
    if dice.one_in(3) {
        spoil(&mut input, dice);
    }
    input
}

/// Makes some member another value, or takes it away.
fn spoil(input: &mut Json, dice: &mut Dice) {
    let all = [
        "/request",
        "/request/resource",
        "/request/actions",
        "/request/actions/0",
        "/request/constraints",
        "/request/constraints/redact",
        "/request/granted_by_person",
        "/resource",
        "/resource/scheme",
        "/resource/path",
        "/resource/is_pattern",
        "/resource/in_workspace",
        "/resource/in_home",
        "/resource/kind",
        "/subject/user",
        "/subject/user/uid",
        "/subject/user/home",
        "/subject/user/home_resource",
        "/subject/session/workspace",
        "/subject/session/labels",
        "/context/protected",
        "/context/protected/0",
    ];
    let odd = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1.5),
        json!(""),
        json!("x"),
        json!([]),
        json!(["read", 1]),
        json!({}),
        json!({"a": [1, {"b": null}]}),
        json!([["read"]]),
        json!("file:/home/alice/**/**"),
    ];
    let pointer = all[dice.below(all.len())];
    let value = odd[dice.below(odd.len())].clone();
    if let Some(member) = input.pointer_mut(pointer) {
        *member = value;
    } else if let Some((above, name)) = pointer.rsplit_once('/')
        && let Some(Json::Object(members)) = input.pointer_mut(above)
    {
        members.insert(name.to_owned(), value);
    }
    if dice.one_in(4) {
        let group = dice.of(&["request", "resource", "subject", "context"]);
        let members = input.as_object_mut().unwrap();
        members.remove(group);
    }
}

/// Whether the plan said anything. It may say nothing; else it says what the interpreter says.
fn agrees(policy: &Policy, input: &Json, what: &dyn Fn() -> String) -> bool {
    let input = Value::from(input.clone());
    let Some(planned) = policy.planned(&input, TIME) else {
        return false;
    };
    // The interpreter has its time by the clock on the wall, and may be put off for longer by a busy machine.
    let again = || policy.interpreted(input.clone());
    let interpreted = (0..50)
        .map(|_| again())
        .find(|said| !matches!(said, Err(Fault::OverBudget(_))));
    match interpreted {
        Some(Ok(interpreted)) => assert_eq!(planned, interpreted, "{}", what()),
        other => panic!(
            "the plan says {planned}, the interpreter {other:?}: {}",
            what()
        ),
    }
    true
}

fn policies(bundle: &Bundle) -> Vec<Policy> {
    let ways = [Policy::compile(bundle), Policy::compile_guardrails(bundle)];
    let emergency = Policy::compile_break_glass(bundle).ok().flatten();
    ways.into_iter().flatten().chain(emergency).collect()
}

#[test]
fn every_starter_is_planned_and_the_plan_says_what_the_interpreter_says() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for name in STARTER_NAMES {
        for policy in policies(&starter(name).unwrap()) {
            assert!(policy.is_planned(), "{name}");
            let mut said = 0;
            for _ in 0..rounds() {
                let input = some_input(&mut dice);
                said += usize::from(agrees(&policy, &input, &|| format!("{name}: {input}")));
            }
            assert!(said * 2 > rounds(), "{name}: {said} of {}", rounds());
        }
    }
}

#[test]
fn what_the_broker_asks_is_always_planned() {
    for name in STARTER_NAMES {
        for policy in policies(&starter(name).unwrap()) {
            for path in PATHS
                .iter()
                .filter(|path| path.starts_with('/') && !path.starts_with("//"))
            {
                for actions in ["read", "write,create", "delete", "metadata"] {
                    for tree in ["", "/**"] {
                        let resource = format!("file:{}{tree}", path.trim_end_matches('/'));
                        let Ok(input) = resource.parse().map(|_: valetkey_model::Resource| {
                            asks(actions, &resource).with_derived_facts()
                        }) else {
                            continue;
                        };
                        let input = serde_json::to_value(&input).unwrap();
                        assert!(
                            agrees(&policy, &input, &|| format!("{name}: {input}")),
                            "{name}: {input}"
                        );
                    }
                }
            }
        }
    }
}

/// Bodies of a package that are planned.
const PLAIN: &[&str] = &[
    "decision := input.a",
    "decision := input.a.b[\"c\"][input.d]",
    "decision := {\"x\": input.a, \"y\": [1, input.b], \"z\": {input.c, 2}}",
    "decision := 1 if input.a\ndecision := 2 if input.b",
    "decision := 1 if input.a\ndecision := 1 if input.b",
    "default decision := {\"a\": [1, -2]}\ndecision := input.a if input.b > 1",
    "default decision := 7\ndecision := input.a if { input.b > 1; input.c != input.d }",
    "decision := 1 if input.a else := input.b if input.c else := 3",
    "decision if input.a else := false if input.b",
    "decision := x if { some x in input.list }",
    "decision := x if { some x in input.list; x > 1; x < 3 }",
    "decision := [x | some x in input.list; x > 1]",
    "decision := {x | some x in input.list}",
    "decision := {k: v | some k, v in input.object}",
    "decision := {v: k | some k, v in input.object}",
    "decision := [[k, v] | some k, v in input.list]",
    "decision := [k | some k, _ in input.object]",
    "decision := [y | some x in input.list; y := x * 2]",
    "decision := [x | some x in [input.a, 1]; not x == 1]",
    "decision := [[x, y] | some x in input.list; some y in input.list; x < y]",
    "decision := every_one if true\nevery_one if { every x in input.list { x > 0 } }",
    "decision if { every k, v in input.object { k != v; v } }",
    "decision if { every x in input.list { some y in input.list; y > x } }",
    "decision := f(input.a)\nf(x) := x + 1",
    "decision := f(input.a, input.b)\nf(x, 1) := x\nf(x, y) := x if y > 1",
    "decision := f(input.a)\nf(1) := \"one\"\nf(x) := \"more\" if x > 1 else := \"less\"",
    "decision := f(input.a)\nf(_) := input.b",
    "decision := f(input.list)\nf(xs) := [x | some x in xs]",
    "decision := g(input.a)\nf(x) := x > 1\ng(x) := \"yes\" if f(x)",
    "decision := count(input.list) - 1",
    "decision := input.a / input.b",
    "decision := {1, 2, input.a} - {2}",
    "decision := {1, 2, input.a} | {input.b}",
    "decision := {1, 2, input.a} & {1, input.b}",
    "decision := input.a in input.list",
    "decision := 0, input.a in input.list",
    "decision := \"k\", input.a in input.object",
    "decision := \"a\" in input.object",
    "decision := s\ns contains input.a\ns contains x if { some x in input.list }",
    "decision := s\ns contains sprintf(\"%v\", [x.y]) if { some x in input.list }",
    "decision := [input.list[i] | some i, _ in input.list]",
    "decision := upper(input.a)",
    "decision := split(input.a, \"/\")[0]",
    "decision := to_number(input.a)",
    "decision := glob.match(\"*.rs\", [\"/\"], input.a)",
    "decision := regex.match(\"^a+$\", input.a)",
    "decision := object.get(input.object, \"a\", 1)",
    "decision := object.union(input.object, {\"a\": 1})",
    "decision := x if { x := input.a; y := x; y }",
    "decision := x if { x := input.a == input.b }",
    "decision := not_a\nnot_a if not input.a",
    "decision := a\na := b\nb := input.a",
    "decision := a.x.y\na := {\"x\": input.object}",
    "decision := a[input.a]\na := {\"x\": 1, \"a\": 2}",
    "decision := concat(\",\", [sprintf(\"%v\", [x]) | some x in input.list])",
    "decision := {\"n\": null, \"t\": input.a == null}",
    "decision := x if { x := {y | some y in input.list}; count(x) > 1 }",
];

/// And such that are not.
const NOT_PLAIN: &[&str] = &[
    "decision := data.valetkey.a[input.a]\na := {\"x\": 1}",
    "decision := a with input.a as 1\na := input.a",
    "decision := 1 if { a with input as {\"a\": 1} }\na := input.a",
    "decision := input.list[_]",
    "decision := 1 if { some i; input.list[i] == 1 }",
    "decision := x if { y := x; x := input.a }",
    "decision := x if { [x, _] := input.list }",
    "decision := x if { x = input.a }",
    "decision := x if { some {\"a\": x} in input.list }",
    "decision := p\np[k] := v if { some k, v in input.object }",
    "decision := a.b\na.b := input.a",
    "decision := data.valetkey",
    "decision := data.valetkey[input.a]\nx := 1",
    "decision := f(input.a)\ndefault f(_) := 1\nf(x) := x if x > 1",
    "decision := f(input.a)\nf(x) := 1 if x else := 2 if input.b else if input.c",
    "decision := f([input.a])\nf([x]) := x",
    "decision if startswith(input.a, \"a\", true)",
];

/// Inputs for them: each member is absent, or one of these.
fn small_input(dice: &mut Dice) -> Json {
    let values = [
        json!(1),
        json!(2),
        json!(0),
        json!(null),
        json!(true),
        json!(false),
        json!("a"),
        json!("x/y"),
        json!("12"),
        json!([1, 2, 3]),
        json!([]),
        json!({"a": 1}),
        json!([{"y": 1}, {"z": 2}]),
        json!([2, 2]),
    ];
    let mut input = serde_json::Map::new();
    for name in ["a", "b", "c", "d", "list", "object"] {
        if !dice.one_in(4) {
            input.insert(name.to_owned(), values[dice.below(values.len())].clone());
        }
    }
    if dice.one_in(2) {
        input.insert("list".to_owned(), json!([1, 2, 3]));
    }
    if dice.one_in(2) {
        input.insert("object".to_owned(), json!({"a": 1, "b": "x", "k": 2}));
    }
    Json::Object(input)
}

#[test]
fn the_plain_language_is_planned_and_says_what_the_interpreter_says() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for body in PLAIN {
        let policy = policy(body);
        assert!(policy.is_planned(), "{body}");
        for _ in 0..rounds() {
            let input = small_input(&mut dice);
            agrees(&policy, &input, &|| format!("{body}\n{input}"));
        }
    }
}

#[test]
fn what_is_not_plain_is_left_to_the_interpreter() {
    for body in NOT_PLAIN {
        // Some of it is refused altogether.
        let Ok(bundle) = bundle(&format!("package valetkey\n\n{body}\n")) else {
            continue;
        };
        let Ok(policy) = Policy::compile(&bundle) else {
            continue;
        };
        assert!(!policy.is_planned(), "{body}");
    }
}

fn policy(body: &str) -> Policy {
    crate::testkit::policy(body)
}

/// Where the interpreter fails, a plan says nothing, so that an error is never a rule that does not apply.
#[test]
fn an_error_is_never_an_answer() {
    let cases = [
        // A condition of a rule that denies.
        (
            "decision := 1 if not denied\ndenied if upper(input.a) == \"A\"",
            json!({"a": 1}),
        ),
        (
            "decision := 1 if not denied\ndenied if { some x in input.list; x + 1 > 2 }",
            json!({"list": ["a"]}),
        ),
        (
            "decision := 1 if not denied\ndenied if { every x in input.list { lower(x) == \"a\" } }",
            json!({"list": [1]}),
        ),
        (
            "decision := 1 if not denied\ndenied if { some x in input.a }",
            json!({"a": 1}),
        ),
        // Two values of a rule, of a function, of a key.
        (
            "decision := 1 if not denied\ndenied := x if { some x in input.list }",
            json!({"list": [true, 1]}),
        ),
        (
            "decision := 1 if not denied(1)\ndenied(x) := x\ndenied(x) := 2 if input.a",
            json!({"a": 1}),
        ),
        (
            "decision := 1 if not denied\ndenied if {v: k | some k, v in input.list}[1]",
            json!({"list": [1, 1]}),
        ),
        (
            "decision := 1 if not denied\ndenied if input.a / input.b",
            json!({"a": 1, "b": 0}),
        ),
        (
            "decision := 1 if not denied\ndenied if regex.match(input.a, \"a\")",
            json!({"a": "("}),
        ),
    ];
    for (body, input) in cases {
        let policy = policy(body);
        assert!(policy.is_planned(), "{body}");
        assert_eq!(
            policy.planned(&Value::from(input.clone()), TIME),
            None,
            "{body}"
        );
        assert!(policy.interpreted(Value::from(input)).is_err(), "{body}");
    }
}

#[test]
fn what_takes_too_long_is_left_to_the_interpreter() {
    let mut doubling = String::from("a0 := input.a\n");
    for number in 1..28 {
        let before = number - 1;
        writeln!(
            doubling,
            "a{number} := concat(\"\", [a{before}, a{before}])"
        )
        .unwrap();
    }
    let cases = [
        format!("decision := count(a27)\n{doubling}"),
        "decision := count([1 | some a in input.list; some b in input.list; some c in input.list; a + b + c > 0])".to_owned(),
    ];
    let list: Vec<u32> = (0..200).collect();
    for body in cases {
        let policy = policy(&body);
        assert!(policy.is_planned(), "{body}");
        let input = json!({"a": "0123456789", "list": list});
        assert_eq!(policy.planned(&Value::from(input), TIME), None, "{body}");
    }
}

/// Policies that nobody wrote: each starter with one thing changed.
#[cfg(feature = "tools")]
#[test]
fn changed_policies_are_planned_as_they_are_interpreted() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    let every = (600 / rounds().max(1)).max(1);
    let mut compared = 0;
    for name in STARTER_NAMES {
        let bundle = starter(name).unwrap();
        for (number, changed) in crate::tools::mutants(&bundle).into_iter().enumerate() {
            if number % every != 0 {
                continue;
            }
            for policy in policies(&changed) {
                for _ in 0..6 {
                    let input = some_input(&mut dice);
                    compared += usize::from(agrees(&policy, &input, &|| {
                        format!("{name}, mutant {number}: {input}")
                    }));
                }
            }
        }
    }
    assert!(compared > 100, "{compared}");
}
