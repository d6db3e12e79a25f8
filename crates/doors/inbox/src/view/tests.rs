//! What is seen: pictures of the screen, kept as text in `snapshots`. `UPDATE_SNAPSHOTS=1` writes them anew, to be looked at before they are kept.

use std::path::Path;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use valetkey_approval::Asked;

use super::{Theme, draw};
use crate::app::testkit::{Desk, at, held, question, reading};
use crate::app::{Done, Event, News, PAUSE_MS};

/// The screen, a line a row.
fn picture(desk: &Desk) -> String {
    let (columns, rows) = desk.app.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal
        .draw(|frame| draw(&desk.app, Theme::Plain, frame))
        .map(drop)
        .unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(usize::from(columns)) {
        let mut line = String::new();
        let mut skip = 0;
        for cell in row {
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = unicode_width::UnicodeWidthStr::width(cell.symbol());
            }
            skip = skip.saturating_sub(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[track_caller]
fn check(name: &str, desk: &Desk) {
    let picture = picture(desk);
    assert!(
        !picture.chars().any(|c| c.is_control() && c != '\n'),
        "{}",
        picture.escape_debug()
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/view/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &picture).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == picture, "{name} is not as kept but:\n{picture}");
}

/// An inbox of a size with these questions, looked at for long enough.
fn desk(columns: u16, rows: u16, questions: Vec<Asked>) -> Desk {
    let mut desk = Desk::new(columns, rows);
    drop(desk.news(questions));
    desk.wait(PAUSE_MS);
    desk
}

fn three() -> Vec<Asked> {
    vec![
        reading(1),
        question(2, "file:/home/alice/Reports/budget.xlsx", "write"),
        question(3, "file:/home/alice/Reports/old.txt", "delete"),
    ]
}

fn hostile() -> Asked {
    let name = "file:/home/alice/p\u{430}y%1B[2J%E2%80%AEtxt.exe";
    let mut asked = question(1, name, "read");
    asked.justification = Some("\u{1b}]0;owned\u{7}\r\napproved by alice\u{200b}".to_owned());
    asked.purpose = Some("a\u{1b}[31mred".to_owned());
    asked.reasons = vec!["\u{9b}2J".to_owned()];
    asked
}

#[test]
fn an_empty_inbox() {
    check("waiting", &Desk::new(80, 24));
    check("empty", &desk(80, 24, vec![]));
}

#[test]
fn questions_with_the_detail_of_one() {
    check("three", &desk(80, 24, three()));
    let mut desk = desk(80, 24, three());
    drop(desk.press("jj "));
    check("third_marked", &desk);
}

#[test]
fn wide_and_long_windows() {
    check("wide", &desk(132, 43, three()));
}

#[test]
fn small_windows() {
    check("smallest", &desk(44, 10, three()));
    check("narrow", &desk(50, 30, three()));
    check("too_small", &desk(30, 8, three()));
    check("tiny", &desk(5, 2, three()));
}

#[test]
fn hostile_names_are_shown_for_what_they_are() {
    let mut desk = desk(100, 40, vec![hostile()]);
    check("hostile", &desk);
    drop(desk.press("a"));
    check("hostile_page", &desk);
}

#[test]
fn two_hundred_questions() {
    let many: Vec<Asked> = (0..200).map(reading).collect();
    let mut desk = desk(80, 24, many);
    check("two_hundred", &desk);
    drop(desk.press(&"j".repeat(99)));
    check("two_hundred_middle", &desk);
    drop(desk.press("G"));
    check("two_hundred_last", &desk);
}

#[test]
fn a_question_that_is_about_to_close_and_one_that_has() {
    let mut desk = desk(80, 24, three());
    desk.wait(95_000);
    check("expiring", &desk);
    desk.wait(30_000);
    drop(desk.news(vec![]));
    check("expired", &desk);
    drop(desk.press("3"));
    check("history", &desk);
}

#[test]
fn the_page_that_approves() {
    let mut short = desk(80, 30, three());
    drop(short.press("a"));
    check("approve", &short);
    let mut desk = desk(60, 12, three());
    drop(desk.press("a"));
    desk.wait(PAUSE_MS);
    check("approve_more_below", &desk);
}

#[test]
fn several_on_one_page() {
    let mut desk = desk(80, 24, (1..=3).map(reading).collect());
    drop(desk.press("   "));
    check("marked", &desk);
    drop(desk.press("A"));
    check("approve_several", &desk);
}

#[test]
fn lines_to_type_in() {
    let mut desk = desk(80, 24, three());
    drop(desk.press("dnot today"));
    check("deny", &desk);
    drop(desk.press("\x1b/budget"));
    check("filter", &desk);
    drop(desk.press("\n"));
    check("filtered", &desk);
}

#[test]
fn a_passphrase_shows_nothing() {
    let mut desk = desk(80, 24, three());
    drop(desk.press("a          "));
    let Some(crate::app::Effect::Answer(answering, _)) = desk.press("y").pop() else {
        panic!("no answer");
    };
    drop(desk.on(Event::Done(Done::Locked {
        answering,
        wrong: false,
    })));
    drop(desk.press("correct horse"));
    check("passphrase", &desk);
}

#[test]
fn grants_and_their_countdowns() {
    let mut desk = Desk::new(80, 24);
    drop(desk.on(Event::News(News {
        capabilities: vec![
            held(1, "file:/home/alice/Reports/**"),
            held(2, "file:/home/alice/p\u{430}y.txt"),
            held(200, "file:/srv/data/**"),
        ],
        ..News::default()
    })));
    drop(desk.press("2"));
    check("grants", &desk);
    drop(desk.press("R"));
    check("revoke_all", &desk);
}

#[test]
fn a_broker_that_is_away_and_an_alert() {
    let mut desk = desk(80, 24, three());
    drop(desk.on(Event::News(News {
        questions: three(),
        alerts: vec!["agent was denied three times and waits a minute".to_owned()],
        ..News::default()
    })));
    check("alert", &desk);
    drop(desk.on(Event::Unreachable("no such file".to_owned())));
    check("unreachable", &desk);
    drop(desk.press("?"));
    check("help", &desk);
    assert_eq!(desk.app.now, at(desk.ms));
}
