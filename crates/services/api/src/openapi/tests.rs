//! The documents are whole: every reference leads somewhere, every name is used once.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn documents() -> Vec<Value> {
    ["agent", "guard", "operator"]
        .into_iter()
        .map(|door| openapi(door).expect("a door"))
        .collect()
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                found.push(target);
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
    for document in documents() {
        let mut found = Vec::new();
        references(&document, &mut found);
        let used: BTreeSet<&str> = found
            .iter()
            .map(|target| {
                target
                    .strip_prefix("#/components/schemas/")
                    .expect("in the document")
            })
            .collect();
        let made: BTreeSet<&str> = document["components"]["schemas"]
            .as_object()
            .expect("schemas")
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(used, made);
        // Two types of one name would be told apart by a number.
        assert!(
            made.iter()
                .all(|name| !name.ends_with(|c: char| c.is_ascii_digit())),
            "{made:?}"
        );
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_what_it_answers() {
    for document in documents() {
        let mut names = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for operation in methods.as_object().expect("methods").values() {
                let name = operation["operationId"].as_str().expect("a name");
                assert!(names.insert(name), "{name}");
                for status in ["200", "400", "403", "429", "503"] {
                    assert!(
                        operation["responses"][status].is_object(),
                        "{path} {status}"
                    );
                }
                let known = !operation["responses"]["404"].is_null();
                assert!(
                    known || !path.contains('{'),
                    "{path}: an id may name nothing"
                );
                assert!(!operation["tags"].as_array().expect("tags").is_empty());
            }
        }
        assert!(names.len() >= 11);
    }
}

#[test]
fn an_unknown_door_has_no_document() {
    assert!(openapi("back").is_none());
}
