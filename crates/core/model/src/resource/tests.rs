//! Tests of resources: one text each, what is refused, and that no cover is wrongly yes.

use proptest::prelude::*;

use super::*;

const PIN: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn resource(text: &str) -> Resource {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn survives(texts: &[&str]) {
    for text in texts {
        let parsed = text.parse::<Resource>().map(|r| r.to_string());
        assert_eq!(parsed.as_deref(), Ok(*text));
    }
}

fn refused(texts: &[&str]) {
    for text in texts {
        assert!(text.parse::<Resource>().is_err(), "{text}");
    }
}

#[test]
fn canonical_text_survives() {
    survives(&[
        "file:/home/alice/Reports/**",
        "exec:/usr/bin/git",
        "tcp:db.internal:5432",
        "tcp:[::1]:80",
        "tool:github/create_issue",
        "secret:vault/database/creds/reporting",
    ]);
    let pinned = format!("exec:/usr/bin/git#{PIN}");
    survives(&[&pinned, "exec:/opt/a%23b"]);
}

#[test]
fn other_text_is_refused() {
    refused(&[
        "",
        "file",
        "file:a",
        "file:/a/../b",
        "http:/x",
        "http://example.com/",
        "tcp:DB:1",
        "tcp:a:0",
        "tcp:a:01",
        "tcp:a:65536",
        "tcp:a:+1",
        "tcp:[::0001]:1",
        "tcp:a\0b:1",
        "tool:a",
        "tool:a/b/c",
        "secret:",
        "secret:a//b",
        "secret:../a",
    ]);
    refused(&[
        &format!("exec:/usr/bin/*#{PIN}"),
        &format!("exec:/usr/bin/git#{}", PIN.to_uppercase()),
        &format!("exec:/usr/bin/git#{PIN}#{PIN}"),
        &format!("exec:git#{PIN}"),
        &format!("file:/usr/bin/git#{PIN}"),
        "exec:/usr/bin/git#",
        "exec:/usr/bin/git#sha256:e3b0",
        "exec:/usr/bin/git#md5:d41d8cd98f00b204e9800998ecf8427e",
    ]);
}

#[test]
fn web_resources_have_one_text() {
    survives(&[
        "https://api.example.com/v1/**",
        "https://api.example.com/",
        "https://api.example.com/**",
        "https://localhost:8443/a/b",
        "https://192.0.2.7/a",
        "https://[2001:db8::7]/a",
        "https://[2001:db8::7]:8443/a",
        "https://xn--bcher-kva.example/a",
        "https://1password.example/a",
        "https://a/~user/-._!$&'()+,;=:@",
        "https://a/%2A/%5B%5D/%20/%C3%A9/%FF/100%25",
        "https://a/v*/x*y/**/*.json",
        "https://a/v1;x=1/b",
        "https://a/%7C",
    ]);
}

#[test]
fn web_resources_that_are_read_in_two_ways_are_refused() {
    // Host and port.
    refused(&[
        "https:",
        "https:/a",
        "https://",
        "https:///a",
        "https://a",
        "https://A.example/",
        "https://a.example./",
        "https://a..example/",
        "https://.a/",
        "https://-a/",
        "https://a-/",
        "https://a_b/",
        "https://*.example.com/",
        "https://bücher.example/",
        "https://a%2Eb/",
        "https://user@a/",
        "https://user:word@a/",
        "https://a\\@b/",
        "https://a:443/",
        "https://a:0/",
        "https://a:08443/",
        "https://a:/",
        "https://a:b/",
        "https://a:1:2/",
        "https://127.1/",
        "https://127.0.0.01/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://1.2.3.4.5/",
        "https://a.0x/",
        "https://[::0001]/",
        "https://[::1/",
        "https://::1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[FE80::1]/",
        "HTTPS://a/",
        "https://a b/",
        "https://a\t/",
    ]);
    refused(&[&format!("https://{}/", "a".repeat(64))]);
    refused(&[&format!("https://{}a/", "a.".repeat(127))]);
    // Path, query and fragment.
    refused(&[
        "https://a/b?c",
        "https://a/?",
        "https://a/b#c",
        "https://a//b",
        "https://a/b/",
        "https://a/./b",
        "https://a/../b",
        "https://a/%2E%2E/b",
        "https://a/..;/b",
        "https://a/.;x/b",
        "https://a/b%2Fc",
        "https://a/b%5Cc",
        "https://a/b\\c",
        "https://a/%00",
        "https://a/%252E%252E/b",
        "https://a/%252Fb",
        "https://a/%2561",
        "https://a/%41",
        "https://a/%c3%a9",
        "https://a/é",
        "https://a/[b]",
        "https://a/b c",
        "https://a/%",
        "https://a/%4",
        "https://a/b**",
        "https://a/***",
        "https://a/**/**/**/**/**",
        "https://a/{b}",
        "https://a/b|c",
        "https://a/b\u{202e}c",
    ]);
}

#[test]
fn desktop_services_have_one_text() {
    survives(&[
        "bus:org.freedesktop.Notifications/Notify",
        "bus:org.freedesktop.portal.Desktop/org.freedesktop.portal.FileChooser.OpenFile",
        "bus:com.example-corp._7zip/_M1",
    ]);
    refused(&[
        "bus:",
        "bus:org.a",
        "bus:org.a/",
        "bus:/Notify",
        "bus::1.7/Notify",
        "bus:org/Notify",
        "bus:org..a/Notify",
        "bus:.org.a/Notify",
        "bus:org.a./Notify",
        "bus:org.7a/Notify",
        "bus:org.a/7Notify",
        "bus:org.a/No-tify",
        "bus:org.a/a.No-tify",
        "bus:org.a/Iface.Notify",
        "bus:org.a/.Notify",
        "bus:org.a/org.b-c.Notify",
        "bus:org.a/org.b.",
        "bus:org.a/*",
        "bus:org.*/Notify",
        "bus:org.a/b/c",
        "bus:org.ä/Notify",
        "bus:org.a/Notify ",
    ]);
    let longest = format!("bus:a.{}/{}", "b".repeat(253), "m".repeat(255));
    survives(&[&longest]);
    refused(&[&longest.replace("a.b", "a.bb"), &format!("{longest}m")]);
}

#[test]
fn kinds_do_not_cover_each_other() {
    let file: Resource = "file:/**".parse().unwrap();
    let exec: Resource = "exec:/usr/bin/git".parse().unwrap();
    assert!(!file.covers(&exec) && exec.covers(&exec));
    assert!(file.covers(&"file:/a".parse().unwrap()));
}

#[test]
fn what_covers_what() {
    let pinned = format!("exec:/usr/bin/git#{PIN}");
    let other = format!("exec:/usr/bin/git#{}", PIN.replace('e', "f"));
    let cases = [
        ("exec:/usr/bin/git", pinned.as_str(), true),
        ("exec:/usr/bin/**", pinned.as_str(), true),
        (pinned.as_str(), "exec:/usr/bin/git", false),
        (pinned.as_str(), other.as_str(), false),
        ("https://a/v1/**", "https://a/v1", true),
        ("https://a/v1/**", "https://a/v1/x", true),
        ("https://a/v1/**", "https://a/v1x", false),
        ("https://a/**", "https://b/x", false),
        ("https://a/**", "https://a.b/x", false),
        ("https://a/**", "https://a:8443/x", false),
        ("https://a:8443/**", "https://a/x", false),
        ("https://a/**", "tcp:a:443", false),
        ("tcp:a:443", "https://a/", false),
        ("bus:org.a/M", "bus:org.a/org.i.M", true),
        ("bus:org.a/org.i.M", "bus:org.a/M", false),
        ("bus:org.a/org.i.M", "bus:org.a/org.j.M", false),
        ("bus:org.a/M", "bus:org.b/M", false),
        ("bus:org.a/M", "bus:org.a/N", false),
    ];
    for (outer, inner, expected) in cases {
        assert_eq!(
            resource(outer).covers(&resource(inner)),
            expected,
            "{outer} {inner}"
        );
    }
}

/// The plainest matcher: text against text, by segments and bytes.
fn brute_path(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "**" => {
            brute_path(rest, path) || !path.is_empty() && brute_path(pattern, &path[1..])
        }
        (Some((first, rest)), Some((name, below))) => {
            brute_name(first.as_bytes(), name.as_bytes()) && brute_path(rest, below)
        }
        _ => false,
    }
}

