//! The language that a policy may use, piece by piece, as Open Policy Agent reads it: each expression has one value in both.
//!
//! OPA is reached through `benches/opa/decide.py`, which says where its library comes from; without it the values are worked out all the
//! same, and the comparison is skipped, which is said.
#![cfg(test)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use valetkey_policy::tools::values;
use valetkey_policy::{Bundle, BundleLimits};

/// The status with which the script says that the library is not there.
const MISSING: i32 = 69;

/// Expressions; each becomes a rule of its own. They look at [`INPUT`].
const EXPRESSIONS: &[&str] = &[
    // Numbers.
    "1 + 2 * 3",
    "7 - 10",
    "7 / 2",
    "8 / 2",
    "7 % 4",
    "-7 % 4",
    "1.5 + 1.5",
    "0.1 + 0.2 == 0.3",
    "1 == 1.0",
    "2 < 10",
    "10 >= 10",
    "-1 > -2",
    "abs(-3)",
    "abs(2.5)",
    "ceil(1.2)",
    "floor(1.8)",
    "round(2.5)",
    "round(-1.4)",
    "9007199254740993",
    "1e3",
    "1e3 == 1000",
    "sum([1, 2, 3])",
    "sum({1, 1, 2})",
    "sum([])",
    "product([2, 3, 4])",
    "product([])",
    "max([3, 1, 2])",
    "min({3, 1, 2})",
    "max([\"a\", \"b\"])",
    "max([1, \"a\", null])",
    "format_int(255, 16)",
    "format_int(5, 2)",
    "to_number(\"12\")",
    "to_number(\"1.5\")",
    "to_number(true)",
    "to_number(null)",
    "bits.and(12, 10)",
    "bits.or(12, 10)",
    "bits.xor(12, 10)",
    "bits.negate(5)",
    // Text.
    "concat(\"/\", [\"a\", \"b\"])",
    "concat(\",\", {\"b\", \"a\"})",
    "concat(\"\", [])",
    "contains(\"abc\", \"bc\")",
    "contains(\"abc\", \"\")",
    "contains(\"\", \"a\")",
    "startswith(\"abc\", \"ab\")",
    "startswith(\"abc\", \"\")",
    "endswith(\"abc\", \"bc\")",
    "endswith(\"abc\", \"ab\")",
    "lower(\"AbÇ\")",
    "upper(\"straße\")",
    "upper(\"éa\")",
    "trim(\"  a \", \" \")",
    "trim(\"xxaxx\", \"x\")",
    "trim_left(\"xxa\", \"x\")",
    "trim_right(\"axx\", \"x\")",
    "trim_prefix(\"/a/b\", \"/a\")",
    "trim_prefix(\"abc\", \"x\")",
    "trim_suffix(\"a.rego\", \".rego\")",
    "trim_space(\" \\ta\\n \")",
    "split(\"a/b/c\", \"/\")",
    "split(\"\", \"/\")",
    "split(\"abc\", \"\")",
    "split(\"a//b\", \"/\")",
    "replace(\"aXbX\", \"X\", \"y\")",
    "replace(\"aaa\", \"aa\", \"b\")",
    "substring(\"abcdef\", 2, 3)",
    "substring(\"abc\", 1, -1)",
    "substring(\"abc\", 1, 99)",
    "substring(\"äöü\", 1, 1)",
    "indexof(\"abc\", \"c\")",
    "indexof(\"abc\", \"x\")",
    "indexof(\"äöü\", \"ü\")",
    "indexof_n(\"abab\", \"b\")",
    "strings.reverse(\"abc\")",
    "strings.reverse(\"äb\")",
    "strings.any_prefix_match(\"abc\", [\"x\", \"ab\"])",
    "strings.any_prefix_match([\"abc\"], {\"b\"})",
    "strings.any_suffix_match(\"abc\", \"bc\")",
    "strings.replace_n({\"a\": \"1\", \"b\": \"2\"}, \"aabb\")",
    "count(\"äbc\")",
    "count(\"\")",
    "\"a\" < \"b\"",
    "\"a\" < \"B\"",
    "\"\" < \"a\"",
    "`raw\\n`",
    "\"tab\\tnew\"",
    "\"\\u00e4\"",
    // sprintf.
    "sprintf(\"%s-%d\", [\"a\", 7])",
    "sprintf(\"%v\", [[1, \"a\", null]])",
    "sprintf(\"%v %v\", [true, {\"a\": 1}])",
    "sprintf(\"%05d\", [42])",
    "sprintf(\"%x\", [255])",
    "sprintf(\"%.2f\", [1.5])",
    "sprintf(\"%%\", [])",
    "sprintf(\"%q\", [\"a\"])",
    "sprintf(\"%s\", [\"ä\"])",
    "sprintf(\"%v\", [\"x\"])",
    // Arrays.
    "count([1, 2, 3])",
    "[1, 2, 3][1]",
    "array.concat([1], [2, 3])",
    "array.slice([1, 2, 3, 4], 1, 3)",
    "array.slice([1, 2], -1, 9)",
    "array.slice([1, 2], 2, 1)",
    "array.reverse([1, 2, 3])",
    "array.reverse([])",
    "sort([3, 1, 2])",
    "sort({\"b\", \"a\"})",
    "sort([null, true, 1, \"a\", [1], {\"a\": 1}])",
    "2 in [1, 2]",
    "3 in [1, 2]",
    "1, 2 in [1, 2]",
    "[1, 2] == [1, 2]",
    "[1, 2] == [2, 1]",
    "[1, 2] < [1, 3]",
    "[] < [1]",
    "[x | some x in [1, 2, 3]; x > 1]",
    "[y | some x in [1, 2]; y := x * 2]",
    "[[i, x] | some i, x in [\"a\", \"b\"]]",
    "[x | x := [1, 2][_]]",
    "count([y | some y in []])",
    // Sets.
    "{1, 2} & {2, 3}",
    "{1, 2} | {2, 3}",
    "{1, 2} - {2}",
    "{1, 2} == {2, 1}",
    "count({1, 1, 2})",
    "count(set())",
    "set() == set()",
    "{1} < {2}",
    "2 in {1, 2}",
    "{x | some x in [1, 1, 2]}",
    "{1, 2}[2]",
    "union({{1}, {2}, {1, 3}})",
    "intersection({{1, 2}, {2, 3}})",
    "union(set())",
    "{1, \"a\", null}",
    "{y | some x in [1, 2, 3]; y := x % 2}",
    "{[1, 2], [2, 1]}",
    // Objects.
    "{\"a\": 1}.a",
    "{\"a\": {\"b\": 2}}.a.b",
    "{\"a\": 1}[\"a\"]",
    "object.get({\"a\": 1}, \"a\", 0)",
    "object.get({\"a\": 1}, \"b\", 0)",
    "object.get({\"a\": {\"b\": 3}}, [\"a\", \"b\"], 0)",
    "object.get({\"a\": {\"b\": 3}}, [\"a\", \"c\"], 0)",
    "object.get({\"a\": null}, \"a\", 0)",
    "object.keys({\"a\": 1, \"b\": 2})",
    "object.keys({})",
    "object.remove({\"a\": 1, \"b\": 2}, [\"a\"])",
    "object.remove({\"a\": 1}, {\"x\"})",
    "object.filter({\"a\": 1, \"b\": 2}, [\"a\"])",
    "object.union({\"a\": 1}, {\"b\": 2})",
    "object.union({\"a\": {\"x\": 1}}, {\"a\": {\"y\": 2}})",
    "object.union({\"a\": {\"x\": 1}}, {\"a\": 2})",
    "object.union_n([{\"a\": 1}, {\"a\": 2}, {\"b\": 3}])",
    "json.filter({\"a\": {\"b\": 1, \"c\": 2}}, [\"a/b\"])",
    "json.remove({\"a\": {\"b\": 1, \"c\": 2}}, [\"a/b\"])",
    "json.marshal({\"b\": 1, \"a\": [1, null]})",
    "json.unmarshal(\"{\\\"a\\\": [1, 2]}\")",
    "json.is_valid(\"{}\")",
    "json.is_valid(\"{\")",
    "{\"a\": 1} == {\"a\": 1}",
    "{\"a\": 1} < {\"a\": 2}",
    "{k: v | some k, v in {\"a\": 1, \"b\": 2}; v > 1}",
    "{v: k | some k, v in {\"a\": \"x\", \"b\": \"y\"}}",
    "[k | some k, _ in {\"b\": 1, \"a\": 2}]",
    "1 in {\"a\": 1}",
    "\"a\", 1 in {\"a\": 1}",
    "count({\"a\": 1, \"b\": 2})",
    "{1: \"a\"}[1]",
    "{[1]: 2}[[1]]",
    // Types.
    "type_name(1)",
    "type_name(\"a\")",
    "type_name(null)",
    "type_name(true)",
    "type_name([])",
    "type_name({})",
    "type_name(set())",
    "is_number(1)",
    "is_string(\"a\")",
    "is_boolean(false)",
    "is_null(null)",
    "is_array([])",
    "is_object({})",
    "is_set(set())",
    "null < true",
    "true < 1",
    "1 < \"a\"",
    "\"a\" < []",
    "[] < {}",
    "{} < set()",
    "null == false",
    "false == false",
    // Patterns.
    "regex.match(`^a.c$`, \"abc\")",
    "regex.match(`^a.c$`, \"abcd\")",
    "regex.match(`[a-z]+[0-9]?`, \"Z9\")",
    "regex.match(``, \"\")",
    "regex.match(`(?i)ABC`, \"xabcx\")",
    "regex.match(`\\d{2,3}`, \"a12\")",
    "regex.match(`^\\p{L}+$`, \"äß\")",
    "regex.split(`,\\s*`, \"a, b,c\")",
    "regex.replace(\"abc\", `b`, \"x\")",
    "regex.replace(\"foo123\", `([a-z]+)([0-9]+)`, \"$2\")",
    "regex.find_n(`[a-z]`, \"a1b2\", 1)",
    "regex.find_n(`[a-z]`, \"a1b2\", -1)",
    "regex.find_all_string_submatch_n(`(a)(b?)`, \"abab\", -1)",
    "regex.is_valid(`(`)",
    "regex.is_valid(`a+`)",
    "glob.match(\"/a/*\", [\"/\"], \"/a/b\")",
    "glob.match(\"/a/*\", [\"/\"], \"/a/b/c\")",
    "glob.match(\"/a/**\", [\"/\"], \"/a/b/c\")",
    "glob.match(\"/a/**/d\", [\"/\"], \"/a/b/c/d\")",
    "glob.match(\"/a/**/d\", [\"/\"], \"/a/d\")",
    "glob.match(\"*.csv\", [\"/\"], \"a.csv\")",
    "glob.match(\"*.csv\", [\"/\"], \"d/a.csv\")",
    "glob.match(\"a?c\", [\"/\"], \"abc\")",
    "glob.match(\"a?c\", [\"/\"], \"a/c\")",
    "glob.match(\"[a-c]x\", [\"/\"], \"bx\")",
    "glob.match(\"[!a-c]x\", [\"/\"], \"bx\")",
    "glob.match(\"[!a-c]x\", [\"/\"], \"dx\")",
    "glob.match(\"{a,bc}d\", [\"/\"], \"bcd\")",
    "glob.match(\"{a*,b}/c\", [\"/\"], \"axx/c\")",
    "glob.match(\"{a*,b}/c\", [\"/\"], \"a/x/c\")",
    "glob.match(\"*.github.com\", [], \"api.github.com\")",
    "glob.match(\"*.github.com\", [], \"a.b.github.com\")",
    "glob.match(\"*hub.com\", null, \"a.b.github.com\")",
    "glob.match(\"*:x:*\", [\":\"], \"a:x:b\")",
    "glob.match(\"a*b*c\", [\"/\"], \"aXbYc\")",
    "glob.match(\"**\", [\"/\"], \"a/b\")",
    "glob.match(\"*\", [\"/\"], \"\")",
    "glob.match(\"\", [\"/\"], \"\")",
    "glob.match(\"file:/srv/**.md\", [\"/\"], \"file:/srv/a/b.md\")",
    "glob.match(\"/ä/*\", [\"/\"], \"/ä/ö\")",
    "glob.match(\"\\\\*\", [\"/\"], \"*\")",
    "glob.match(\"\\\\*\", [\"/\"], \"a\")",
    // Input, rules, control.
    "input.user.name",
    "10 in input.user.groups",
    "count(input.user.groups)",
    "input[\"path\"]",
    "[g | some g in input.user.groups; g > 5]",
    "some_rule",
    "chosen(1)",
    "chosen(5)",
    "chosen(50)",
    "by_else",
    "every_small",
    "not_there",
    "with_default",
    "partial_set",
    "partial_object",
    "double(4)",
    "nested.deep.value",
    "[x | some x in numbers; not x in {2}]",
    "{x: y | some x in [\"a\"]; some y in [1]}",
    "within",
];

