//! Breaking the glass: within policy, loudly, and reviewed by somebody else.

use std::fs;

use serde_json::{Value, json};
use valetkey_tests::{Home, Peer};

use super::needs_cells;

const NONE: [&str; 0] = [];
const BECAUSE: &str = "the close run is stuck on a lock";

fn colleague() -> (Home, String) {
    let home = Home::new();
    fs::remove_file(home.key_file()).expect("remove");
    let made = home
        .valetkey(["approver", "init", "--no-passphrase", "--name", "zoe"])
        .done()
        .ok();
    let key = made.text().trim().to_owned();
    (home, key)
}

fn session_of(home: &Home) -> String {
    let event = home.wait_for_event("session.opened", |_| true);
    event["session"].as_str().expect("an id").to_owned()
}

fn breaking<'a>(session: &'a str, scope: &'a str, ticket: &'a str) -> [&'a str; 8] {
    [
        "break-glass",
        "--session",
        session,
        "--because",
        BECAUSE,
        "--ticket",
        ticket,
        scope,
    ]
}

#[test]
fn an_emergency_is_given_at_once_and_stays_open_until_another_closes_it() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("accounts/q3.txt", "the figures\n");
    let session = home.run(&NONE, &["sh", "-c", "sleep 600"]).start();
    let id = session_of(&home);
    let scope = format!("{}=read", notes.display());
    drop(home.valetkey(["approver", "list"]).done());
    let broken = home.valetkey(breaking(&id, &scope, "INC-7")).done().ok();
    assert!(broken.text().contains("is open"), "{}", broken.text());
    let event = home.wait_for_event("breakglass.opened", |_| true);
    assert!(event.to_string().contains("INC-7"), "{event}");
    let listed = home.valetkey(["caps", "list", "--json"]).done().ok().json();
    let held = listed.as_array().expect("a list").iter().find(|one| {
        one["resource"]
            .as_str()
            .is_some_and(|text| text.ends_with("q3.txt"))
    });
    assert!(held.is_some(), "{listed}");
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let alerts = peer.get("/v1/alerts").expect("an answer").body;
    assert_eq!(alerts["alerts"][0]["kind"], "break_glass", "{alerts}");
    // The one who broke it cannot close it.
    let open = home
        .valetkey(["report", "review", "--json"])
        .done()
        .ok()
        .json();
    let digest = open[0]["emergency"].as_str().expect("a digest").to_owned();
    let findings = "only the one file was read, as it was meant";
    let close = [
        "report",
        "review",
        "--close",
        &digest,
        "--findings",
        findings,
    ];
    drop(home.valetkey(close).done().expect(3).says("another person"));
    // It survives a restart of the broker.
    drop(session);
    drop(home.valetkey(["stop"]).done());
    let _broker = home.start_broker();
    let list = ["report", "review", "--json"];
    let open = home.valetkey(list).done().ok().json();
    assert_eq!(open[0]["emergency"], digest.as_str());
    // Another owner closes it, with their own key.
    let (zoe, key) = colleague();
    drop(
        home.valetkey(["approver", "add", "zoe", "--key", &key, "--role", "owner"])
            .done()
            .ok(),
    );
    let own = fs::read(home.key_file()).expect("read");
    fs::copy(zoe.key_file(), home.key_file()).expect("another key");
    let closed = home.valetkey(close).done().ok();
    assert!(closed.text().ends_with("closed\n"), "{}", closed.text());
    fs::write(home.key_file(), own).expect("put back");
    let open = home
        .valetkey(["report", "review", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(open, json!([]));
    assert_eq!(home.events("breakglass.reviewed").len(), 1);
    home.verify();
}

#[test]
fn what_policy_does_not_say_is_not_given() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("accounts/q3.txt", "the figures\n");
    let key = home.write(".ssh/id_ed25519", "secret\n");
    let session = home.run(&NONE, &["sleep", "600"]).start();
    let id = session_of(&home);
    let scope = format!("{}=read", notes.display());
    // The person's key is known to the broker from its first answer on.
    let refused = |scope: &str, ticket: &str, minutes: &str, says: &str| {
        let mut args = breaking(&id, scope, ticket).to_vec();
        args.extend(["--minutes", minutes]);
        drop(home.valetkey(args).done().expect(3).says(says));
    };
    refused(&scope, "none", "10", "ticket");
    refused(&scope, "INC-7", "16", "1 to 15 minutes");
    refused(&scope, "INC-7", "0", "1 to 15 minutes");
    refused(
        "/etc/hostname=read",
        "INC-7",
        "10",
        "not given even in an emergency",
    );
    refused(
        &format!("{}=read", key.display()),
        "INC-7",
        "10",
        "not even in an emergency",
    );
    refused(
        &format!("{}=delete", notes.display()),
        "INC-7",
        "10",
        "not given even in an emergency",
    );
    assert_eq!(home.events("breakglass.refused").len(), 6);
    // Twice a day, and no more.
    for _ in 0..2 {
        drop(home.valetkey(breaking(&id, &scope, "INC-7")).done().ok());
    }
    refused(&scope, "INC-7", "10", "as often as policy allows");
    assert!(home.events("capability.minted").iter().all(|event| {
        !event["resource"]
            .as_str()
            .is_some_and(|text| text.ends_with("id_ed25519"))
    }));
    drop(session);
}

#[test]
fn a_forged_or_repeated_emergency_is_not_given() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("accounts/q3.txt", "the figures\n");
    let session = home.run(&NONE, &["sleep", "600"]).start();
    let id = session_of(&home);
    let scope = format!("{}=read", notes.display());
    drop(home.valetkey(breaking(&id, &scope, "INC-7")).done().ok());
    let kept = fs::read_dir(home.state().join("state/reviews")).expect("a directory");
    let file = kept.flatten().next().expect("a review").path();
    let kept: Value = serde_json::from_slice(&fs::read(file).expect("read")).expect("JSON");
    let signed = kept["emergency"].clone();
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let mut post = |body: &Value| {
        let answer = peer.post("/v1/break-glass", body).expect("an answer");
        (answer.status, answer.body.to_string())
    };
    let (status, said) = post(&signed);
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("signed for before"), "{said}");
    let mut wider = signed.clone();
    wider["signed"]["asked"]["minutes"] = json!(15);
    let (status, said) = post(&wider);
    assert!(status == 403 && said.contains("signature"), "{said}");
    let mut later = signed.clone();
    later["signed"]["time"] = json!("2027-01-01T00:00:00.000Z");
    assert_eq!(post(&later).0, 403);
    let mut other = signed;
    other["signed"]["by"] = json!("nobody");
    assert_eq!(post(&other).0, 403);
    assert_eq!(home.events("breakglass.opened").len(), 1);
    drop(session);
}
