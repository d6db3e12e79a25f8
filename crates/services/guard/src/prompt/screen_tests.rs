//! A prompt in the middle of any output leaves the screen as if it had not been.

use proptest::prelude::*;

use super::*;

const ROWS: u16 = 8;
const COLUMNS: u16 = 20;

/// A terminal, as a person has one.
fn reference() -> Parser {
    let (rows, columns) = size(ROWS, COLUMNS);
    Parser::new(rows, columns, 50)
}

/// Everything that can be seen or felt of a terminal.
fn state(terminal: &Parser) -> (String, (u16, u16), bool, String) {
    let screen = terminal.screen();
    (
        screen.state_formatted(),
        screen.cursor_position(),
        screen.alternate_screen(),
        screen.attributes_formatted(),
    )
}

/// What a prompt writes: rows of text, each at its place.
fn prompt() -> Vec<u8> {
    let mut out = Vec::new();
    for row in 1..=ROWS {
        out.extend(format!("\x1b[{row};1H\x1b[2Kwhat a prompt shows").bytes());
    }
    out
}

fn with_prompt(before: &[u8], after: &[u8]) -> Parser {
    let mut terminal = reference();
    let mut model = Model::new(ROWS, COLUMNS);
    terminal.process(&model.pass(before));
    terminal.process(&model.open());
    terminal.process(&prompt());
    assert!(terminal.screen().alternate_screen());
    assert!(!terminal.screen().hide_cursor());
    assert!(terminal.screen().bracketed_paste());
    terminal.process(&model.close());
    terminal.process(&model.pass(after));
    terminal.process(&model.rest());
    terminal
}

fn check(output: &[u8], at: usize) {
    let (before, after) = output.split_at(at.min(output.len()));
    let mut without = reference();
    without.process(output);
    let with = with_prompt(before, after);
    assert_eq!(
        state(&with),
        state(&without),
        "{:?} | {:?}",
        String::from_utf8_lossy(before),
        String::from_utf8_lossy(after)
    );
}

#[test]
fn typical_output_is_undisturbed_wherever_the_prompt_opens() {
    for output in [
        "plain\r\nlines\r\n\x1b[31;1mred\x1b[m and \u{20ac}\u{4e2d}\u{6587} on",
        "\x1b[?1049h\x1b[H\x1b[2J\x1b[2;6r\x1b[?25l\x1b[3;4Hfull\x1b[7mscreen\x1b[m\x1b[5;5Hx\n\n\n\ny\x1b[?1049lover",
        "\x1b[?1h\x1b=\x1b[?2004h\x1b[?1000h\x1b[?1006htext\x1b[?2004l",
        "\x1b]0;a title\x07\x1b]52;c;aGk=\x07after\x1b[4mline",
        "12345678901234567890next\x1b[1;1H12345678901234567890\x1b[Kx",
        "one\x1b7\x1b[5;5Hfar\x1b8two",
        "\x1b[?1049h12345678901234567890",
    ] {
        for at in 0..=output.len() {
            check(output.as_bytes(), at);
        }
    }
}

#[test]
fn lines_and_inserted_text_are_on_the_model() {
    let mut model = Model::new(ROWS, COLUMNS);
    let _shown = model.pass(b"\x1b[?1049h\x1b(0lqqk\x1b(B\r\n\x0fabc\r\x1b[4hX\x1b[4l");
    let mut terminal = reference();
    terminal.process(&model.open());
    terminal.process(&model.close());
    assert!(terminal.screen().contents().starts_with("┌──┐\nXabc"));
}

#[test]
fn what_would_read_the_screen_is_not_passed_on() {
    let mut model = Model::new(ROWS, COLUMNS);
    assert_eq!(model.pass(b"a\x1b[1;0;1;1;1;1*yb"), b"ab");
    assert_eq!(model.pass(b"\x1b[1;0;1;1;1;1*"), b"");
    assert_eq!(model.pass(b"yb"), b"b");
}

