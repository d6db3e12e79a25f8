//! Tests of path patterns: grammar, one text per pattern, matching and cover.

use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> PathPattern {
    PathPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_covered() {
    let cases = [
        ("/a/b", "/a/b", true),
        ("/a/b", "/a/b/c", false),
        ("/a/**", "/a", true),
        ("/a/**", "/a/b/c", true),
        ("/a/**", "/ab", false),
        ("/**/*.csv", "/srv/x/y.csv", true),
        ("/**/*.csv", "/y.csv", true),
        ("/**/.env", "/w/.env", true),
        ("/**/.env", "/w/.env.local", false),
        ("/srv/*/x", "/srv/a/x", true),
        ("/srv/*/x", "/srv/a/b/x", false),
        ("/a/*b*c", "/a/xbyc", true),
        ("/a/*b*c", "/a/bc", true),
        ("/a/*b*c", "/a/cb", false),
        ("/a/b*b", "/a/b", false),
        ("/", "/", true),
        ("/", "/a", false),
        ("/**", "/", true),
        ("/a/**/b/**/c", "/a/b/c", true),
        ("/a/**/b/**/c", "/a/x/b/y/z/c", true),
        ("/a/**/b/**/c", "/a/x/y/z/c", false),
    ];
    for (text, path, expected) in cases {
        assert_eq!(
            pattern(text).matches(Path::new(path)),
            expected,
            "{text} {path}"
        );
    }
}

#[test]
fn a_path_that_is_not_normal_is_covered_by_nothing() {
    for path in ["a", "/a/../b", "/a//b", "/a/", "/a/./b", ""] {
        assert!(!pattern("/**").matches(Path::new(path)), "{path}");
    }
}

#[test]
fn text_that_is_not_canonical_is_refused() {
    use PatternError::*;
    let cases = [
        ("a", Relative),
        ("", Relative),
        ("/a//b", EmptySegment),
        ("/a/", EmptySegment),
        ("/a/../b", DotSegment),
        ("/.", DotSegment),
        ("/a%00", Nul),
        ("/a%2fb", Encoding { at: 2 }),
        ("/a%2Fb", Encoding { at: 2 }),
        ("/a%41", Encoding { at: 2 }),
        ("/a%4", Encoding { at: 2 }),
        ("/a b", Encoding { at: 2 }),
        ("/a\u{202e}b", Encoding { at: 2 }),
        ("/%C3%A9", Encoding { at: 1 }),
        ("/a**", DoubleStar),
        ("/***", DoubleStar),
        ("/**/**/**/**/**", DoubleStar),
    ];
    for (text, error) in cases {
        assert_eq!(PathPattern::parse(text), Err(error), "{text}");
    }
    assert_eq!(
        PathPattern::parse(&format!("/{}", "x".repeat(256))),
        Err(TooLong)
    );
    assert_eq!(PathPattern::parse(&"/x".repeat(2049)), Err(TooLong));
}

#[test]
fn a_star_in_a_name_is_not_a_pattern() {
    let literal = PathPattern::literal(Path::new("/a/*.txt")).unwrap();
    assert_eq!(literal.to_string(), "/a/%2A.txt");
    assert!(literal.is_literal());
    assert!(!literal.matches(Path::new("/a/b.txt")));
    assert_eq!(
        PathPattern::literal(Path::new("/é x")).unwrap().to_string(),
        "/é%20x"
    );
}

#[test]
fn below_and_prefix() {
    assert!(pattern("/a/**").may_match_below(Path::new("/a")));
    assert!(pattern("/a/b/c").may_match_below(Path::new("/a")));
    assert!(pattern("/a/b/c").may_match_below(Path::new("/")));
    assert!(!pattern("/a/b/c").may_match_below(Path::new("/a/b/c")));
    assert!(!pattern("/a/b/c").may_match_below(Path::new("/b")));
    assert_eq!(pattern("/a/b/*.x").literal_prefix(), Path::new("/a/b"));
    assert_eq!(pattern("/**").literal_prefix(), Path::new("/"));
    assert!(pattern("/a/**").is_literal_tree() && !pattern("/a/*/**").is_literal_tree());
}

#[test]
fn cover_of_patterns() {
    let cases = [
        ("/a/**", "/a/b/**", true),
        ("/a/**", "/a", true),
        ("/a/b/**", "/a/**", false),
        ("/**", "/a/*/c/**/d", true),
        ("/a/*", "/a/*.txt", true),
        ("/a/*.txt", "/a/*", false),
        ("/a/*", "/a/**", false),
        ("/a/*.txt", "/a/b.txt", true),
        ("/**/.env", "/a/**/.env", true),
    ];
    for (outer, inner, expected) in cases {
        assert_eq!(
            pattern(outer).covers(&pattern(inner)),
            expected,
            "{outer} {inner}"
        );
    }
}

fn any_pattern() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![Just("**".to_owned()), "[ab]{1,2}", "[ab]?\\*[ab]?"],
        0..5,
    )
    .prop_map(|segments| {
        segments
            .iter()
            .fold(String::new(), |text, segment| text + "/" + segment)
    })
    .prop_filter("at most four", |text| text.matches("**").count() <= 4)
    .prop_map(|text| {
        if text.is_empty() {
            "/".to_owned()
        } else {
            text
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_survive_their_text(segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5)) {
        let mut path = Vec::new();
        for segment in &segments {
            path.push(b'/');
            path.extend(segment);
        }
        if let Ok(literal) = PathPattern::literal(Path::new(OsStr::from_bytes(&path))) {
            let text = literal.to_string();
            prop_assert_eq!(PathPattern::parse(&text), Ok(literal.clone()), "{}", text);
            prop_assert!(literal.matches(Path::new(OsStr::from_bytes(&path))));
            prop_assert_eq!(literal.literal_prefix(), Path::new(OsStr::from_bytes(&path)));
        }
    }

    #[test]
    fn any_accepted_text_is_the_only_one(text in "/[a-z%0-9A-F*/.é\u{200b} ]{0,12}") {
        if let Ok(parsed) = PathPattern::parse(&text) {
            prop_assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn cover_is_never_wrongly_yes(outer in any_pattern(), inner in any_pattern(), path in "(/[ab]{1,3}){0,4}") {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let (outer, inner) = (pattern(&outer), pattern(&inner));
        if outer.covers(&inner) && inner.matches(Path::new(&path)) {
            prop_assert!(outer.matches(Path::new(&path)));
        }
    }

    #[test]
    fn below_is_never_wrongly_no(text in any_pattern(), path in "(/[ab]{1,2}){1,4}") {
        let pattern = pattern(&text);
        if pattern.matches(Path::new(&path)) {
            for above in Path::new(&path).ancestors().skip(1) {
                prop_assert!(pattern.may_match_below(above), "{} {}", above.display(), path);
            }
        }
    }
}
