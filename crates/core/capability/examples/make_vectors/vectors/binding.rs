//! Tokens for another verifier or another session; all of them verify where they belong.

use serde_json::json;

use super::Vector;
use super::forge::{changed, good, issuer, text};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all: Vec<Vector> = AUDIENCES
        .iter()
        .map(|(id, audience)| {
            let token = issuer().token(text(&changed(|c| c["aud"] = json!(audience))));
            let note = format!("`aud` is {audience:?}");
            Vector::refused(format!("binding/aud-{id}"), note, token, "audience")
        })
        .collect();
    all.extend(SESSIONS.iter().map(|(id, session)| {
        let token = issuer().token(text(&changed(|c| {
            c["cnf"]["valetkey_session"] = json!(session)
        })));
        let note = format!("bound to {session}");
        Vector::refused(format!("binding/session-{id}"), note, token, "session")
    }));
    all.extend(SESSIONS.iter().map(|(id, session)| {
        let (token, _) = good();
        let note = format!("verified in {session}");
        Vector::refused(format!("binding/in-session-{id}"), note, token, "session")
            .in_session(session)
    }));
    let both = changed(|c| {
        c["aud"] = json!("valetkey-sheet");
        c["cnf"]["valetkey_session"] = json!(SESSIONS[0].1);
    });
    let note = "for another verifier, in another session";
    all.push(Vector::refused(
        "binding/both",
        note,
        issuer().token(text(&both)),
        "audience",
    ));
    all
}

const AUDIENCES: [(&str, &str); 13] = [
    ("empty", ""),
    ("sheet", "valetkey-sheet"),
    ("upper", "VALETKEY-GUARD"),
    ("title", "Valetkey-guard"),
    ("space-after", "valetkey-guard "),
    ("space-before", " valetkey-guard"),
    ("longer", "valetkey-guardian"),
    ("cut", "valetkey-guar"),
    ("url", "https://valetkey-guard"),
    ("star", "*"),
    ("two", "valetkey-guard,valetkey-sheet"),
    ("nul", "valetkey-guard\0"),
    ("homoglyph", "valetkey-gu\u{430}rd"),
];

/// Each differs from the session of verification in one thing.
const SESSIONS: [(&str, &str); 4] = [
    ("last", "ses-01KF0000000000000000000001"),
    ("random", "ses-01KF000000000000ZZZZZZZZZZ"),
    ("time", "ses-01KE0000000000000000000000"),
    ("zero", "ses-00000000000000000000000000"),
];
