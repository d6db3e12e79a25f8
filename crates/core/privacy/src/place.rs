//! Resources with keyed hashes in the place of names, one a segment, so that whoever holds the key can still ask for a tree.

use valetkey_model::Resource;

use crate::key::{Kind, PrivacyKey};
use crate::rules::ResourceRule;

/// Segments that are hashed one by one; what lies deeper is hashed as one, so that the text stays within its limit.
const SEGMENTS_MAX: usize = 64;

/// The scheme of a resource, and its segments: `file`, `["", "home", "alice"]`.
fn parts(text: &str) -> Option<(&str, Vec<&str>)> {
    let (scheme, rest) = text.split_once(':')?;
    Some((scheme, rest.split('/').collect()))
}

fn is_wild(segment: &str) -> bool {
    segment.contains('*')
}

/// The segments of a rule before its first wildcard.
fn literal<'a>(segments: &[&'a str]) -> Vec<&'a str> {
    let literal = segments.iter().take_while(|segment| !is_wild(segment));
    literal.copied().collect()
}

/// How many leading segments of `resource` stay readable under a rule; nothing where the rule is not about it.
///
/// A rule is about what it covers, and about a pattern that may reach what it covers.
fn readable(rule: &ResourceRule, resource: &Resource, segments: &[&str]) -> Option<usize> {
    let text = rule.pattern.to_string();
    let (_, of_rule) = parts(&text)?;
    let prefix = literal(&of_rule);
    let common = prefix.iter().zip(segments).take_while(|(a, b)| a == b);
    let common = common.count();
    if rule.pattern.covers(resource) {
        // A rule about one place alone hashes its name.
        return Some(
            common.min(
                segments
                    .len()
                    .saturating_sub(usize::from(prefix.len() == of_rule.len())),
            ),
        );
    }
    let own = literal(segments);
    let reaches = own.len() < segments.len() && own.len() <= common;
    (rule.pattern.scheme() == resource.scheme() && reaches).then_some(common)
}

/// The resource as a rule leaves it: nothing where the rule is not about it, and nothing inside where it cannot be written with hashes.
pub(crate) fn keyed(
    rule: &ResourceRule,
    resource: &Resource,
    key: &PrivacyKey,
) -> Option<Option<Resource>> {
    let text = resource.to_string();
    let (scheme, segments) = parts(&text)?;
    let from = readable(rule, resource, &segments)?;
    let count = rule.segments.map_or(usize::MAX, usize::from);
    Some(hashed(scheme, &segments, from, count, key))
}

/// The resource with every segment hashed in which `is_secret` finds something.
pub(crate) fn without(
    resource: &Resource,
    key: &PrivacyKey,
    is_secret: impl Fn(&str) -> bool,
) -> Option<Resource> {
    let text = resource.to_string();
    let (scheme, segments) = parts(&text)?;
    let mut out = Vec::with_capacity(segments.len());
    for segment in segments {
        out.push(if is_secret(segment) {
            key.keyed(Kind::Segment, segment)
        } else {
            segment.to_owned()
        });
    }
    format!("{scheme}:{}", out.join("/")).parse().ok()
}

/// Every form that a resource or pattern can have in the log, whatever rule was in force: with the first segments readable and the next ones hashed.
#[must_use]
pub fn variants(resource: &Resource, key: &PrivacyKey) -> Vec<Resource> {
    let text = resource.to_string();
    let Some((scheme, segments)) = parts(&text) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let most = segments.len().min(SEGMENTS_MAX);
    for from in 0..most {
        for count in 1..=most.saturating_sub(from) {
            all.extend(hashed(scheme, &segments, from, count, key));
        }
    }
    all.sort();
    all.dedup();
    all.retain(|variant| variant != resource);
    all
}

fn hashed(
    scheme: &str,
    segments: &[&str],
    from: usize,
    count: usize,
    key: &PrivacyKey,
) -> Option<Resource> {
    let to = from.saturating_add(count);
    let mut out: Vec<String> = Vec::with_capacity(segments.len());
    for (at, segment) in segments.iter().enumerate().take(SEGMENTS_MAX) {
        let stays = at < from || at >= to || segment.is_empty() || matches!(*segment, "*" | "**");
        out.push(match (stays, scheme) {
            (true, _) => (*segment).to_owned(),
            (false, "https") if at == 2 => host(segment, key),
            (false, "tcp") => host(segment, key),
            (false, _) => key.keyed(Kind::Segment, segment),
        });
    }
    if let Some(deeper) = segments
        .get(SEGMENTS_MAX..)
        .filter(|deeper| !deeper.is_empty())
    {
        out.push(key.keyed(Kind::Segment, &deeper.join("/")));
    }
    format!("{scheme}:{}", out.join("/")).parse().ok()
}

