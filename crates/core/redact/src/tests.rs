//! Tests of masks as a whole: lengths, structure, encodings, and what is put back.

use proptest::prelude::*;

use super::*;

const BOTH: Kinds = Kinds::SECRETS.union(Kinds::PII);

#[track_caller]
fn check(kinds: Kinds, content: &str, expected: &str) {
    let masked = mask(content.as_bytes(), kinds).expect("it can be looked into");
    assert_eq!(String::from_utf8_lossy(&masked.content), expected);
    assert_eq!(masked.content.len(), content.len());
}

#[test]
fn a_mask_keeps_length_quotes_and_line_ends() {
    let check = |content, expected| check(Kinds::SECRETS, content, expected);
    check(
        "PASSWORD=hunter2\r\nPORT=80\r\n",
        "PASSWORD=XXXXXXX\r\nPORT=80\r\n",
    );
    check("export TOKEN='a b'\n", "export TOKEN='XXX'\n");
    check(
        "db_password = \"a\\\"b\" # c\n",
        "db_password = \"XXXX\" # c\n",
    );
    check(
        "{\"apiKey\": \"abc\", \"pin_code_token\": 1234}",
        "{\"apiKey\": \"XXX\", \"pin_code_token\": 9999}",
    );
    check(
        "password: |\n  one\n  two\nuser: me\n",
        "password: |\n  XXX\nXXXXX\nuser: me\n",
    );
    check(
        "url: postgres://me:pw@db/x\n",
        "url: postgres://me:XX@db/x\n",
    );
    check(
        "\"print(1)\\n\",\n\"password = \\\"p w\\\"\\n\",",
        "\"print(1)\\n\",\n\"password = \\\"XXX\\\"\\n\",",
    );
    check("\"token=abc\\n\",", "\"token=XXX\\n\",");
    check("<password>a b</password>", "<password>XXX</password>");
    check(
        "- name: DB_PASSWORD\n  value: hunter2\n",
        "- name: DB_PASSWORD\n  value: XXXXXXX\n",
    );
    check("tool --password hunter2 -v", "tool --password XXXXXXX -v");
}

#[test]
fn what_is_no_secret_stays() {
    for content in [
        "PASSWORD=\n",
        "token: ${TOKEN}\n",
        "max_tokens = 4096\n",
        "password: str\n",
        "let token = read_token();\n",
        "see https://example.org/a:b and the tokens\n",
        "\"integrity\": \"sha512-aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE3fG5hJ7k\"\n",
        "commit 0123456789abcdef0123456789abcdef01234567\n",
        "PASSWORD_FILE=/run/secrets/db\n",
        "\"secret\": null,\n",
    ] {
        check(BOTH, content, content);
    }
}

#[test]
fn a_private_key_is_masked_to_its_end_and_one_without_end_too() {
    let begin = "-----BEGIN RSA PRIVATE KEY-----";
    let whole = format!("a\n{begin}\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----\nb\n");
    check(
        Kinds::SECRETS,
        &whole,
        &format!("a\n{begin}\nXXXX\nXXXX\n-----END RSA PRIVATE KEY-----\nb\n"),
    );
    check(
        Kinds::SECRETS,
        &format!("{begin}\nMIIB\nabc"),
        &format!("{begin}\nXXXX\nXXX"),
    );
}

#[test]
fn numbers_are_personal_where_their_check_digits_say_so() {
    let check = |content, expected| check(Kinds::PII, content, expected);
    check("to ann.b@example.org now", "to XXX.X@XXXXXXX.XXX now");
    check(
        "{\"card\": 4111111111111111}",
        "{\"card\": 9999999999999999}",
    );
    check("4111-1111-1111-1112", "4111-1111-1111-1112");
    check(
        "DE89 3704 0044 0532 0130 00.",
        "XXXX XXXX XXXX XXXX XXXX XX.",
    );
    check(
        "GB28 WEST 1234 5698 7654 32.",
        "GB28 WEST 1234 5698 7654 32.",
    );
    check("call +49 30 1234567 or", "call +99 99 9999999 or");
    check("2026-11-23 10:00, 1.2.3", "2026-11-23 10:00, 1.2.3");
}