/// What they may need.
const RULES: &str = r#"
numbers := [1, 2, 3]

some_rule if {
	some x in numbers
	x == 2
}

chosen(x) := "small" if x < 3

else := "middle" if x < 10

else := "large"

by_else := 1 if {
	input.nothing
} else := 2 if {
	input.path == "/a"
} else := 3

every_small if {
	every x in numbers { x < 4 }
}

not_there if not input.nothing

default with_default := 7

with_default := 8 if input.nothing

partial_set contains x if some x in numbers

partial_object[k] := v if some k, v in {"a": 1, "b": 2}

double(x) := x * 2

nested.deep.value := 3

asks := input.path

within if asks == "/other" with input as {"path": "/other"}
"#;

/// What they look at.
const INPUT: &str = r#"{"user": {"name": "alice", "groups": [4, 10, 27]}, "path": "/a/b"}"#;

/// Where the two differ, and why ours stays as it is. One that is alike again must leave this list.
const OTHERWISE: &[(&str, &str)] = &[
    (
        "0.1 + 0.2 == 0.3",
        "numbers with a fraction are those of IEEE 754",
    ),
    ("upper(\"straße\")", "`ß` has a capital form of two letters"),
    ("{} < set()", "sets come before objects"),
    (
        "glob.match(\"/a/**/d\", [\"/\"], \"/a/d\")",
        "no `/` stands for two",
    ),
    (
        "glob.match(\"{a*,b}/c\", [\"/\"], \"axx/c\")",
        "a star within alternatives is a star",
    ),
];