/// A host with its port, which stays.
fn host(text: &str, key: &PrivacyKey) -> String {
    match text
        .rsplit_once(':')
        .filter(|(_, port)| !port.contains(']'))
    {
        Some((host, port)) => format!("{}:{port}", key.keyed(Kind::Host, host)),
        None => key.keyed(Kind::Host, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Treatment;

    fn key() -> PrivacyKey {
        PrivacyKey::new(&[1; 32])
    }

    fn rule(pattern: &str, segments: Option<u8>) -> ResourceRule {
        ResourceRule {
            pattern: pattern.parse().unwrap(),
            then: Treatment::Hash,
            segments,
        }
    }

    #[test]
    fn names_below_a_rule_are_hashed_and_the_rest_stays() {
        let check = |pattern: &str, segments, resource: &str, expected: Option<&str>| {
            let resource: Resource = resource.parse().unwrap();
            let hashed = keyed(&rule(pattern, segments), &resource, &key());
            let named = |name: &str| key().keyed(Kind::Segment, name);
            let expected = expected.map(|text| {
                let text = text
                    .replace("<alice>", &named("alice"))
                    .replace("<q.txt>", &named("q.txt"))
                    .replace("<host>", &key().keyed(Kind::Host, "db.internal"));
                Some(text)
            });
            let found = hashed.map(|found| found.map(|found| found.to_string()));
            assert_eq!(found, expected, "{pattern} {resource}");
        };
        check(
            "file:/home/**",
            None,
            "file:/home/alice/q.txt",
            Some("file:/home/<alice>/<q.txt>"),
        );
        check(
            "file:/home/**",
            Some(1),
            "file:/home/alice/q.txt",
            Some("file:/home/<alice>/q.txt"),
        );
        check(
            "file:/home/**",
            Some(1),
            "file:/home/alice/**",
            Some("file:/home/<alice>/**"),
        );
        check("file:/home/**", None, "file:/srv/alice", None);
        check(
            "file:/srv/q.txt",
            None,
            "file:/srv/q.txt",
            Some("file:/srv/<q.txt>"),
        );
        // A pattern that may reach into what the rule covers says as little.
        check(
            "file:/home/**",
            None,
            "file:/**/alice/**",
            Some("file:/**/<alice>/**"),
        );
        check("file:/home/**", None, "file:/srv/**/alice/**", None);
        check(
            "tcp:db.internal:5432",
            None,
            "tcp:db.internal:5432",
            Some("tcp:<host>:5432"),
        );
    }

    #[test]
    fn a_tree_can_be_asked_for_by_whoever_has_the_key() {
        let event = "file:/home/alice/Reports/2026/q.txt".parse().unwrap();
        for (pattern, segments) in [
            ("file:/**", None),
            ("file:/home/**", None),
            ("file:/home/**", Some(1)),
        ] {
            let stored = keyed(&rule(pattern, segments), &event, &key())
                .unwrap()
                .unwrap();
            let asked: Resource = "file:/home/alice/Reports/**".parse().unwrap();
            let found =
                |key: &PrivacyKey| variants(&asked, key).iter().any(|one| one.covers(&stored));
            assert!(found(&key()), "{pattern}");
            assert!(!found(&PrivacyKey::new(&[2; 32])), "{pattern}");
            let other: Resource = "file:/home/bob/Reports/**".parse().unwrap();
            assert!(
                !variants(&other, &key())
                    .iter()
                    .any(|one| one.covers(&stored))
            );
        }
    }

    #[test]
    fn the_deepest_path_still_has_a_form() {
        let deep: Resource = format!("file:/home{}", "/a".repeat(1500)).parse().unwrap();
        let stored = keyed(&rule("file:/home/**", None), &deep, &key()).unwrap();
        assert!(stored.unwrap().to_string().len() < 4096);
    }
}