#[test]
fn wide_text_is_looked_at_as_narrow_text_is() {
    let text = "PASSWORD=hunter2\r\nPORT=80\r\n";
    for (mark, big) in [(true, false), (false, false), (true, true), (false, true)] {
        let wide = |text: &str| -> Vec<u8> {
            let mark = mark.then_some(0xfeff_u16);
            let units = mark.into_iter().chain(text.encode_utf16());
            units
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        let masked = mask(&wide(text), Kinds::SECRETS).expect("text");
        assert_eq!(
            masked.content,
            wide("PASSWORD=XXXXXXX\r\nPORT=80\r\n"),
            "{mark} {big}"
        );
    }
}

#[test]
fn what_is_compressed_is_not_looked_into() {
    for start in [
        &b"\x1f\x8b\x08"[..],
        b"PK\x03\x04",
        b"%PDF-1.7",
        b"\x78\x9c\xcb\xff",
        b"PACK\0\0\0\x02",
    ] {
        assert_eq!(mask(start, Kinds::SECRETS), Err(Opaque));
    }
    assert!(mask(b"x^2 + y", Kinds::SECRETS).is_ok());
    assert!(mask(b"", Kinds::SECRETS).is_ok());
}

/// What is in the file after the edit, or why not.
fn edited(original: &str, edit: impl Fn(&str) -> String) -> Result<String, Refusal> {
    let masked = mask(original.as_bytes(), Kinds::SECRETS).expect("text");
    let shown = String::from_utf8(masked.content.clone()).expect("text");
    let written = edit(&shown);
    reconcile(
        original.as_bytes(),
        &masked,
        written.as_bytes(),
        Kinds::SECRETS,
    )
    .map(|outcome| String::from_utf8(outcome).expect("text"))
}

#[test]
fn what_a_writer_left_as_it_was_is_put_back() {
    let original = "A=1\nPASSWORD=hunter2\nTOKEN=hunter3\nB=2\n";
    let kept = |edit: &dyn Fn(&str) -> String, expected: &str| {
        assert_eq!(edited(original, edit).as_deref(), Ok(expected));
    };
    kept(&str::to_owned, original);
    kept(
        &|shown| shown.replace("A=1", "A=100"),
        "A=100\nPASSWORD=hunter2\nTOKEN=hunter3\nB=2\n",
    );
    kept(
        &|shown| format!("# new\n{shown}C=3\n"),
        "# new\nA=1\nPASSWORD=hunter2\nTOKEN=hunter3\nB=2\nC=3\n",
    );
    kept(
        &|shown| shown.replace("A=1\n", "").trim_end().to_owned(),
        "PASSWORD=hunter2\nTOKEN=hunter3\nB=2",
    );
}

#[test]
fn what_was_moved_or_changed_around_a_mask_is_put_back() {
    let original = "A=1\nPASSWORD=hunter2\nTOKEN=hunter34\nB=2\n";
    let kept = |edit: &dyn Fn(&str) -> String, expected: &str| {
        assert_eq!(edited(original, edit), Ok(expected.to_owned()));
    };
    kept(
        &|_| "B=2\nTOKEN=XXXXXXXX\nPASSWORD=XXXXXXX\nA=1\n".to_owned(),
        "B=2\nTOKEN=hunter34\nPASSWORD=hunter2\nA=1\n",
    );
    kept(
        &|shown: &str| shown.replace("PASSWORD=", "export DB_PASSWORD="),
        "A=1\nexport DB_PASSWORD=hunter2\nTOKEN=hunter34\nB=2\n",
    );
    kept(
        &|shown: &str| shown.replace('\n', " # changed\n"),
        "A=1 # changed\nPASSWORD=hunter2 # changed\nTOKEN=hunter34 # changed\nB=2 # changed\n",
    );
}

#[test]
fn lines_that_look_alike_keep_their_own_or_are_refused() {
    let original = "a:\n  password: hunter2\n  port: 1\nb:\n  password: hunter3\n  port: 2\n";
    assert_eq!(
        edited(original, |shown: &str| shown.replace("port: 1", "port: 7")),
        Ok(original.replace("port: 1", "port: 7"))
    );
    assert_eq!(
        edited(original, |shown: &str| shown
            .replace("b:", "c:\n  port: 3\nb:")),
        Ok(original.replace("b:", "c:\n  port: 3\nb:"))
    );
    // The blocks change places: each would get the other's.
    let swapped = "b:\n  password: XXXXXXX\n  port: 2\na:\n  password: XXXXXXX\n  port: 1\n";
    let outcome = edited(original, |_: &str| swapped.to_owned());
    assert!(
        outcome == Err(Refusal::Unclear)
            || outcome
                == Ok(
                    "b:\n  password: hunter3\n  port: 2\na:\n  password: hunter2\n  port: 1\n"
                        .to_owned()
                ),
        "{outcome:?}"
    );
    assert_eq!(
        edited(original, |shown: &str| shown
            .replace("a:", "x:")
            .replace("b:", "a:")
            .replace("port", "gate")),
        Err(Refusal::Unclear)
    );
}

#[test]
fn a_write_that_destroys_or_uncovers_is_not_taken() {
    let original = "A=1\nPASSWORD=hunter2\nTOKEN=hunter3\nB=2\n";
    let refused = |original: &str, edit: &dyn Fn(&str) -> String, why| {
        assert_eq!(edited(original, edit), Err(why));
    };
    refused(original, &|_| String::new(), Refusal::Destroys);
    refused(
        original,
        &|shown| shown.replacen("XXXXXXX", "XXXXXXY", 1),
        Refusal::Destroys,
    );
    refused(
        original,
        &|shown| shown.replace("PASSWORD", "COLOR"),
        Refusal::Uncovers,
    );
    // A guess is refused alike, right or wrong, and so is a new value.
    for guess in ["hunter2", "hunter9", "XXXXXX", "XXXXXXXX", ""] {
        refused(
            original,
            &|shown| shown.replacen("XXXXXXX", guess, 1),
            Refusal::Destroys,
        );
    }
    // A mask twice: nobody can tell which of them stands for the secret.
    refused(
        original,
        &|shown| format!("PASSWORD=XXXXXXX\n{shown}"),
        Refusal::Unclear,
    );
    refused(
        original,
        &|_| "A=1\nP_PASSWORD=XXXXXXX\nT_TOKEN=XXXXXXX\nB=2\n".to_owned(),
        Refusal::Unclear,
    );
    // The lines are left, and what makes them a secret is taken away.
    let key = "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBgkq\n-----END PRIVATE KEY-----\n";
    refused(
        key,
        &|shown| shown.replace("BEGIN PRIVATE KEY", "BEGIN NOTHING"),
        Refusal::Uncovers,
    );
    let block = "password: |\n  hunter2 hunter\nuser: me\n";
    refused(
        block,
        &|shown| shown.replace("password", "notes"),
        Refusal::Uncovers,
    );
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{1,6}=[a-z0-9]{0,8}",
        "(PASSWORD|token|api_key)[=:] ?[!-~]{1,12}",
        "[ -~]{0,30}",
        Just("-----BEGIN PRIVATE KEY-----".to_owned()),
        Just("-----END PRIVATE KEY-----".to_owned()),
        "https://[a-z]{2}:[a-z]{3}@[a-z]{3}/",
    ]
}

