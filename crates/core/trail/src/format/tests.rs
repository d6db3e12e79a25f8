//! Formats: every type of event in each, nothing that a reader would act on, and the schemas of others.

use serde_json::json;

use super::*;
use crate::testing::{one_of_each, record, write};

const EVIL: &str = "=cmd|'/C calc'!A0 \u{1b}[2J,\"x\"\r\nCEF:0|a=b\\ \u{202e}";

#[test]
fn every_row_has_the_columns_of_the_header() {
    let columns = CSV_HEADER.split(',').count();
    for record in one_of_each() {
        let bytes = serde_json::to_string(&record).unwrap();
        let row = csv_row(&record, &bytes);
        let (mut quoted, mut commas) = (false, 0);
        for c in row.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => commas += 1,
                _ => {}
            }
        }
        assert!(!quoted);
        assert_eq!(commas + 1, columns, "{row}");
    }
}

#[test]
fn no_format_lets_text_out_of_its_place() {
    let record = record(0, write("/a%1B]0;x%07").justification(EVIL));
    let row = csv_row(&record, &serde_json::to_string(&record).unwrap());
    assert!(row.contains(",\"'=cmd|"), "{row}");
    let cef = cef(&record);
    let (_, extension) = cef.rsplit_once("|rt=").unwrap();
    assert!(extension.contains("a\\=b"), "{cef}");
    // Seven bars part the header; one more would move its fields.
    assert_eq!(cef.split("rt=").next().unwrap().matches('|').count(), 7);
    for text in [row, cef] {
        assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

#[test]
fn a_file_is_a_file_and_a_denial_a_failure() {
    let mut record = record(0, write("/home/alice/q3.xlsx"));
    let event = ocsf(&record);
    assert_eq!(event["class_uid"], 1001);
    assert_eq!(event["type_uid"], 100_103);
    assert_eq!(event["file"]["path"], "/home/alice/q3.xlsx");
    assert_eq!(event["status_id"], 1);
    record.decision = Some(AuditDecision::Denied);
    assert_eq!(ocsf(&record)["status_id"], 2);
    let document = ecs(&record);
    assert_eq!(document["event"]["type"], json!(["change", "denied"]));
    assert_eq!(document["file"]["name"], "q3.xlsx");
}

#[test]
fn every_type_has_a_class_of_ocsf() {
    for record in one_of_each() {
        let event = ocsf(&record);
        let class = event["class_uid"].as_u64().unwrap();
        assert!([1001, 6003, 3003, 3004, 2004].contains(&class));
        let type_uid = class * 100 + event["activity_id"].as_u64().unwrap();
        assert_eq!(event["type_uid"], type_uid);
    }
}

/// The schema's own validator, where there is one: `pip install ocsf-json-schema jsonschema`, and `VALETKEY_TEST_OCSF_PYTHON` names that Python.
#[test]
fn every_type_is_valid_ocsf() {
    use std::io::Write as _;
    let Ok(python) = std::env::var("VALETKEY_TEST_OCSF_PYTHON") else {
        println!("SKIPPED: VALETKEY_TEST_OCSF_PYTHON names no Python with ocsf-json-schema");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/format/ocsf_valid.py");
    let mut child = std::process::Command::new(python)
        .arg(script)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for record in one_of_each() {
        writeln!(input, "{}", ocsf(&record)).unwrap();
        let mut bare = record.clone();
        (bare.resource, bare.user, bare.session, bare.action) = (None, None, None, None);
        bare.attributes.clear();
        writeln!(input, "{}", ocsf(&bare)).unwrap();
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}
