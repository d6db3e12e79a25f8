//! Tests of text that is shown: every trick is seen, honest names are left alone, and nothing looks like anything else.

use proptest::prelude::*;

use super::*;

#[test]
fn tricks_become_visible() {
    assert_eq!(visible("report.xlsx"), "report.xlsx");
    assert_eq!(visible("Grüße 東京"), "Grüße 東京");
    assert_eq!(visible("a\u{202e}txt.exe"), "a<U+202E>txt.exe");
    assert_eq!(visible("\x1b[2Jok\r\n"), "<U+001B>[2Jok<U+000D><U+000A>");
    assert_eq!(visible("a\u{200b}b\u{a0}c"), "a<U+200B>b<U+00A0>c");
    assert_eq!(visible("\u{e0041}\u{fe0f}"), "<U+E0041><U+FE0F>");
    assert_eq!(visible("\u{9b}31m\u{7f}"), "<U+009B>31m<U+007F>");
}

#[test]
fn letters_of_another_script_within_a_word_become_visible() {
    for (text, shown) in [
        ("p\u{430}ypal", "p<U+0430>ypal"),
        ("\u{440}\u{430}\u{443}pal", "<U+0440><U+0430><U+0443>pal"),
        ("budg\u{3b5}t.xlsx", "budg<U+03B5>t.xlsx"),
        ("report.\u{445}lsx", "report.<U+0445>lsx"),
        // Not mixed within a word, but beside Latin and to be taken for it.
        ("\u{441}\u{43e}\u{440}.txt", "<U+0441><U+043E><U+0440>.txt"),
        // Alone, with nothing that says that Cyrillic is meant.
        (
            "/home/alice/\u{441}\u{43e}\u{440}",
            "/home/alice/<U+0441><U+043E><U+0440>",
        ),
        (
            "\u{43e}\u{3bf}\u{431}\u{3b4}",
            "\u{43e}<U+03BF>\u{431}<U+03B4>",
        ),
    ] {
        assert_eq!(visible(text), shown);
    }
}

#[test]
fn look_alikes_of_ascii_become_visible() {
    for (text, shown) in [
        ("\u{ff41}dmin", "<U+FF41>dmin"),
        ("\u{1d41a}dmin", "<U+1D41A>dmin"),
        ("etc\u{2215}passwd", "etc<U+2215>passwd"),
        ("etc\u{2044}passwd", "etc<U+2044>passwd"),
        ("etc\u{ff0f}passwd", "etc<U+FF0F>passwd"),
        ("a\u{2024}exe", "a<U+2024>exe"),
        ("a\u{ff0e}exe", "a<U+FF0E>exe"),
        ("\u{212a}ey", "<U+212A>ey"),
        ("\u{2160}nvoice", "<U+2160>nvoice"),
        ("\u{24d0}dmin", "<U+24D0>dmin"),
    ] {
        assert_eq!(visible(text), shown);
    }
}

#[test]
fn honest_names_are_left_alone() {
    for name in [
        "отчёт.xlsx",
        "Квартальный отчёт за сентябрь",
        "файл с отчётом",
        "Αναφορά πωλήσεων.pdf",
        "報告書（最終）.xlsx",
        "レポート2026年.pdf",
        "ファイルA",
        "보고서.docx",
        "季度报告v2.xlsx",
        "Phở Hà Nội.txt",
        "naïve café résumé.odt",
        "Ærø Łódź Žižkov.txt",
        "תקציב 2026",
        "ميزانية",
        "รายงาน.pdf",
        "हिन्दी.txt",
        "🎉 party.png",
        "3 µm, 20 °C, ½ € §4",
        "a < b > c <U- <0y",
    ] {
        assert_eq!(visible(name), name);
    }
}

#[test]
fn quotes_and_dashes_stay_in_sentences_and_not_in_names() {
    let text = "the report – it’s “draft”";
    assert_eq!(SafeText::prose(text).as_str(), text);
    assert_eq!(visible("a\u{2013}b"), "a<U+2013>b");
    assert_eq!(
        SafeText::prose("p\u{430}y \u{202e}").as_str(),
        "p<U+0430>y <U+202E>"
    );
}

#[test]
fn marks_without_a_letter_in_stacks_or_in_another_spelling_become_visible() {
    assert_eq!(visible("e\u{301}"), "e<U+0301>");
    assert_eq!(visible("\u{301}a"), "<U+0301>a");
    assert_eq!(visible("a/\u{338}b"), "a/<U+0338>b");
    let stack: String = std::iter::once('q')
        .chain(std::iter::repeat_n('\u{30d}', 40))
        .collect();
    assert_eq!(
        visible(&stack),
        format!("q{}{}", "\u{30d}".repeat(3), "<U+030D>".repeat(37))
    );
}