#[test]
fn everything_that_hides_or_moves_a_prompt_is_put_aside() {
    let mut model = Model::new(ROWS, COLUMNS);
    let hostile = b"\x1b[?6;69;2026h\x1b[3;4r\x1b[5;9s\x1b[?25l\x1b[?7l\x1b[4h\x1b(0\x0e\x1b%@\x1b[?1003;1006h\x1b]8;;http://x/\x07\x1b[>1u\x1b[>4;2m";
    let _shown = model.pass(hostile);
    let opened = String::from_utf8(model.open()).expect("text");
    for reset in [
        "\x1b[?6l",
        "\x1b[?69l",
        "\x1b[?2026l",
        "\x1b[?25h",
        "\x1b[?7h",
        "\x1b[4l",
        "\x1b(B\x0f",
        "\x1b%G",
        "\x1b[?1003l",
        "\x1b[?1006l",
        "\x1b]8;;\x1b\\",
        "\x1b[>0u",
        "\x1b[>4;0m",
    ] {
        assert!(opened.contains(reset), "{reset:?} in {opened:?}");
    }
    let closed = String::from_utf8(model.close()).expect("text");
    for set in [
        "\x1b[?69h\x1b[5;9s",
        "\x1b[?2026h",
        "\x1b[?25l",
        "\x1b[?7l",
        "\x1b[4h",
        "\x1b(0\x0e",
        "\x1b%@",
        "\x1b[?1003h",
        "\x1b]8;;http://x/\x07",
        "\x1b[<u",
        "\x1b[>4;2m",
    ] {
        assert!(closed.contains(set), "{set:?} in {closed:?}");
    }
}

#[test]
fn another_size_of_the_window_is_the_models_too() {
    let mut model = Model::new(ROWS, COLUMNS);
    let _shown = model.pass(b"\x1b[?1049h\x1b[2;3r\x1b[8;20Hx");
    let _opened = model.open();
    model.resize(4, 10);
    let _closed = model.close();
    model.resize(0, 0);
    let _shown = model.pass(b"more\x1b[?1049l");
    assert!(!model.in_alternate());
}

/// The pieces, without those that leave the alternate screen where they never entered it: that goes back to a place that nobody kept.
/// Margins are ended before a switch: most terminals have them once, the reference has them for each screen.
fn paired(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut inside = false;
    let mut output = Vec::new();
    for part in parts {
        match part.as_slice() {
            b"\x1b[?1049h" => inside = true,
            b"\x1b[?1049l" if !inside => continue,
            b"\x1b[?1049l" => inside = false,
            _ => {}
        }
        if part.starts_with(b"\x1b[?1049") {
            output.extend(b"\x1b[r");
        }
        output.extend(part);
    }
    output
}

/// Pieces of output of programs.
fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[a-z ]{1,12}".prop_map(String::into_bytes),
        Just("\u{20ac}\u{4e2d}\u{6587}".as_bytes().to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n\n".to_vec()),
        Just(b"\t".to_vec()),
        (1_u16..10, 1_u16..22)
            .prop_map(|(row, column)| format!("\x1b[{row};{column}H").into_bytes()),
        (1_u16..5, 1_u16..9).prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r").into_bytes()),
        prop_oneof![Just(0), Just(1), Just(4), Just(7), 30_u16..38, 40_u16..48]
            .prop_map(|sgr| format!("\x1b[{sgr}m").into_bytes()),
        prop_oneof![
            Just("J"),
            Just("2J"),
            Just("K"),
            Just("1K"),
            Just("2L"),
            Just("M"),
            Just("3P"),
            Just("2@"),
            Just("2S"),
            Just("T"),
            Just("4X"),
            Just("3D"),
            Just("2A")
        ]
        .prop_map(|end| format!("\x1b[{end}").into_bytes()),
        (
            prop_oneof![
                Just(1),
                Just(25),
                Just(1000),
                Just(1002),
                Just(1006),
                Just(2004),
                Just(1049)
            ],
            any::<bool>()
        )
            .prop_map(|(mode, on): (u16, bool)| format!(
                "\x1b[?{mode}{}",
                if on { 'h' } else { 'l' }
            )
            .into_bytes()),
        Just(b"\x1bM".to_vec()),
        Just(b"\x1b=".to_vec()),
        Just(b"\x1b]2;title\x1b\\".to_vec()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_output_is_undisturbed_by_a_prompt_in_its_middle(
        parts in proptest::collection::vec(part(), 1..14),
        share in 0_usize..1000,
    ) {
        let output = paired(&parts);
        let at = output.len() * share / 1000;
        check(&output, at);
    }

    #[test]
    fn no_output_breaks_the_model(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'?'), Just(b';'), Just(b'9')], 0..200)) {
        let mut model = Model::new(ROWS, COLUMNS);
        let _shown = model.pass(&bytes);
        let _opened = model.open();
        model.resize(3, 7);
        let _closed = model.close();
        let _shown = model.pass(&bytes);
    }
}