fn brute_name(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            brute_name(rest, name) || !name.is_empty() && brute_name(pattern, &name[1..])
        }
        (Some((a, rest)), Some((b, tail))) => a == b && brute_name(rest, tail),
        _ => false,
    }
}

/// Whether the resource's text names the thing, told from the texts alone.
fn brute(outer: &str, thing: &str) -> bool {
    let split = |text: &str| -> Option<(String, String)> {
        let at = match text.strip_prefix("https://") {
            Some(rest) => text.len() - rest.len() + rest.find('/')?,
            None if text.starts_with("file:") || text.starts_with("exec:") => 5,
            None => return None,
        };
        Some((text[..at].to_owned(), text[at..].to_owned()))
    };
    match (split(outer), split(thing)) {
        (Some((origin, pattern)), Some((own, path))) => {
            let (pattern, pin) = pattern.split_once('#').unwrap_or((&pattern, ""));
            let (path, digest) = path.split_once('#').unwrap_or((&path, ""));
            let parts = |text: &str| -> Vec<String> {
                let parts = text.split('/').skip(1).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            };
            origin == own
                && (pin.is_empty() || pin == digest)
                && brute_path(&parts(pattern), &parts(path))
        }
        _ => {
            let bus = |text: &str| -> Option<(String, String)> {
                let (name, method) = text.strip_prefix("bus:")?.split_once('/')?;
                let (_, member) = method.rsplit_once('.').unwrap_or(("", method));
                Some((name.to_owned(), member.to_owned()))
            };
            outer == thing
                || bus(outer).is_some() && bus(outer) == bus(thing) && {
                    let method = outer.split_once('/').map_or("", |(_, method)| method);
                    !method.contains('.')
                }
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let path = || {
        prop::collection::vec(
            prop_oneof![Just("**".to_owned()), "[ab]{1,2}", "[ab]?\\*[ab]?"],
            0..4,
        )
        .prop_map(|segments| match segments.as_slice() {
            [] => "/".to_owned(),
            some => some
                .iter()
                .fold(String::new(), |text, part| text + "/" + part),
        })
    };
    let origin = prop::sample::select(vec![
        "https://a",
        "https://a:81",
        "https://b",
        "https://[::1]",
    ]);
    let fixed = prop::sample::select(vec![
        "bus:a.b/M",
        "bus:a.b/N",
        "bus:a.b/c.d.M",
        "bus:a.b/c.e.M",
        "bus:a.c/M",
        "tcp:a:443",
        "tool:a/b",
        "secret:a/b",
    ]);
    let pin = prop::sample::select(vec!["", "", PIN]);
    prop_oneof![
        3 => path().prop_map(|path| format!("file:{path}")),
        2 => (path(), pin).prop_map(|(path, pin)| match pin {
            "" => format!("exec:{path}"),
            pin => format!("exec:{path}#{pin}"),
        }),
        4 => (origin, path()).prop_map(|(origin, path)| format!("{origin}{path}")),
        2 => fixed.prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_accepted_text_is_the_only_one(text in "(https://|bus:|exec:|tcp:)[a-zA-Z0-9%.:/@*#;\\[\\]\\\\é _-]{0,24}") {
        if let Ok(parsed) = text.parse::<Resource>() {
            prop_assert_eq!(parsed.to_string(), text.clone());
            let json = serde_json::to_string(&parsed).unwrap();
            prop_assert_eq!(serde_json::from_str::<Resource>(&json).unwrap(), parsed);
        }
    }

    /// Cover is reflexive, holds along a chain, and never says yes where the thing itself is not named.
    #[test]
    fn cover_is_never_wrongly_yes(a in any_text(), b in any_text(), c in any_text()) {
        let (Ok(outer), Ok(inner), Ok(thing)) = (a.parse::<Resource>(), b.parse::<Resource>(), c.parse::<Resource>()) else {
            return Ok(());
        };
        prop_assert!(outer.covers(&outer) && inner.covers(&inner));
        if outer.covers(&inner) && inner.covers(&thing) && !c.contains('*') {
            prop_assert!(outer.covers(&thing), "{} {} {}", a, b, c);
        }
        if !c.contains('*') {
            prop_assert_eq!(outer.covers(&thing), brute(&a, &c), "{} {}", a, c);
            if outer.covers(&inner) && brute(&b, &c) {
                prop_assert!(brute(&a, &c), "{} {} {}", a, b, c);
            }
        }
    }
}