#[test]
fn a_name_that_looks_like_a_mark_is_not_one() {
    assert_eq!(visible("<U+202E>"), "<U+003C>U+202E>");
    assert_ne!(visible("<U+202E>"), visible("\u{202e}"));
    assert_eq!(visible("<0xFF>"), "<U+003C>0xFF>");
    assert_ne!(visible_bytes(b"<0xFF>"), visible_bytes(b"\xff"));
    assert_eq!(visible_bytes(b"a\xffb\xc3"), "a<0xFF>b<0xC3>");
    assert_eq!(visible_bytes(b"<\xff>"), "<<0xFF>>");
}

#[test]
fn quotes_end_where_the_name_ends() {
    assert_eq!(
        SafeText::quoted(b"a\" in \"/etc").as_str(),
        "\"a<U+0022> in <U+0022>/etc\""
    );
}

#[test]
fn a_path_is_folded_only_where_nothing_operative_is_hidden() {
    let path = "/home/alice/one/two/three/four/five/six/report.xlsx";
    assert_eq!(folded(path, 60), path);
    assert_eq!(
        folded(path, 44),
        "/home/alice/one/two/<2-folded>/five/six/report.xlsx"
            .replace("two/<2-folded>/five", "<4-folded>")
    );
    assert_eq!(folded(path, 1), "/home/alice/<6-folded>/report.xlsx");
    for kept in [
        "/home/alice/.ssh/.gnupg/.config/report.xlsx",
        "/home/alice/a<U+202E>b/report.xlsx",
        "/home/alice/**/*.csv",
        "/home/alice/<6-folded>/report.xlsx",
        "/home/averyveryveryverylongname",
    ] {
        assert_eq!(folded(kept, 10), kept);
    }
}

/// What [`visible_bytes`] showed, read back.
fn read_back(shown: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = shown;
    while let Some(c) = rest.chars().next() {
        let number = |prefix: &str| {
            let inner = rest.strip_prefix(prefix)?;
            let (digits, after) = inner.split_once('>')?;
            Some((u32::from_str_radix(digits, 16).ok()?, after))
        };
        if let Some((code, after)) = number("<U+") {
            let c = char::from_u32(code).unwrap();
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            rest = after;
        } else if let Some((byte, after)) = number("<0x") {
            out.push(u8::try_from(byte).unwrap());
            rest = after;
        } else {
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Whether a terminal acts on a character, or shows others elsewhere because of it.
pub(crate) fn is_acted_on(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text in which tricks are frequent.
pub(crate) fn tricky() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        "\x1b\x07\u{9b}\r\n\t\u{7f}\u{202e}\u{2066}\u{200b}\u{200d}\u{fe0f}\u{e0041}\u{301}\u{338}аеорсухΑΒο０Ａ𝐚／∕<>U+0x3CFF%*\"/.漢カ한אع"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        any::<String>(),
        prop::collection::vec(
            prop_oneof![odd, any::<char>(), prop::char::range(' ', '~')],
            0..24
        )
        .prop_map(|chars| chars.into_iter().collect()),
    ]
}

proptest! {
    #[test]
    fn nothing_that_a_terminal_acts_on_is_left(text in tricky()) {
        prop_assert!(!visible(&text).chars().any(is_acted_on));
    }

    #[test]
    fn what_is_shown_can_be_read_back(text in tricky()) {
        prop_assert_eq!(read_back(&visible(&text)), text.into_bytes());
    }

    #[test]
    fn bytes_that_are_shown_can_be_read_back(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"<>U+0xF3C\xff\xc3\xa9".to_vec())], 0..24)) {
        prop_assert_eq!(read_back(&visible_bytes(&bytes)), bytes);
    }

    #[test]
    fn a_fold_keeps_both_ends_and_what_was_made_visible(
        segments in prop::collection::vec(tricky().prop_map(|text| text.replace('/', "_")), 1..12), width in 0usize..60,
    ) {
        let whole = visible(&format!("/{}", segments.join("/")));
        let short = folded(&whole, width);
        let of = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let (long, cut) = (of(&whole), of(&short));
        prop_assert_eq!(long.last(), cut.last());
        prop_assert_eq!(&long[..long.len().min(3)], &cut[..long.len().min(3)]);
        let marks = |parts: &[String]| parts.iter().filter(|part| part.contains("<U+") || part.starts_with('.')).count();
        prop_assert_eq!(marks(&long), marks(&cut));
        prop_assert!(columns_of(&short) <= columns_of(&whole));
    }
}

fn columns_of(text: &str) -> usize {
    fold::columns(text)
}
