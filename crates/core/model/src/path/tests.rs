//! Tests of path semantics: what each platform takes for one file, and what is refused because it cannot be told.

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization as _;

use super::PathRefusal::*;
use super::PathSemantics::*;
use super::*;

fn native(semantics: PathSemantics, path: &str) -> Result<String, PathRefusal> {
    let path = semantics.canonical(path.as_bytes())?;
    Ok(String::from_utf8(path.native()).unwrap())
}

fn text(semantics: PathSemantics, path: &str) -> Result<String, PathRefusal> {
    Ok(semantics
        .canonical(path.as_bytes())?
        .resource()?
        .to_string())
}

fn key(semantics: PathSemantics, path: &str) -> Vec<u8> {
    semantics
        .canonical(path.as_bytes())
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .key()
}

#[test]
fn a_windows_path_has_one_text() {
    let cases = [
        (r"C:\Users\Alice\a.txt", "file:/C:/Users/Alice/a.txt"),
        (r"c:/Users/Alice\a.txt", "file:/C:/Users/Alice/a.txt"),
        (r"C:\a.txt. . .", "file:/C:/a.txt"),
        (r"C:\dir.\a", "file:/C:/dir/a"),
        (r"\\?\C:\Users\a", "file:/C:/Users/a"),
        (r"\\server\share\a b", "file:/UNC/server/share/a%20b"),
        (r"//server/share", "file:/UNC/server/share"),
        (r"\\?\unc\server\share\a", "file:/UNC/server/share/a"),
        (r"C:\", "file:/C:"),
        (r"C:\Straße\.env", "file:/C:/Straße/.env"),
        (r"C:\a~b\x~1234567890.txt", "file:/C:/a~b/x~1234567890.txt"),
        (r"C:\COM10\console\nulls", "file:/C:/COM10/console/nulls"),
    ];
    for (path, expected) in cases {
        assert_eq!(text(Windows, path).as_deref(), Ok(expected), "{path}");
    }
    assert_eq!(
        native(Windows, "//server/share/x").as_deref(),
        Ok(r"\\server\share\x")
    );
    assert_eq!(native(Windows, "c:/").as_deref(), Ok(r"C:\"));
}

#[test]
fn windows_paths_that_mean_something_else_are_refused() {
    let form = |error: PatternError| Form(error);
    let cases = [
        ("C:a", CurrentDirectory),
        ("C:", CurrentDirectory),
        (r"\a", CurrentDirectory),
        ("/a", CurrentDirectory),
        ("a", form(PatternError::Relative)),
        ("", form(PatternError::Relative)),
        (r"1:\a", CurrentDirectory),
        (r"C:\a\..\b", form(PatternError::DotSegment)),
        (r"C:\.", form(PatternError::DotSegment)),
        (r"C:\a\\b", form(PatternError::EmptySegment)),
        (r"C:\a\", form(PatternError::EmptySegment)),
        ("C:\\a\0", form(PatternError::Nul)),
        (r"\\.\C:\a", Device),
        (r"\\.\PhysicalDrive0", Device),
        ("//./C:/a", Device),
        ("//?/C:/a", Device),
        (r"\??\C:\a", Device),
        (r"\\?\GLOBALROOT\Device\Null", Device),
        (
            r"\\?\Volume{b75e2c83-0000-0000-0000-602f00000000}\a",
            Device,
        ),
        (r"\\?\C:\a/b", Character),
        (r"\\?\C:\a.", TrailingDots),
        (r"\\?\C:\a ", TrailingDots),
        (r"C:\nul", Device),
        (r"C:\a\NUL.txt", Device),
        (r"C:\CON .txt", Device),
        (r"C:\aux.", Device),
        (r"C:\com1", Device),
        (r"C:\COM¹.log", Device),
        (r"C:\lpt³", Device),
        (r"C:\CONIN$", Device),
        (r"C:\prn\a", Device),
        (r"C:\a.txt:stream", Stream),
        (r"C:\a.txt::$DATA", Stream),
        (r"C:\a::$INDEX_ALLOCATION\b", Stream),
        (r"C:\PROGRA~1\a", ShortName),
        (r"C:\a\GIT~1", ShortName),
        (r"C:\a\config~2.TXT", ShortName),
        (r"C:\a \b", TrailingDots),
        (r"C:\a..\b", TrailingDots),
        (r"C:\a .\b", TrailingDots),
        (r"C:\...", TrailingDots),
        (r"C:\a\ ", TrailingDots),
        ("C:\\a\u{1}", Character),
        (r"C:\a?b", Character),
        (r"C:\a*b", Character),
        (r"C:\a|b", Character),
        (r#"C:\a"b"#, Character),
        (r"C:\a<b>", Character),
        (r"\\localhost\share\a", Alias),
        (r"\\127.0.0.1\share\a", Alias),
        (r"\\2130706433\share\a", Alias),
        (r"\\0x7f000001\share\a", Alias),
        (r"\\0--1.ipv6-literal.net\share\a", Alias),
        (r"\\server\C$\a", Alias),
        (r"\\server\ADMIN$", Alias),
        (r"\\server@SSL\DavWWWRoot\a", Character),
        (r"\\server", form(PatternError::EmptySegment)),
        (r"\\\a", form(PatternError::EmptySegment)),
        ("C:\\k\u{131}", Disputed(0x131)),
        ("C:\\\u{17f}ecret", Disputed(0x17f)),
        ("C:\\\u{212a}", Disputed(0x212a)),
        ("C:\\\u{1fb3}", Disputed(0x1fb3)),
    ];
    for (path, error) in cases {
        assert_eq!(text(Windows, path), Err(error), "{path}");
    }
    assert_eq!(Windows.canonical(b"C:\\\xff"), Err(Text));
}

#[test]
fn a_macos_path_has_one_text() {
    let cases = [
        ("/Users/Alice/a b", "file:/Users/Alice/a%20b"),
        ("/etc/hosts", "file:/private/etc/hosts"),
        ("/VAR/db", "file:/private/VAR/db"),
        ("/private/tmp/a", "file:/private/tmp/a"),
        ("/System/Volumes/Data/Users/a", "file:/Users/a"),
        ("/System/Volumes/Data/private/etc", "file:/private/etc"),
        ("/System/Volumes/Preboot", "file:/System/Volumes/Preboot"),
        ("/Users/e\u{301}", "file:/Users/é"),
        ("/a/etc", "file:/a/etc"),
        ("/", "file:/"),
    ];
    for (path, expected) in cases {
        assert_eq!(text(MacOs, path).as_deref(), Ok(expected), "{path}");
    }
}

#[test]
fn macos_paths_that_mean_something_else_are_refused() {
    let cases = [
        ("a", Form(PatternError::Relative)),
        ("/a/../b", Form(PatternError::DotSegment)),
        ("/a//b", Form(PatternError::EmptySegment)),
        ("/a\0", Form(PatternError::Nul)),
        ("/.vol/16777220/2", Alias),
        ("/.VOL/16777220/2", Alias),
        ("/.nofollow/Users/a", Alias),
        ("/.resolve/1/Users/a", Alias),
        ("/a/..namedfork/rsrc", Stream),
        ("/a/..NamedFork/data", Stream),
        ("/a/.g\u{200c}it", Disputed(0x200c)),
        ("/a/.env\u{feff}", Disputed(0xfeff)),
        ("/a/\u{202e}b", Disputed(0x202e)),
        ("/a/stra\u{df}e", Disputed(0xdf)),
        ("/a/STRA\u{1e9e}E", Disputed(0x1e9e)),
        ("/a/\u{fb01}le", Disputed(0xfb01)),
        ("/a/\u{131}d", Disputed(0x131)),
    ];
    for (path, error) in cases {
        assert_eq!(text(MacOs, path), Err(error), "{path}");
    }
    assert_eq!(MacOs.canonical(b"/\xff"), Err(Text));
}

#[test]
fn linux_paths_are_their_bytes() {
    assert_ne!(key(Linux, "/a"), key(Linux, "/A"));
    assert_ne!(key(Linux, "/é"), key(Linux, "/e\u{301}"));
    let path = Linux.canonical(b"/\xff/C:").unwrap();
    assert_eq!(path.resource().unwrap().to_string(), "file:/%FF/C:");
    assert_eq!(
        Linux.canonical(b"/a/.."),
        Err(Form(PatternError::DotSegment))
    );
}

#[test]
fn one_file_has_one_key() {
    assert_eq!(key(Windows, r"C:\Größe\ΣΑΣ"), key(Windows, "c:/gRÖßE/σας"));
    assert_ne!(key(Windows, r"C:\é"), key(Windows, "C:\\e\u{301}"));
    assert_ne!(key(Windows, r"C:\ß"), key(Windows, r"C:\ss"));
    assert_eq!(key(MacOs, "/Users/É"), key(MacOs, "/users/e\u{301}"));
    // A Kelvin sign decomposes to the letter, and a name that was `K` has it.
    assert_eq!(key(MacOs, "/\u{212a}"), key(MacOs, "/k"));
    assert_eq!(key(MacOs, "/tmp/a"), key(MacOs, "/private/TMP/A"));
}

#[test]
fn patterns_match_every_spelling() {
    let matches = |text: &str, semantics: PathSemantics, path: &str| {
        PathPattern::parse(text)
            .unwrap()
            .matches_with(semantics, path.as_bytes())
    };
    let cases = [
        (
            "/C:/Users/*/.ssh/**",
            Windows,
            r"c:\users\ALICE\.SSH\id",
            true,
        ),
        ("/**/.env", Windows, r"C:\w\.ENV.", true),
        ("/**/.env", Windows, r"\\server\share\.env", true),
        ("/c:/w/**", Windows, r"D:\w\a", false),
        ("/UNC/server/share/**", Windows, r"\\SERVER\Share\a", true),
        ("/**/.env", MacOs, "/w/.ENV", true),
        ("/**/é*", MacOs, "/w/E\u{301}t", true),
        ("/etc/**", MacOs, "/private/etc/hosts", true),
        ("/private/etc/**", MacOs, "/etc/hosts", true),
        ("/System/Volumes/Data/Users/a/**", MacOs, "/users/A/x", true),
        ("/**/.env", Linux, "/w/.ENV", false),
    ];
    for (text, semantics, path, expected) in cases {
        assert_eq!(
            matches(text, semantics, path),
            Ok(expected),
            "{text} {path}"
        );
    }
    // What cannot be told is an error, never a "no" that an exception would take for one.
    assert_eq!(matches("/**/.env", Windows, r"C:\w\ENV~1"), Err(ShortName));
    assert_eq!(matches("/**/nul", Windows, r"C:\a"), Err(Device));
    assert_eq!(
        matches("/home/**", Windows, r"C:\a"),
        Err(Form(PatternError::Relative))
    );
    assert_eq!(matches("/**/ſecret", MacOs, "/a"), Err(Disputed(0x17f)));
    let folded = PathPattern::parse("/**").unwrap().folded(MacOs).unwrap();
    assert!(!folded.matches(&Linux.canonical(b"/a").unwrap()));
}

/// Another spelling of each letter where the choices say so.
fn respelt(name: &str, choices: &[bool], decompose: bool) -> String {
    let cased: String = name
        .chars()
        .zip(choices.iter().cycle())
        .map(|(c, other)| match (other, c.is_lowercase()) {
            (false, _) => c,
            (true, true) => c.to_uppercase().next().unwrap(),
            (true, false) => c.to_lowercase().next().unwrap(),
        })
        .collect();
    if decompose {
        cased.nfd().collect()
    } else {
        cased
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn spellings_of_one_windows_file_have_one_key(
        names in prop::collection::vec("[a-zäéžд][a-z0-9äéžд_.-]{0,6}[a-zä]", 1..4),
        choices in prop::collection::vec(any::<bool>(), 12),
        dots in "[. ]{0,3}",
    ) {
        let plain = names.iter().fold("C:".to_owned(), |path, name| path + "\\" + name);
        let Ok(canonical) = Windows.canonical(plain.as_bytes()) else { return Ok(()); };
        let mut other = if choices[0] { "c:".to_owned() } else { "C:".to_owned() };
        for (name, slash) in names.iter().zip(choices.iter().cycle()) {
            other.push(if *slash { '/' } else { '\\' });
            other.push_str(&respelt(name, &choices, false));
        }
        other.push_str(&dots);
        let other = Windows.canonical(other.as_bytes()).unwrap();
        prop_assert_eq!(canonical.key(), other.key());
        for text in ["/**", "/C:/**", "/**/*a*", "/*/a*/**", "/**/ä*"] {
            let pattern = PathPattern::parse(text).unwrap().folded(Windows).unwrap();
            prop_assert_eq!(pattern.matches(&canonical), pattern.matches(&other));
        }
    }

    #[test]
    fn spellings_of_one_macos_file_have_one_key(
        names in prop::collection::vec("[a-zäéžдệ한][a-z0-9äéžдệ한_.-]{0,6}", 1..4),
        choices in prop::collection::vec(any::<bool>(), 12),
    ) {
        let plain = names.iter().fold(String::new(), |path, name| path + "/" + name);
        let Ok(canonical) = MacOs.canonical(plain.as_bytes()) else { return Ok(()); };
        let other = names.iter().zip(&choices).fold(String::new(), |path, (name, decompose)| {
            path + "/" + &respelt(name, &choices, *decompose)
        });
        let other = MacOs.canonical(other.as_bytes()).unwrap();
        prop_assert_eq!(canonical.key(), other.key());
        for text in ["/**", "/**/*a*", "/*/é*/**", "/**/e*", "/**/한*"] {
            let pattern = PathPattern::parse(text).unwrap().folded(MacOs).unwrap();
            prop_assert_eq!(pattern.matches(&canonical), pattern.matches(&other));
        }
    }

    /// What was made canonical once stays as it is, and a key is a key of itself, whatever the text.
    #[test]
    fn canonical_is_canonical(path in any_path()) {
        for semantics in [Linux, MacOs, Windows] {
            let Ok(canonical) = semantics.canonical(path.as_bytes()) else { continue; };
            let again = semantics.canonical(&canonical.native());
            prop_assert_eq!(again.as_ref(), Ok(&canonical), "{:?} {}", semantics, path);
            let resource = canonical.resource().unwrap();
            prop_assert_eq!(resource.to_string().parse::<Resource>(), Ok(resource.clone()));
            let Resource::File(pattern) = resource else { panic!("a file") };
            prop_assert_eq!(pattern.folded(semantics).map(|folded| folded.matches(&canonical)), Ok(true));
        }
    }
}

fn any_path() -> impl Strategy<Value = String> {
    let start = prop::sample::select(vec![
        "/",
        "C:\\",
        "c:/",
        "\\\\s\\x\\",
        "\\\\?\\C:\\",
        "/etc/",
        "/System/Volumes/Data/",
        "//s/x/",
    ]);
    let piece = prop::sample::select(vec![
        "a",
        "B",
        "é",
        "e\u{301}",
        "ß",
        "ς",
        "ſ",
        "\u{130}",
        "\u{200d}",
        ".",
        "..",
        " ",
        "~1",
        ":",
        "/",
        "\\",
        "NUL",
        "com1",
        "*",
        "\u{10400}",
        "\u{1f600}",
        "private",
        "users",
        "\u{345}",
        "\u{1e9e}",
    ]);
    (start, prop::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}