fn theirs(module: &str, input: &Value) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../benches/opa/decide.py");
    let started = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut process) = started else {
        return None;
    };
    let given = json!({
        "engines": [{"entry": "cases", "modules": {"cases.rego": module}, "data": {}}],
        "inputs": [input], "rounds": 0,
    });
    // A script that ends early is told by its status, not by the pipe that it left.
    if let Some(mut pipe) = process.stdin.take() {
        let _written = pipe.write_all(given.to_string().as_bytes());
    }
    let done = process.wait_with_output().expect("it ends");
    if done.status.code() == Some(MISSING) {
        return None;
    }
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let found: Value = serde_json::from_slice(&done.stdout).expect("an answer");
    Some(found["decisions"][0][0].clone())
}

/// `1.0` and `1` are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let there = |name: &String, a: &Value| b.get(name).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(|(name, a)| there(name, a))
        }
        _ => a == b,
    }
}

#[test]
fn another_engine_gives_each_expression_the_same_value() {
    assert!(EXPRESSIONS.len() >= 200, "{}", EXPRESSIONS.len());
    let rules = EXPRESSIONS.iter().enumerate();
    let rules: Vec<String> = rules
        .map(|(number, expression)| format!("c{number:03} := {expression}"))
        .collect();
    let module = format!("package cases\n{RULES}\n{}\n", rules.join("\n\n"));
    let input: Value = serde_json::from_str(INPUT).expect("an input");
    let files = vec![("cases.rego".to_owned(), module.clone().into_bytes())];
    let bundle = Bundle::from_files(files, BundleLimits::default()).expect("a bundle");
    let names = (0..EXPRESSIONS.len()).map(|number| format!("data.cases.c{number:03}"));
    let ours = values(&bundle, &names.collect::<Vec<_>>(), &input).expect("values");
    assert!(ours.iter().filter(|value| value.is_some()).count() > 200);
    let Some(theirs) = theirs(&module, &input) else {
        println!("SKIPPED: OPA as a library is not there (see benches/opa/decide.py)");
        return;
    };
    let mut otherwise = Vec::new();
    for (number, (expression, ours)) in EXPRESSIONS.iter().zip(ours).enumerate() {
        let theirs = theirs.get(format!("c{number:03}")).cloned();
        let agree = match (&theirs, &ours) {
            (Some(theirs), Some(ours)) => same(theirs, ours),
            (None, None) => true,
            _ => false,
        };
        let known = OTHERWISE.iter().any(|(other, _)| other == expression);
        if agree == known {
            otherwise.push(format!("{expression}: {theirs:?}, ours {ours:?}"));
        }
    }
    assert!(otherwise.is_empty(), "{otherwise:#?}");
}
