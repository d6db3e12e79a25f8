//! Secrets that show by their form: tokens of known makers, private keys, passwords in URLs.

use crate::Found;
use crate::detectors::Detectors;

pub(crate) fn find(detectors: &Detectors, content: &[u8], found: &mut Vec<Found>) {
    found.extend(
        detectors
            .tokens
            .find_iter(content)
            .map(|one| Found::whole(one.range())),
    );
    for carried in &detectors.carried {
        let values = carried
            .captures_iter(content)
            .filter_map(|one| one.name("v"));
        found.extend(
            values
                .filter(|value| !crate::value::is_reference(value.as_bytes()))
                .map(|value| Found::whole(value.range())),
        );
    }
    private_keys(detectors, content, found);
}

/// All of a key between its first and its last line. A key that does not end is one as far as it could be.
fn private_keys(detectors: &Detectors, content: &[u8], found: &mut Vec<Found>) {
    for begin in detectors.private_key.find_iter(content) {
        let rest = content.get(begin.end()..).unwrap_or_default();
        let length = find_end(rest).unwrap_or_else(|| {
            let part =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n\t :,-\\.".contains(byte);
            rest.iter().take_while(|byte| part(byte)).count()
        });
        found.push(Found::whole(
            begin.end()..begin.end().saturating_add(length),
        ));
    }
}

fn find_end(rest: &[u8]) -> Option<usize> {
    const END: &[u8] = b"-----END ";
    const BEGIN: &[u8] = b"-----BEGIN ";
    let at = |what: &[u8]| rest.windows(what.len()).position(|window| window == what);
    let end = at(END)?;
    // Another key begins before this one ends: this one is cut short.
    Some(at(BEGIN).map_or(end, |begin| begin.min(end)))
}
