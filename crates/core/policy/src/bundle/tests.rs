//! What a bundle may be made of, and where errors are said to be.

use super::*;
use crate::testkit::files;

const MODULE: &str = "package valetkey\n\nx := 1\n";

#[test]
fn a_syntax_error_has_file_line_column_and_the_parsers_words() {
    for (text, line, column, words) in [
        ("package valetkey\n\nx := }\n", 3, 6, "expecting expression"),
        ("package valetkey\nx := 1\ny := \"open\n", 3, 11, "string"),
        (
            "package valetkey\nallow if {\n\tinput.x == \n}\n",
            4,
            1,
            "expecting expression",
        ),
        ("pakage valetkey\n", 1, 1, "package"),
        ("", 1, 1, ""),
        ("package valetkey\nallow { true }\n", 2, 7, "if"),
    ] {
        let result = files(&[("dir/broken.rego", text)]);
        match result {
            Err(PolicyError::Syntax {
                file,
                line: at_line,
                column: at_column,
                message,
            }) => {
                assert_eq!(file, "dir/broken.rego");
                assert_eq!((at_line, at_column), (line, column), "{text:?}: {message}");
                assert!(message.contains(words), "{text:?}: {message}");
                assert!(!message.contains("-->"), "{message}");
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn limits_are_kept() {
    let limits = BundleLimits {
        max_files: 2,
        max_total_bytes: 100,
    };
    let file = |name: &str, bytes: usize| {
        (
            name.to_owned(),
            format!("package a{}", " ".repeat(bytes - 9)).into_bytes(),
        )
    };
    assert!(Bundle::from_files(vec![file("a.rego", 50), file("b.rego", 50)], limits).is_ok());
    assert_eq!(
        Bundle::from_files(vec![file("a.rego", 51), file("b.rego", 50)], limits).unwrap_err(),
        PolicyError::TooLarge { max: 100 }
    );
    assert_eq!(
        Bundle::from_files(
            vec![file("a.rego", 20), file("b.rego", 20), file("c.rego", 20)],
            limits
        )
        .unwrap_err(),
        PolicyError::TooManyFiles { count: 3, max: 2 }
    );
    let readme = ("README.md".to_owned(), vec![b'x'; 500]);
    assert!(Bundle::from_files(vec![file("a.rego", 50), readme], limits).is_ok());
}

#[test]
fn paths_are_plain() {
    for path in [
        "/a.rego",
        "../a.rego",
        "a//b.rego",
        "./a.rego",
        "a/../b.rego",
        "",
        "a\nb.rego",
        "a/",
    ] {
        assert!(
            matches!(files(&[(path, MODULE)]), Err(PolicyError::Path { .. })),
            "{path:?}"
        );
    }
    let long = format!("{}.rego", "a".repeat(300));
    assert!(files(&[(&long, MODULE)]).is_err());
    assert!(matches!(
        files(&[("a.rego", MODULE), ("a.rego", MODULE)]),
        Err(PolicyError::Path { .. })
    ));
}

#[test]
fn files_are_what_their_names_say() {
    let not_text = Bundle::from_files(
        vec![("a.rego".to_owned(), vec![0xff, 0xfe])],
        BundleLimits::default(),
    );
    assert!(matches!(not_text, Err(PolicyError::File { .. })));
    for (file, text) in [
        ("data.json", "{"),
        ("data.json", "[]"),
        ("data.json", "1"),
        ("data.json", r#"{"a": 1, "a": 2}"#),
        ("data.json", r#"{"a": {"b": 1, "b": 1}}"#),
        ("data.yaml", "a: 1"),
        ("x/data.yml", "a: 1"),
        (".manifest", "{"),
        (".manifest", r#"{"rego_version": 0}"#),
        (".manifest", r#"{"wasm": []}"#),
    ] {
        let result = files(&[("a.rego", MODULE), (file, text)]);
        assert!(
            matches!(&result, Err(PolicyError::File { file: named, .. }) if named == file),
            "{file} {text}: {result:?}"
        );
    }
}

#[test]
fn data_takes_its_place_from_its_directory() {
    let bundle = files(&[
        (
            "data.json",
            r#"{"a": {"x": 1}, "n": [1, 2.5, null, true, "s"]}"#,
        ),
        ("a/b/data.json", r#"{"y": 2}"#),
    ])
    .unwrap();
    assert_eq!(
        serde_json::to_value(bundle.data()).unwrap(),
        serde_json::json!({"a": {"b": {"y": 2}, "x": 1}, "n": [1, 2.5, null, true, "s"]})
    );
    let clash = files(&[
        ("data.json", r#"{"a": {"b": {"y": 1}}}"#),
        ("a/b/data.json", r#"{"y": 2}"#),
    ]);
    let error = clash.unwrap_err().to_string();
    assert!(error.contains("`a.b.y`") || error.contains("y"), "{error}");
}

#[test]
fn roots_bind_modules_and_data() {
    let with = |roots: &str, path: &str, text: &str| {
        files(&[
            (
                ".manifest",
                &format!(r#"{{"revision": "r1", "roots": {roots}}}"#),
            ),
            (path, text),
        ])
    };
    assert_eq!(
        with(r#"["valetkey"]"#, "a.rego", MODULE)
            .unwrap()
            .manifest()
            .revision,
        "r1"
    );
    assert!(with(r#"[""]"#, "a.rego", MODULE).is_ok());
    assert!(with("[]", "a.rego", MODULE).is_ok());
    assert!(with(r#"["team/a"]"#, "a.rego", MODULE).is_err());
    assert!(with(r#"["valet"]"#, "a.rego", MODULE).is_err());
    assert!(with(r#"["team/a"]"#, "a.rego", "package team.a.b\n").is_ok());
    assert!(with(r#"["team/a"]"#, "data.json", r#"{"team": {"a": {"x": 1}}}"#).is_ok());
    assert!(with(r#"["team/a"]"#, "data.json", r#"{"team": {"b": 1}}"#).is_err());
    assert!(with(r#"["team/a"]"#, "data.json", r#"{"team": 1}"#).is_err());
    assert!(with(r#"["team/a"]"#, "a_test.rego", "package anything_test\n").is_ok());
}

#[test]
fn the_digest_is_of_what_counts() {
    let digest = |list: &[(&str, &str)]| files(list).unwrap().digest();
    let one = digest(&[("a.rego", MODULE), ("b.rego", "package b\n")]);
    assert_eq!(
        one,
        digest(&[("b.rego", "package b\n"), ("a.rego", MODULE)])
    );
    assert_eq!(
        one,
        digest(&[
            ("a.rego", MODULE),
            ("b.rego", "package b\n"),
            ("README.md", "hello")
        ])
    );
    assert_ne!(
        one,
        digest(&[("a.rego", MODULE), ("c.rego", "package b\n")])
    );
    assert_ne!(
        one,
        digest(&[("a.rego", MODULE), ("b.rego", "package b \n")])
    );
    assert_ne!(one, digest(&[("a.rego", MODULE)]));
}
