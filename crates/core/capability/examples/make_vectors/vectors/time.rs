//! Time: before and after a token's life, at its edges, and lives that no token may have.

use serde_json::json;

use super::forge::{changed, issuer, text};
use super::{NOW, Vector};

pub(super) fn vectors() -> Vec<Vector> {
    let mut all = outside();
    all.extend(lives());
    all.extend(single_use());
    all
}

fn token(iat: u64, nbf: u64, exp: u64) -> String {
    let claims = changed(|c| {
        c["iat"] = json!(iat);
        c["nbf"] = json!(nbf);
        c["exp"] = json!(exp);
    });
    issuer().token(text(&claims))
}

fn outside() -> Vec<Vector> {
    let usual = || token(NOW, NOW, NOW + 300);
    let delayed = || token(NOW, NOW + 60, NOW + 300);
    let at = |id: &str, note: &str, token: String, ms: u64, error| {
        Vector::refused(format!("time/{id}"), note, token, error).at_ms(ms)
    };
    let start = NOW * 1000;
    vec![
        at(
            "second-early",
            "a second before `nbf`",
            usual(),
            start - 1000,
            "not_yet",
        ),
        at(
            "ms-early",
            "a millisecond before `nbf`",
            usual(),
            start - 1,
            "not_yet",
        ),
        at("epoch", "verified in 1970", usual(), 0, "not_yet"),
        at(
            "day-early",
            "a day before `nbf`",
            usual(),
            start - 86_400_000,
            "not_yet",
        ),
        at(
            "delayed-at-iat",
            "after `iat`, before `nbf`",
            delayed(),
            start,
            "not_yet",
        ),
        at(
            "delayed-ms-early",
            "a millisecond before a later `nbf`",
            delayed(),
            start + 59_999,
            "not_yet",
        ),
        at("at-exp", "at `exp`", usual(), start + 300_000, "expired"),
        at(
            "ms-late",
            "a millisecond after `exp`",
            usual(),
            start + 300_001,
            "expired",
        ),
        at(
            "second-late",
            "a second after `exp`: there is no leeway",
            usual(),
            start + 301_000,
            "expired",
        ),
        at(
            "year-late",
            "a year after `exp`",
            usual(),
            start + 31_536_000_000,
            "expired",
        ),
        at(
            "far-late",
            "verified in the year 9999",
            usual(),
            253_402_300_799_999,
            "expired",
        ),
        at(
            "no-life",
            "`iat`, `nbf` and `exp` are one second",
            token(NOW, NOW, NOW),
            start,
            "expired",
        ),
        at(
            "born-late",
            "`nbf` is `exp`",
            token(NOW - 60, NOW, NOW),
            start,
            "expired",
        ),
        at(
            "issued-later",
            "issued in a minute",
            token(NOW + 60, NOW + 60, NOW + 300),
            start,
            "not_yet",
        ),
        at(
            "epoch-token",
            "all times are zero",
            token(0, 0, 0),
            start,
            "expired",
        ),
        at(
            "epoch-token-long-ago",
            "a life in 1970",
            token(0, 0, 3600),
            start,
            "expired",
        ),
    ]
}

/// Lives that are not allowed at whatever time the token is verified.
fn lives() -> Vec<Vector> {
    let life = |id: &str, note: &str, token: String| {
        Vector::refused(format!("time/{id}"), note, token, "life")
    };
    let most = (1_u64 << 53) - 1;
    vec![
        life(
            "long",
            "a second more than an hour",
            token(NOW, NOW, NOW + 3601),
        ),
        life(
            "long-before",
            "a second more than an hour, most of it over",
            token(NOW - 3590, NOW, NOW + 11),
        ),
        life(
            "long-delayed",
            "an hour from `nbf`, more from `iat`",
            token(NOW - 60, NOW, NOW + 3600),
        ),
        life("day", "a day", token(NOW, NOW, NOW + 86_400)),
        life("ever", "from 1970 to the largest number", token(0, 0, most)),
        life(
            "now-to-ever",
            "from now to the largest number",
            token(NOW, NOW, most),
        ),
        life(
            "ends-before",
            "`exp` before `iat`",
            token(NOW, NOW, NOW - 1),
        ),
        life(
            "ends-before-alive",
            "`exp` before `iat`, both later",
            token(NOW + 300, NOW, NOW + 200),
        ),
        life("ends-at-zero", "`exp` is zero", token(NOW, NOW, 0)),
        life(
            "not-before-issued",
            "`nbf` before `iat`",
            token(NOW, NOW - 1, NOW + 300),
        ),
        life("not-before-zero", "`nbf` is zero", token(NOW, 0, NOW + 300)),
        life(
            "not-before-after-end",
            "`nbf` after `exp`",
            token(NOW, NOW + 301, NOW + 300),
        ),
        life(
            "not-before-ever",
            "`nbf` is the largest number",
            token(NOW, most, NOW + 300),
        ),
    ]
}

fn single_use() -> Vec<Vector> {
    let single = |id: &str, note: &str, life: u64, after: u64, error| {
        let claims = changed(|c| {
            c["authorization_details"][0]["constraints"]["single_use"] = json!(true);
            c["exp"] = json!(NOW + life);
        });
        Vector::refused(
            format!("time/single-use-{id}"),
            note,
            issuer().token(text(&claims)),
            error,
        )
        .at_ms((NOW + after) * 1000)
    };
    vec![
        single(
            "61-seconds",
            "one use, a second more than a minute",
            61,
            0,
            "life",
        ),
        single("hour", "one use, an hour", 3600, 0, "life"),
        single("at-exp", "one use, at `exp`", 60, 60, "expired"),
        single("late", "one use, when `exp` is over", 60, 90, "expired"),
    ]
}
