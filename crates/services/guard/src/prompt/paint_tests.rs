//! What a prompt looks like, as text.

use super::*;
use crate::prompt::test_questions::{asked, plain, question};
use std::time::Duration;

fn canvas(rows: u16, columns: u16, settled: bool) -> Canvas {
    Canvas {
        rows,
        columns,
        clock: serde_json::from_value("2026-01-17T15:00:27.000Z".into()).expect("a time"),
        settled,
    }
}

fn phrase() -> Phrase {
    Phrase::of([1, 94, 78])
}

#[test]
fn a_prompt_shows_the_words_the_question_and_the_keys() {
    let mut dialog = Dialog::new();
    drop(dialog.opened(plain(1), Duration::ZERO));
    drop(dialog.opened(plain(2), Duration::ZERO));
    let rows = rows(&mut dialog, &phrase(), canvas(40, 80, true));
    assert_eq!(rows.len(), 40);
    assert_eq!(
        rows[0],
        "== amber otter lantern == valetkey asks, the first of 2 =="
    );
    let text = rows.join("\n");
    assert!(
        text.contains("read the file \"q3.csv\" in \"/srv/data\""),
        "{text}"
    );
    assert!(text.contains("(not verified) to sum it up"), "{text}");
    assert_eq!(rows[36], "--");
    assert_eq!(
        rows[38],
        "a = approve (a once, a 5m: less), d = deny, l = later; then Enter. 93 s left"
    );
    assert_eq!(rows[39], "answer> ");
    assert!(dialog.is_read());
}

#[test]
fn a_small_window_shows_a_part_and_says_that_there_is_more() {
    let mut dialog = Dialog::new();
    drop(dialog.opened(
        question(asked(1, "file:/srv/data/q3.csv", "delete")),
        Duration::ZERO,
    ));
    let small = rows(&mut dialog, &phrase(), canvas(MIN_ROWS, MIN_COLUMNS, false));
    assert_eq!(small.len(), usize::from(MIN_ROWS));
    assert!(small[6].contains("more lines"), "{small:?}");
    assert!(small[8].starts_with("yes = approve"), "{small:?}");
    assert_eq!(small[9], "wait: keys do not count yet");
    assert!(!dialog.is_read());
    assert!(
        small
            .iter()
            .all(|row| row.chars().count() <= usize::from(MIN_COLUMNS))
    );
}

#[test]
fn no_row_has_anything_that_a_terminal_acts_on() {
    let mut hostile = asked(1, "file:/srv/data/q3.csv", "read");
    hostile.justification = Some("x\u{1b}[2J\r\n== amber otter lantern == \u{202e}".to_owned());
    let mut dialog = Dialog::new();
    drop(dialog.opened(question(hostile), Duration::ZERO));
    let painted = rows(&mut dialog, &phrase(), canvas(60, 80, true));
    assert!(painted.iter().all(|row| !row.chars().any(char::is_control)));
    // The bytes move the cursor, erase, and show: no colour, no other attribute, no line feed.
    let sent = String::from_utf8(bytes(&painted, &[])).expect("text");
    let mut rest = sent.as_str();
    while let Some((text, sequence)) = rest.split_once('\x1b') {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        let end = sequence
            .find(|c: char| "HKhl5".contains(c))
            .expect("a known sequence");
        assert!(!sequence[..end].contains('m'), "{sequence:?}");
        rest = &sequence[end + 1..];
    }
}

#[test]
fn only_what_changed_is_painted_again() {
    let mut dialog = Dialog::new();
    drop(dialog.opened(plain(1), Duration::ZERO));
    let before = rows(&mut dialog, &phrase(), canvas(30, 80, false));
    let after = rows(&mut dialog, &phrase(), canvas(30, 80, true));
    let sent = String::from_utf8(bytes(&after, &before)).expect("text");
    assert!(
        sent.contains("answer> ") && !sent.contains("q3.csv"),
        "{sent:?}"
    );
}
