//! The expressions against the parsers, both ways.

use proptest::prelude::*;
use proptest::string::string_regex;
use regex::Regex;

use super::*;
use crate::{
    AgentId, ApprovalId, CapabilityId, Digest, EventId, Method, ParseResourceError, PatternError,
    RequestId, Resource, SessionId, TicketPattern, Timestamp,
};

fn expression(text: &str) -> Regex {
    Regex::new(text).expect("an expression")
}

/// Text that the expression matches. Anchors are not for the generator.
fn matching(text: &str) -> impl Strategy<Value = String> {
    let inner = text
        .strip_prefix('^')
        .and_then(|text| text.strip_suffix('$'));
    string_regex(inner.expect("anchored")).expect("an expression")
}

/// Text that is near what is meant: a sound one with a part taken out, doubled or replaced.
fn near(sound: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,3}",
        prop::sample::select(vec![
            "/", "..", ".", "*", "**", "%2F", "%41", "%00", "%C3%A4", "#", ":", "443", "\u{202e}",
            "é"
        ])
        .prop_map(str::to_owned),
    ];
    (
        prop::sample::select(sound),
        any::<prop::sample::Index>(),
        0usize..4,
        piece,
    )
        .prop_map(|(text, at, length, piece)| {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let end = (at + length).min(chars.len());
            let head: String = chars[..at].iter().collect();
            let tail: String = chars[end..].iter().collect();
            format!("{head}{piece}{tail}")
        })
}

const RESOURCES: &[&str] = &[
    "file:/",
    "file:/**",
    "file:/home/alice/Reports/q3.xlsx",
    "file:/home/alice/Reports/**",
    "file:/srv/**/*.csv",
    "file:/a/.../..b/.c/*",
    "file:/%20/%FF/日本",
    "exec:/usr/bin/git",
    "exec:/usr/bin/git#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "https://api.example.com/v1/**",
    "https://[2001:db8::1]:8443/a%20b/*",
    "https://127.0.0.1/",
    "tcp:db.internal:5432",
    "tool:github/create_issue",
    "secret:vault/database/creds/reporting",
    "bus:org.freedesktop.Notifications/Notify",
    "bus:org.freedesktop.portal.Desktop/org.freedesktop.portal.FileChooser.OpenFile",
];

#[test]
fn every_example_is_both_matched_and_parsed() {
    let resource = expression(&resource());
    for text in RESOURCES {
        assert!(resource.is_match(text), "{text}");
        assert!(text.parse::<Resource>().is_ok(), "{text}");
    }
    for text in [
        "file:",
        "file:a",
        "file://",
        "file:/a/",
        "file:/a/../b",
        "file:/.",
        "file:/a**",
        "file:/***",
        "file:/%41",
        "file:/%2f",
        "ftp:/a",
        "https://a",
        "tool:a",
        "tool:./b",
        "bus:a/B",
        "tcp:a:0",
    ] {
        assert!(!resource.is_match(text), "{text}");
        assert!(text.parse::<Resource>().is_err(), "{text}");
    }
    let ticket = expression(&ticket());
    for text in ["^[A-Z]{2,10}-[0-9]+$", r"^INC[0-9]{7}\.?[a-c_-]*$"] {
        assert!(
            ticket.is_match(text) && text.parse::<TicketPattern>().is_ok(),
            "{text}"
        );
    }
}

/// What an expression cannot say, and so may match although the parser refuses it.
fn is_beyond_an_expression(error: &ParseResourceError) -> bool {
    match error {
        // The one spelling of a character, lengths after decoding, numbers of stars, and what servers read in two ways.
        ParseResourceError::Path(
            PatternError::Encoding { .. }
            | PatternError::TooLong
            | PatternError::DoubleStar
            | PatternError::Ambiguous,
        ) => true,
        ParseResourceError::Path(_) | ParseResourceError::Scheme { .. } => false,
        // Hosts that end in a number, ports over 65535, names of 255 bytes in all, a pin on a pattern.
        ParseResourceError::Form(_) => true,
    }
}

macro_rules! exact {
    ($($name:ident: $type:ty, $form:expr, $sound:expr;)+) => {$(
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(512))]
            #[test]
            fn $name(generated in matching(&$form), other in near($sound)) {
                prop_assert!(<$type>::try_from(generated.clone()).is_ok(), "{generated}");
                let matched = expression(&$form).is_match(&other);
                prop_assert_eq!(<$type>::try_from(other.clone()).is_ok(), matched, "{}", other);
            }
        }
    )+};
}

exact! {
    a_session_id: SessionId, id("ses"), &["ses-01ARYZ6S410000000000000000", "ses-7ZZZZZZZZZZZZZZZZZZZZZZZZZ"];
    a_request_id: RequestId, id("req"), &["req-01ARYZ6S410000000000000000"];
    a_capability_id: CapabilityId, id("cap"), &["cap-01ARYZ6S410000000000000000"];
    an_approval_id: ApprovalId, id("apr"), &["apr-01ARYZ6S410000000000000000"];
    an_event_id: EventId, id("evt"), &["evt-01ARYZ6S410000000000000000"];
    an_agents_name: AgentId, agent(), &["agent-ui-123", "a"];
    a_digest: Digest, digest(), &["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"];
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_a_parser_takes_its_expression_matches(text in near(RESOURCES)) {
        if text.parse::<Resource>().is_ok() {
            prop_assert!(expression(&resource()).is_match(&text), "{text}");
        }
    }

    #[test]
    fn what_the_expression_of_resources_matches_is_refused_only_for_what_it_cannot_say(text in matching(&resource())) {
        if let Err(error) = text.parse::<Resource>() {
            prop_assert!(is_beyond_an_expression(&error), "{text}: {error}");
        }
    }

    #[test]
    fn a_method(text in matching(&method()), other in near(&["GET", "VERSION-CONTROL", "TRACE", "CONNECT"])) {
        let barred = |text: &str| matches!(text, "CONNECT" | "TRACE");
        prop_assert_eq!(text.parse::<Method>().is_ok(), !barred(&text));
        let matched = expression(&method()).is_match(&other) && !barred(&other);
        prop_assert_eq!(other.parse::<Method>().is_ok(), matched, "{}", other);
    }

    #[test]
    fn a_time(ms in 0..253_402_300_800_000u64, text in matching(&timestamp()), other in near(&["2026-01-17T15:12:00.000Z"])) {
        let form = expression(&timestamp());
        prop_assert!(form.is_match(&Timestamp::from_unix_ms(ms).to_string()));
        // The days of its month are beyond an expression; the first 28 are in all.
        let day: u32 = text[8..10].parse().unwrap();
        prop_assert!(day > 28 || text.parse::<Timestamp>().is_ok(), "{text}");
        prop_assert!(form.is_match(&other) || other.parse::<Timestamp>().is_err(), "{other}");
    }

    #[test]
    fn a_pattern_of_tickets(other in near(&["^[A-Z]{2,10}-[0-9]+$", r"^INC[0-9]{7}\.?[a-c_-]*$", "^[A-Z.]#$"])) {
        prop_assert!(expression(&ticket()).is_match(&other) || other.parse::<TicketPattern>().is_err(), "{other}");
    }
}
