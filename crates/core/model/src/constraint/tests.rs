//! Tests of constraints: what is refused, and that the tighter of two is within both.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> Result<Constraints, serde_json::Error> {
    serde_json::from_str(&value.to_string())
}

fn schema(value: Value) -> ArgumentSchema {
    ArgumentSchema::try_from(value).unwrap()
}

#[test]
fn an_unknown_member_is_refused() {
    assert!(serde_json::from_str::<Constraints>(r#"{"max_bytes":1,"max_fun":2}"#).is_err());
    assert!(serde_json::from_str::<Constraints>(r#"{"max_bytes":-1}"#).is_err());
}

#[test]
fn the_tightest_is_within_both() {
    let a = Constraints {
        max_bytes: Some(10),
        allow_macros: Some(true),
        ..Constraints::default()
    };
    let b = Constraints {
        max_bytes: Some(5),
        max_rows: Some(3),
        allow_macros: Some(false),
        media_types: Some(vec!["text/plain".into()]),
        ..Constraints::default()
    };
    let both = a.tightest(&b);
    assert!(both.within(&a) && both.within(&b));
    assert_eq!(both.max_bytes, Some(5));
    assert_eq!(both.allow_macros, Some(false));
    assert!(!a.within(&b) && !Constraints::default().within(&a));
}

#[test]
fn redaction_grows_and_methods_shrink() {
    let a = read(json!({"redact": ["secrets"], "methods": ["POST", "GET"]})).unwrap();
    let b = read(json!({"redact": ["pii"], "methods": ["GET", "HEAD"]})).unwrap();
    let both = a.tightest(&b);
    assert_eq!(
        serde_json::to_value(&both).unwrap(),
        json!({"redact": ["pii", "secrets"], "methods": ["GET"]})
    );
    assert!(both.within(&a) && both.within(&b) && !a.within(&b) && !b.within(&a));
    let none = read(json!({"redact": ["secrets"], "methods": []})).unwrap();
    assert!(none.within(&a) && !a.within(&none));
    assert!(a.within(&Constraints::default()) && !Constraints::default().within(&a));
}

#[test]
fn lists_of_another_form_are_refused() {
    for value in [
        json!({"redact": ["names"]}),
        json!({"redact": ["Secrets"]}),
        json!({"redact": ["pii", "pii"]}),
        json!({"redact": "pii"}),
        json!({"redact": null}),
        json!({"methods": ["get"]}),
        json!({"methods": ["GET", "GET"]}),
        json!({"methods": ["CONNECT"]}),
        json!({"methods": ["TRACE"]}),
        json!({"methods": [""]}),
        json!({"methods": ["*"]}),
        json!({"methods": ["GET\r\nX:"]}),
        json!({"methods": [" GET"]}),
        json!({"methods": ["A".repeat(25)]}),
        json!({"methods": "GET"}),
        json!({"methods": null}),
    ] {
        assert!(read(value.clone()).is_err(), "{value}");
    }
}

#[test]
fn schemas_that_cannot_be_carried_are_refused() {
    use SchemaError::*;
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "not": inner }));
    let cases = [
        (json!(true), Form),
        (json!(null), Form),
        (json!([]), Form),
        (json!("string"), Form),
        (json!({"$ref": "https://example.com/s"}), Place),
        (json!({"properties": {"a": {"$ref": "#/$defs/x"}}}), Place),
        (
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema"}),
            Place,
        ),
        (json!({"items": [{"$dynamicRef": "#a"}]}), Place),
        (json!({"multipleOf": 0.5}), Number),
        (json!({"maximum": 9_007_199_254_740_992_u64}), Number),
        (json!({"const": "x".repeat(2048)}), Size),
        (nested(17), Size),
    ];
    for (value, error) in cases {
        assert_eq!(
            ArgumentSchema::try_from(value.clone()),
            Err(error),
            "{value}"
        );
        assert!(read(json!({ "arguments": value })).is_err());
    }
    assert!(ArgumentSchema::try_from(nested(16)).is_ok());
    assert!(ArgumentSchema::try_from(json!({"const": "x".repeat(2048 - 12)})).is_ok());
    assert!(ArgumentSchema::try_from(json!({"const": "x".repeat(2048 - 11)})).is_err());
}

#[test]
fn two_schemas_are_joined_and_equal_ones_stay() {
    let a = schema(json!({"required": ["a"]}));
    let b = schema(json!({"required": ["b"]}));
    let c = schema(json!({"type": "object"}));
    assert_eq!(a.and(&a), a);
    let both = a.and(&b);
    assert_eq!(
        *both.as_value(),
        json!({"allOf": [{"required": ["a"]}, {"required": ["b"]}]})
    );
    assert_eq!(both.and(&a), both);
    assert_eq!(both.and(&b), both);
    assert_eq!(
        *both.and(&c).as_value(),
        json!({"allOf": [{"required": ["a"]}, {"required": ["b"]}, {"type": "object"}]})
    );
    let with = |schema: &ArgumentSchema| Constraints {
        arguments: Some(schema.clone()),
        ..Constraints::default()
    };
    assert!(with(&both).within(&with(&a)) && with(&both).within(&with(&b)));
    assert!(!with(&a).within(&with(&both)) && !with(&a).within(&with(&b)));
    let nested = schema(json!({"allOf": [both.as_value(), {"type": "object"}]}));
    assert!(with(&nested).within(&with(&both)) && with(&nested).within(&with(&a)));
    // Beside other keywords an `allOf` is a part like any other, and an empty one is no schema to take apart.
    let beside = schema(json!({"allOf": [{"required": ["a"]}], "type": "object"}));
    assert!(!with(&beside).within(&with(&a)) || beside.and(&a) == beside);
    let empty = schema(json!({"allOf": []}));
    assert!(!with(&empty).within(&with(&a)));
}

#[test]
fn what_is_too_long_joined_lets_nothing_through() {
    let long = |c: &str| schema(json!({"const": c.repeat(1500)}));
    let nothing = schema(json!(false));
    assert_eq!(long("a").and(&long("b")), nothing);
    let deep = |name: &str| {
        schema((0..15).fold(json!({"const": name}), |inner, _| json!({ "not": inner })))
    };
    assert_eq!(deep("a").and(&deep("b")), nothing);
    assert_eq!(nothing.and(&long("a")), nothing);
    assert_eq!(long("a").and(&nothing), nothing);
}

#[test]
fn what_files_cannot_hold_is_told() {
    assert!(!Constraints::default().are_beyond_files());
    assert!(
        !read(json!({"max_bytes": 1, "max_files": 1}))
            .unwrap()
            .are_beyond_files()
    );
    assert!(!read(json!({"redact": ["pii"]})).unwrap().are_beyond_files());
    for value in [json!({"methods": ["GET"]}), json!({"arguments": {}})] {
        assert!(read(value.clone()).unwrap().are_beyond_files(), "{value}");
    }
}

fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(false)),
        Just(json!({})),
        Just(json!({"const": 1})),
        Just(json!({"required": ["a"]})),
        Just(json!({"allOf": []})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec(inner, 1..3).prop_map(|all| json!({ "allOf": all }))
    })
}

proptest! {
    /// Whatever is joined is within both, in either order, and joining again changes nothing.
    #[test]
    fn joined_schemas_are_within_both(a in any_schema(), b in any_schema()) {
        let with = |value: &Value| Constraints {
            arguments: Some(schema(value.clone())),
            ..Constraints::default()
        };
        let (a, b) = (with(&a), with(&b));
        let both = a.tightest(&b);
        prop_assert!(both.within(&a) && both.within(&b));
        prop_assert_eq!(both.tightest(&a), both.clone());
        let text = serde_json::to_string(&both).unwrap();
        prop_assert_eq!(serde_json::from_str::<Constraints>(&text).unwrap(), both);
    }
}
