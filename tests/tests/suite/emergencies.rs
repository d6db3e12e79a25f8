//! Breaking the glass: within policy, loudly, and reviewed by somebody else.

use std::fs;

use serde_json::{Value, json};
use valetkey_tests::{Home, Peer, Signer};

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

/// The operator door's own words, for what no program of ours says.
fn post(home: &Home, path: &str, body: &Value) -> (u16, Value) {
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let answer = peer.post(path, body).expect("an answer");
    (answer.status, answer.body)
}

fn challenge(home: &Home) -> Value {
    let (status, fresh) = post(home, "/v1/break-glass/challenge", &Value::Null);
    assert_eq!(status, 200, "{fresh}");
    fresh["challenge"].clone()
}

/// What the broker has kept of the emergency that was given.
fn kept(home: &Home) -> Value {
    let kept = fs::read_dir(home.state().join("state/reviews")).expect("a directory");
    let file = kept.flatten().next().expect("a review").path();
    let kept: Value = serde_json::from_slice(&fs::read(file).expect("read")).expect("JSON");
    kept["emergency"].clone()
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
    let signed = kept(&home);
    let refused = |body: &Value, why: &str| {
        let (status, said) = post(&home, "/v1/break-glass", body);
        assert_eq!(status, 403, "{said}");
        assert!(said.to_string().contains(why), "{why}: {said}");
    };
    // As it was, and with a fresh challenge that it was not signed over.
    refused(&signed, "sign it anew");
    let changes: [(&str, Value); 4] = [
        ("minutes", json!(15)),
        ("time", json!("2027-01-01T00:00:00.000Z")),
        ("by", json!("somebody-else")),
        ("challenge", json!("")),
    ];
    for (member, value) in changes {
        let mut forged = signed.clone();
        forged["signed"]["challenge"] = challenge(&home);
        match member {
            "minutes" => forged["signed"]["asked"]["minutes"] = value,
            member => forged["signed"][member] = value,
        }
        let why = match member {
            "by" => "no approver here",
            "challenge" => "sign it anew",
            _ => "signature",
        };
        refused(&forged, why);
    }
    let mut fresh = signed;
    fresh["signed"]["challenge"] = challenge(&home);
    refused(&fresh, "signature");
    assert_eq!(home.events("breakglass.opened").len(), 1);
    assert_eq!(home.events("breakglass.refused").len(), 6);
    drop(session);
}

#[test]
fn a_challenge_is_good_for_one_attempt_at_one_broker() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("accounts/q3.txt", "the figures\n");
    let broker = home.start_broker();
    let owner = Signer::owner(&home);
    let session = home.run(&NONE, &["sleep", "600"]).start();
    let id = session_of(&home);
    let emergency = |challenge: Value, minutes: u32| {
        let scope = json!([{"resource": format!("file:{}", notes.display()), "actions": ["read"], "constraints": {}}]);
        let now = home.wait_for_event("session.opened", |_| true)["timestamp"].clone();
        owner.sign_in(
            "valetkey break-glass v1",
            json!({
                "session": id, "by": owner.name, "challenge": challenge, "time": now,
                "asked": {"scope": scope, "because": BECAUSE, "ticket": "INC-7", "minutes": minutes},
            }),
        )
    };
    // An attempt that fails for another reason uses it up.
    let one = challenge(&home);
    let (status, said) = post(&home, "/v1/break-glass", &emergency(one.clone(), 60));
    assert!(
        status == 403 && said.to_string().contains("minutes"),
        "{said}"
    );
    let (status, said) = post(&home, "/v1/break-glass", &emergency(one, 5));
    assert!(
        status == 403 && said.to_string().contains("sign it anew"),
        "{said}"
    );
    // One of another broker, or of this one before it was started again, is none.
    let other = Home::new();
    let elsewhere = other.start_broker();
    let foreign = challenge(&other);
    let (status, said) = post(&home, "/v1/break-glass", &emergency(foreign, 5));
    assert!(
        status == 403 && said.to_string().contains("sign it anew"),
        "{said}"
    );
    let good = emergency(challenge(&home), 5);
    let (status, said) = post(&home, "/v1/break-glass", &good);
    assert_eq!(status, 200, "{said}");
    let (status, said) = post(&home, "/v1/break-glass", &good);
    assert!(
        status == 403 && said.to_string().contains("sign it anew"),
        "{said}"
    );
    assert_eq!(home.events("breakglass.opened").len(), 1);
    drop((session, broker, elsewhere));
}

#[test]
fn an_unlocked_key_breaks_no_glass_without_its_passphrase() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("accounts/q3.txt", "the figures\n");
    fs::remove_file(home.key_file()).expect("remove");
    let secret = "a long enough passphrase of words\n";
    let made = home
        .valetkey([
            "approver",
            "init",
            "--name",
            "owner",
            "--passphrase-fd",
            "0",
        ])
        .input(secret.repeat(2));
    drop(made.done().ok());
    let session = home.run(&NONE, &["sleep", "600"]).start();
    let id = session_of(&home);
    let unlock = ["approver", "unlock", "--passphrase-fd", "0"];
    // Where the kernel keeps no keys there is nothing to take it from.
    drop(home.valetkey(unlock).input(secret).done());
    let scope = format!("{}=read", notes.display());
    let call = || home.unattended(breaking(&id, &scope, "INC-7"));
    drop(call().done().expect(1).says("no terminal"));
    let with = |typed: &str| {
        let call = home.unattended(breaking(&id, &scope, "INC-7"));
        call.args(["--passphrase-fd", "0"]).input(typed).done()
    };
    drop(with("wrong\n").expect(3).says("does not open"));
    assert!(home.events("breakglass.opened").is_empty());
    drop(with(secret).ok());
    assert_eq!(home.events("breakglass.opened").len(), 1);
    drop(home.valetkey(["approver", "lock"]).done());
    drop(session);
}