proptest! {
    #[test]
    fn masks_keep_length_and_line_ends_and_hide_what_they_hide(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        let masked = mask(text.as_bytes(), BOTH).expect("text");
        prop_assert_eq!(masked.content.len(), text.len());
        let mut at = 0;
        for range in &masked.ranges {
            prop_assert!(range.start >= at && range.end <= text.len());
            prop_assert_eq!(&masked.content[at..range.start], &text.as_bytes()[at..range.start]);
            at = range.end;
        }
        prop_assert_eq!(&masked.content[at..], &text.as_bytes()[at..]);
        for (from, to) in text.bytes().zip(&masked.content) {
            prop_assert_eq!(from == b'\n', *to == b'\n');
        }
    }

    #[test]
    fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(masked) = mask(&bytes, BOTH) {
            prop_assert_eq!(masked.content.len(), bytes.len());
        }
    }

    #[test]
    fn an_edit_keeps_every_original_or_is_refused(
        lines in prop::collection::vec(line(), 1..10), other in prop::collection::vec(line(), 0..3), at in 0_usize..10, out in 0_usize..3,
    ) {
        let text = lines.join("\n");
        let masked = mask(text.as_bytes(), Kinds::SECRETS).expect("text");
        let shown = String::from_utf8_lossy(&masked.content).into_owned();
        let mut new: Vec<String> = shown.split('\n').map(str::to_owned).collect();
        let at = at.min(new.len());
        let out = out.min(new.len() - at);
        new.splice(at..at + out, other);
        let written = new.join("\n");
        if let Ok(outcome) = reconcile(text.as_bytes(), &masked, written.as_bytes(), Kinds::SECRETS) {
            prop_assert_eq!(outcome.len(), written.len());
            for range in &masked.ranges {
                let secret = &text.as_bytes()[range.clone()];
                prop_assert!(outcome.windows(secret.len()).any(|window| window == secret));
            }
            for line in shown.split('\n').filter(|line| !text.split('\n').any(|plain| plain == *line)) {
                let count = |text: &str| text.split('\n').filter(|other| *other == line).count();
                prop_assert!(count(&written) <= count(&shown), "a copy of `{}` was taken", line);
            }
            // What differs from what was written is masked when it is shown again.
            let again = mask(&outcome, Kinds::SECRETS).expect("text");
            for (place, (now, wrote)) in outcome.iter().zip(written.as_bytes()).enumerate() {
                prop_assert!(now == wrote || again.content[place] == *wrote);
            }
        }
    }
}
