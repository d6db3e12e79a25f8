//! A policy on its way into force: installed by signatures, watched, tried on some, put in force under live sessions, and gone back from.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use valetkey_tests::{Finished, Home, Peer, Signer, post as send, tagged, tagged_bytes, until};

use super::modes::{ALICE, BOB, CAROL, System, can_become_others};
use super::needs_cells;
use super::outside_door::{House, Outsider};

const SOON: Duration = Duration::from_secs(30);

/// Reading below `/srv/PLACE` is allowed, and nothing else.
pub(super) fn policy(place: &str) -> String {
    format!(
        "package valetkey\n\ndefault decision := {{\"effect\": \"deny\", \"policy_id\": \"team\"}}\n\ndecision := {{\n\t\"effect\": \"allow\",\n\t\"policy_id\": \"team\",\n\t\"ttl_seconds\": 300,\n}} if {{\n\tinput.request.actions == [\"read\"]\n\tglob.match(\"file:/srv/{place}/**\", [\"/\"], input.request.resource)\n}}\n"
    )
}

/// An archive of a policy.
fn bundle(home: &Home, revision: &str, text: &str, more: &[&str]) -> PathBuf {
    let dir = home.path(&format!("policy-{revision}"));
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("team.rego"), text).expect("a policy");
    let file = home.path(&format!("team-{revision}.tar.gz"));
    let (dir, out) = (dir.to_str().expect("text"), file.to_str().expect("text"));
    let build = [
        "policy",
        "bundle",
        "build",
        dir,
        "-o",
        out,
        "--revision",
        revision,
    ];
    drop(home.valetkey(build).args(more).done().ok());
    file
}

pub(super) fn call(home: &Home, args: &[&str]) -> Finished {
    home.valetkey([&["policy"], args].concat()).done()
}

/// Installed as a person does it.
pub(super) fn install(home: &Home, revision: &str, text: &str) -> Finished {
    let file = bundle(home, revision, text, &[]);
    let file = file.to_str().expect("text");
    call(home, &["install", file, "--yes", "--json"])
}

/// A bundle that is offered at the door itself, and who signs for it.
struct Offer {
    files: Vec<Value>,
    change: Value,
}

impl Offer {
    fn new(home: &Home, revision: u64, text: &str) -> Self {
        let manifest = json!({"revision": revision.to_string()}).to_string();
        let files = vec![
            json!({"path": ".manifest", "text": manifest}),
            json!({"path": "team.rego", "text": text}),
        ];
        Self::of(home, revision, files)
    }

    fn of(home: &Home, revision: u64, files: Vec<Value>) -> Self {
        let mut bytes = Vec::new();
        for file in files
            .iter()
            .filter(|file| file["path"] != ".signatures.json")
        {
            let (path, text) = (
                file["path"].as_str().expect("a path"),
                file["text"].as_str().expect("text"),
            );
            for part in [path, text] {
                bytes.extend(u64::try_from(part.len()).expect("a length").to_be_bytes());
            }
            bytes.extend(path.as_bytes());
            bytes.extend(text.as_bytes());
        }
        let rollout = rollout(home);
        let change = json!({
            "step": "install", "bundle": tagged_bytes("valetkey-policy-bundle-v1", &bytes), "revision": revision,
            "previous": rollout["live"]["bundle"], "sequence": rollout["sequence"].as_u64().expect("a number") + 1,
        });
        Self { files, change }
    }

    /// What somebody signs of it, with something else in one place.
    fn signed(&self, by: &Signer, member: &str, value: Value) -> Value {
        let mut change = self.change.clone();
        change[member] = value;
        let signed = json!({
            "change": change, "difference": tagged("valetkey policy difference v1", &json!([])), "by": by.name,
            "time": "2026-01-17T15:12:00.000Z",
        });
        by.sign_in("valetkey policy change v1", signed)
    }

    fn approval(&self, by: &Signer) -> Value {
        self.signed(by, "step", json!("install"))
    }
}

fn offer(home: &Home, files: &[Value], approvals: &[Value]) -> (u16, String) {
    let body = json!({"files": files, "approvals": approvals, "difference": []});
    let answer = send(home, "/v1/policy/install", &body);
    (answer.status, answer.body.to_string())
}

/// Installed at the door, and put in force.
fn in_force(home: &Home, owner: &Signer, revision: u64, text: &str) -> (u16, String) {
    let one = Offer::new(home, revision, text);
    let installed = offer(home, &one.files, &[one.approval(owner)]);
    if installed.0 != 200 {
        return installed;
    }
    let answer = send(
        home,
        "/v1/policy/activate",
        &json!({"bundle": one.change["bundle"]}),
    );
    (answer.status, answer.body.to_string())
}

fn state(home: &Home) -> Value {
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    peer.get("/v1/policy").expect("an answer").body
}

fn rollout(home: &Home) -> Value {
    state(home)["rollout"].clone()
}

/// Whether the program outside may read a file, and who says so.
fn reads(outsider: &mut Outsider, path: &str) -> (bool, String) {
    let asked = json!({
        "subject": {"type": "agent", "id": "self"},
        "action": {"name": "read"},
        "resource": {"type": "file", "id": path},
    });
    let (status, answer) = outsider.post("/access/v1/evaluation", &asked);
    assert_eq!(status, 200, "{answer}");
    let by = answer["context"]["policy_id"].as_str().expect("a policy");
    (answer["decision"] == true, by.to_owned())
}

#[test]
fn a_policy_comes_into_force_under_live_sessions_and_is_gone_back_from() {
    let house = House::new(Home::new());
    let home = &house.home;
    let mut live = house.start(&house.agent);
    assert!(!reads(&mut live, "/srv/one/x").0);
    let installed = install(home, "1", &policy("one")).ok().json();
    assert_eq!(
        installed["rollout"]["candidate"]["installed"]["revision"],
        1
    );
    assert!(
        !reads(&mut live, "/srv/one/x").0,
        "what waits decides nothing"
    );
    drop(call(home, &["activate", "1"]).ok());
    assert_eq!(reads(&mut live, "/srv/one/x"), (true, "team".to_owned()));
    assert!(!reads(&mut live, "/srv/two/x").0);

    let event = home.wait_for_event("policy.installed", |_| true);
    let told = &event["attributes"];
    assert_eq!(
        (&told["revision"], &told["previous"]),
        (&json!(1), &json!("base")),
        "{event}"
    );
    assert_eq!(told["by"], told["facts"]["approvals"][0]["by"], "{event}");
    let words = told["facts"]["difference"].to_string();
    assert!(
        words.contains("+ ") && words.contains("/srv/one"),
        "{words}"
    );
    assert_eq!(home.events("policy.activated").len(), 1);

    // A shadow counts for nothing, and is counted.
    let owner = Signer::with_file(told["by"].as_str().expect("a name"), &home.key_file());
    let two = Offer::new(home, 2, &policy("two"));
    assert_eq!(offer(home, &two.files, &[two.approval(&owner)]).0, 200);
    drop(call(home, &["shadow", "1"]).expect(2));
    drop(call(home, &["shadow", "2"]).ok());
    assert!(reads(&mut live, "/srv/one/x").0 && !reads(&mut live, "/srv/two/x").0);
    let compared = until("both were compared", SOON, || {
        let compared = state(home)["compared"].clone();
        (compared["narrower"] == 1 && compared["wider"] == 1).then_some(compared)
    });
    assert_eq!(compared["failed"], 0);
    let differed = home.wait_for_event("policy.differed", |event| {
        event["attributes"]["difference"] == "narrower"
    });
    assert_eq!(differed["resource"], "file:/srv/one/x");
    let told = &differed["attributes"];
    assert_eq!(
        (&told["live"], &told["candidate"]),
        (&json!("allow"), &json!("deny"))
    );

    // What was allowed a moment ago is not allowed any more, whatever was remembered.
    drop(call(home, &["activate"]).ok());
    assert!(!reads(&mut live, "/srv/one/x").0 && reads(&mut live, "/srv/two/x").0);

    let refused = install(home, "1", &policy("one")).expect(3);
    assert!(
        refused.errors().contains("is not higher than 2"),
        "{}",
        refused.errors()
    );
    drop(call(home, &["rollback", "1", "--yes"]).ok());
    assert!(reads(&mut live, "/srv/one/x").0 && !reads(&mut live, "/srv/two/x").0);
    let back = home.wait_for_event("policy.rolled_back", |_| true);
    assert_eq!(back["attributes"]["revision"], 1);
    assert_eq!(rollout(home)["mark"], 2, "going back lowers no mark");
    assert_eq!(in_force(home, &owner, 2, &policy("two")).0, 403);
    let three = Offer::new(home, 3, &policy("three"));
    assert_eq!(offer(home, &three.files, &[three.approval(&owner)]).0, 200);
    drop(call(home, &["withdraw", "3"]).ok());
    assert_eq!(in_force(home, &owner, 3, &policy("three")).0, 403);

    // It is in force after a restart, too.
    drop(live);
    drop(home.valetkey(["stop"]).done().ok());
    let _broker = home.start_broker();
    let mut live = house.start(&house.agent);
    assert!(reads(&mut live, "/srv/one/x").0 && !reads(&mut live, "/srv/two/x").0);
    assert_eq!(rollout(home)["mark"], 3);
    home.verify();
}

#[test]
fn a_canary_decides_for_whom_it_is_for_and_is_taken_back_when_it_denies_more() {
    let house = House::new(Home::new());
    let home = &house.home;
    let owner = Signer::owner(home);
    let mut live = house.start(&house.agent);
    assert!(!reads(&mut live, "/srv/one/x").0);
    let opened = home.events("session.opened");
    let agent = opened[0]["agent_id"].as_str().expect("an agent").to_owned();
    assert_eq!(in_force(home, &owner, 1, &policy("one")).0, 200);
    let two = Offer::new(home, 2, &policy("two"));
    assert_eq!(offer(home, &two.files, &[two.approval(&owner)]).0, 200);
    drop(call(home, &["canary", "--agent", "somebody-else"]).ok());
    assert!(reads(&mut live, "/srv/one/x").0, "it is for another");
    let places = [
        "canary",
        "--resource",
        "file:/srv/two/**",
        "--min-requests",
        "5",
    ];
    drop(call(home, &places).ok());
    assert!(reads(&mut live, "/srv/one/x").0 && reads(&mut live, "/srv/two/x").0);
    drop(call(home, &["canary", "--percent", "0"]).expect(3));
    drop(call(home, &["canary", "--agent", &agent, "--min-requests", "5"]).ok());
    assert!(!reads(&mut live, "/srv/one/x").0, "the candidate decides");
    assert!(reads(&mut live, "/srv/two/x").0);
    for number in 0..8 {
        let _either = reads(&mut live, &format!("/srv/one/{number}"));
    }
    until("it is taken back", SOON, || {
        (rollout(home)["candidate"]["stage"] == "returned").then_some(())
    });
    assert!(reads(&mut live, "/srv/one/x").0 && !reads(&mut live, "/srv/two/x").0);
    let returned = home.wait_for_event("policy.canary_returned", |_| true);
    assert_eq!(returned["attributes"]["revision"], 2);
    let mut peer = Peer::connect(&home.door("operator")).expect("connect");
    let alerts = peer.get("/v1/alerts").expect("an answer").body.to_string();
    assert!(alerts.contains("canary of policy revision 2"), "{alerts}");
}

#[test]
fn what_must_not_come_into_force_does_not_and_says_why() {
    let house = House::new(Home::new());
    let home = &house.home;
    let mut live = house.start(&house.agent);
    let first = Signer::owner(home);
    assert_eq!(in_force(home, &first, 1, &policy("one")).0, 200);
    let before = rollout(home);
    let key = home.path("team.pem");
    let key = key.to_str().expect("text");
    let public = call(home, &["bundle", "key", "--out", key]).ok().text();
    let signed = bundle(home, "3", &policy("two"), &["--key", key]);
    let unpacked = home.path("unpacked");
    fs::create_dir(&unpacked).expect("a directory");
    let mut tar = std::process::Command::new("tar");
    tar.arg("xzf").arg(&signed).arg("-C").arg(&unpacked);
    assert!(tar.status().expect("tar").success());
    let names = [".manifest", "team.rego", ".signatures.json"];
    let read = |name: &&str| {
        let text = fs::read_to_string(unpacked.join(name)).expect("text");
        json!({"path": name, "text": text})
    };
    let one = Offer::of(home, 3, names.iter().map(read).collect());
    let (owner, other) = (
        Signer::with_file("ann", &home.key_file()),
        Signer::new("bob", [7; 32]),
    );
    let file = home.state().join("state/governance.json");
    let governance = |count: u32, signers: Value| {
        let text = json!({
            "format": "valetkey governance v1", "quorum": [{"role": "owner", "count": count}], "signers": signers,
            "approvers": [owner.approver("owner"), other.approver("owner")],
        });
        fs::write(&file, text.to_string()).expect("a file");
    };
    let refused = |files: &[Value], approvals: &[Value], why: &str| {
        let (status, told) = offer(home, files, approvals);
        assert!(
            status == 403 && told.contains(why),
            "{why}: {status} {told}"
        );
    };
    let signer = || json!([{"kid": "bundle", "public_key": public.trim()}]);
    let (good, files) = (one.approval(&owner), &one.files);
    let goods = std::slice::from_ref(&good);
    governance(1, json!([]));
    refused(files, goods, "no key is configured to verify it with");
    let stranger = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    governance(1, json!([{"kid": "bundle", "public_key": stranger}]));
    refused(files, goods, "by none of the trusted keys");
    governance(2, signer());
    refused(
        files,
        goods,
        "needed are 2 × `owner`, and there are signatures of ann",
    );
    fs::write(&file, "{").expect("a file");
    refused(files, goods, "governance file cannot be used");
    governance(1, signer());
    refused(&files[..2], goods, "is not signed, and must be");
    let mut tampered = files.clone();
    tampered[1]["text"] = json!(policy("*"));
    refused(&tampered, goods, "`team.rego` is not what was signed");
    let mut more = files.clone();
    more.push(json!({"path": "more.rego", "text": "package more\n"}));
    refused(&more, goods, "not in its signature");
    more[3]["path"] = json!("x.sh");
    refused(&more, goods, "is no part of a policy");
    refused(files, &[], "signatures of nobody");
    refused(files, &[good.clone(), good.clone()], "signed twice");
    let eve = Signer::new("eve", [9; 32]);
    refused(files, &[one.approval(&eve)], "none of those who may");
    refused(files, &[one.approval(&eve.named("ann"))], "is not valid");
    for (member, value) in [
        ("revision", json!(4)),
        ("sequence", json!(1)),
        ("previous", json!(null)),
        ("step", json!("roll_back")),
    ] {
        refused(
            files,
            &[one.signed(&owner, member, value)],
            "signed another change",
        );
    }
    // What does not load says where.
    governance(1, json!([]));
    for (text, why) in [
        ("package valetkey\n\ndecision := }\n", "team.rego:3:13"),
        ("package other\n\nx := 1\n", "does not define the rule"),
        (
            "package valetkey\n\ndecision := http.send({})\n",
            "http.send",
        ),
    ] {
        let bad = Offer::new(home, 4, text);
        refused(&bad.files, &[bad.approval(&owner)], why);
    }
    for revision in ["", "x", "07"] {
        let mut bad = Offer::new(home, 4, &policy("two"));
        bad.files[0]["text"] = json!(json!({"revision": revision}).to_string());
        refused(&bad.files, &[bad.approval(&owner)], "is no number");
    }
    assert_eq!(rollout(home), before, "nothing of it has changed anything");
    assert!(reads(&mut live, "/srv/one/x").0 && !reads(&mut live, "/srv/two/x").0);
    // Each stands in the log, with its reason.
    assert_eq!(home.events("policy.rejected").len(), 22);
    // And the good one is taken, once.
    governance(1, signer());
    assert_eq!(offer(home, files, goods).0, 200);
    refused(files, goods, "signed another change");
}

#[test]
fn a_policy_that_fails_in_force_denies() {
    let house = House::new(Home::new());
    let home = &house.home;
    let owner = Signer::owner(home);
    let mut live = house.start(&house.agent);
    let numbers: Vec<u32> = (0..64).collect();
    let allow = "{\"effect\": \"allow\", \"policy_id\": \"team\"}";
    let other = "{\"effect\": \"ask\", \"policy_id\": \"x\"}";
    let mut tried = 0;
    for (revision, rules) in (1..).zip([
        // Undefined, two answers, another shape, data that is not there, without end, more memory than there is.
        format!("decision := {allow} if input.nothing.here"),
        format!("decision := {allow}\n\ndecision := {other}"),
        "decision := {\"effect\": \"allow\", \"policy_id\": \"team\", \"extra\": 1}".to_owned(),
        format!("decision := {allow} if data.valetkey.teams.ours"),
        format!("xs := {numbers:?}\n\ndecision := {allow} if {{\n\tsome a in xs\n\tsome b in xs\n\tsome c in xs\n\ta + b + c < 0\n}}"),
        format!("xs := {numbers:?}\n\ndecision := {allow} if count({{[a, b, c, d] | some a in xs; some b in xs; some c in xs; some d in xs}}) > 0"),
    ]) {
        let text = format!("package valetkey\n\n{rules}\n");
        let (status, told) = in_force(home, &owner, revision, &text);
        if status == 200 {
            tried += 1;
            let denied = (false, "valetkey/fail-closed".to_owned());
            assert_eq!(reads(&mut live, "/srv/one/x"), denied, "{text}");
        } else {
            // It is refused before it decides anything.
            assert_eq!(status, 403, "{told}");
        }
    }
    assert!(tried >= 4, "{tried}");
}

#[test]
fn a_sessions_own_policy_only_narrows_what_is_installed() {
    needs_cells!();
    let home = Home::new();
    let _broker = home.start_broker();
    let (shared, other) = (
        home.write("shared/a.txt", "a\n"),
        home.write("other/a.txt", "a\n"),
    );
    let rule = |place: &str| {
        let place = home.dir().join(place).components().collect::<PathBuf>();
        policy("x").replace("/srv/x/**", &format!("{}/**", place.display())).replace(
            "input.request.actions == [\"read\"]",
            "every action in input.request.actions {\n\t\taction in {\"read\", \"metadata\", \"list\"}\n\t}",
        )
    };
    let own = |place: &str| {
        let dir = home.path(&format!("own-{place}"));
        fs::create_dir_all(&dir).expect("a directory");
        fs::write(dir.join("own.rego"), rule(place)).expect("a policy");
        dir.to_str().expect("text").to_owned()
    };
    let reads = |own: &[&str], file: &PathBuf| {
        let grant = format!("{}=read", file.display());
        let args = [own, &["--grant", &grant]].concat();
        home.run(&args, &["cat", file.to_str().expect("text")])
            .done()
            .code()
            == 0
    };
    let everything = own("").replace("//", "/");
    assert!(
        reads(&["--policy", &everything], &other),
        "nothing is installed yet"
    );
    let owner = Signer::owner(&home);
    let (status, told) = in_force(&home, &owner, 1, &rule("shared"));
    assert_eq!(status, 200, "{told}");
    assert!(reads(&[], &shared) && !reads(&[], &other));
    assert!(reads(&["--policy", &everything], &shared));
    assert!(
        !reads(&["--policy", &everything], &other),
        "it widens nothing"
    );
    assert!(
        !reads(&["--policy", &own("elsewhere")], &shared),
        "it narrows"
    );
    let opened = home.events("session.opened");
    assert_eq!(
        opened.last().expect("a session")["policy_id"],
        "installed-1+session"
    );
}

#[test]
fn in_system_mode_two_people_sign_over_the_tests_and_root_installs() {
    if !can_become_others("in_system_mode_two_people_sign_over_the_tests_and_root_installs") {
        return;
    }
    let system = System::started();
    let share = system.path("share");
    let dir = share.join("policy");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("team.rego"), policy("one")).expect("a policy");
    let test = "package valetkey_test\n\nimport data.valetkey.decision\n\ntest_one if {\n\tasked := {\"request\": {\"actions\": [\"read\"], \"resource\": \"file:/srv/one/x\"}}\n\tdecision.effect == \"allow\" with input as asked\n}\n\ntest_nothing_else if {\n\tevery request in [{\"actions\": [\"read\"], \"resource\": \"file:/srv/two/x\"}, {\"actions\": [\"write\"], \"resource\": \"file:/srv/one/x\"}] {\n\t\tdecision.effect == \"deny\" with input as {\"request\": request}\n\t}\n}\n";
    fs::write(dir.join("team_test.rego"), test).expect("a test");
    let file = share.join("team.tar.gz");
    let text = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let (dir, file) = (text(&dir), text(&file));
    let build = [
        "policy",
        "bundle",
        "build",
        &dir,
        "-o",
        &file,
        "--revision",
        "1",
    ];
    drop(system.valetkey(0, build).done().ok());

    for uid in [ALICE, BOB, CAROL] {
        system.give_key(uid);
    }
    let approver = |uid: u32, name: &str, role: &str| {
        let shown = system
            .valetkey(uid, ["approver", "show-key", "--json"])
            .done()
            .ok();
        json!({"name": name, "roles": [role], "public_key": shown.json()["public_key"]})
    };
    let governance = json!({
        "format": "valetkey governance v1", "quorum": [{"role": "policy", "count": 2}],
        "approvers": [approver(ALICE, "ann", "policy"), approver(BOB, "bob", "policy"), approver(CAROL, "ci", "ci")],
        "tests": {"role": "ci", "min_coverage_percent": 90},
    });
    let place = system.path("etc/valetkey/governance.json");
    let sign = |uid: u32, name: &str, more: &[&str]| {
        let out = system.path(&format!("home-{uid}/{name}.json"));
        let out = text(&out);
        let args = ["policy", "sign-off", &file, "--yes", "-o", &out];
        (system.valetkey(uid, args).args(more).done(), out)
    };
    let install = |uid: u32, more: &[&str]| {
        system
            .valetkey(uid, ["policy", "install", &file])
            .args(more)
            .done()
    };
    // Without a file nobody may.
    let (unnamed, _) = sign(ALICE, "early", &[]);
    drop(unnamed);
    let told = install(0, &["--yes"]);
    assert_ne!(told.code(), 0, "{}", told.errors());
    fs::write(&place, governance.to_string()).expect("a file");
    let attested = text(&system.path(&format!("home-{CAROL}/tests.json")));
    drop(
        system
            .valetkey(CAROL, ["policy", "attest", &file, "-o", &attested])
            .done()
            .ok(),
    );
    let tests = text(&share.join("tests.json"));
    fs::copy(&attested, &tests).expect("a copy");
    let with_tests = ["--tests", tests.as_str()];
    let (signed, ann) = sign(ALICE, "ann", &with_tests);
    let shown = signed.ok();
    assert!(
        shown.errors().contains("in place of the built-in `base`"),
        "{}",
        shown.errors()
    );
    let (signed, bob) = sign(BOB, "bob", &with_tests);
    drop(signed.ok());
    let (signed, blind) = sign(BOB, "blind", &[]);
    drop(signed.ok());
    drop(sign(CAROL, "ci", &with_tests).0.ok());
    let args = |one: &str, other: &str| {
        let args = ["--approvals", one, "--approvals", other, "--tests", &tests];
        args.map(str::to_owned)
    };
    let with = |uid: u32, one: &str, other: &str| {
        let args = args(one, other);
        install(uid, &args.each_ref().map(String::as_str))
    };
    let refused = |told: Finished, why: &str| {
        let told = told.expect(3);
        assert!(told.errors().contains(why), "{why}: {}", told.errors());
    };
    refused(with(0, &ann, &ann), "signed twice");
    refused(
        with(0, &ann, &blind),
        "without having seen tests that suffice",
    );
    let ci = text(&system.path(&format!("home-{CAROL}/ci.json")));
    refused(with(0, &ann, &ci), "needed are 2 × `policy`");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).expect("mode");
    refused(with(0, &ann, &bob), "can be changed by others");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).expect("mode");
    // The people of the broker sign; only root does something with it.
    let copies = [&ann, &bob].map(|path| {
        let copy = share.join(PathBuf::from(path).file_name().expect("a name"));
        fs::copy(path, &copy).expect("a copy");
        text(&copy)
    });
    drop(with(ALICE, &copies[0], &copies[1]).expect(3));
    drop(with(0, &ann, &bob).ok());
    drop(
        system
            .valetkey(ALICE, ["policy", "activate"])
            .done()
            .expect(3),
    );
    drop(system.valetkey(0, ["policy", "activate"]).done().ok());
    let state = system
        .valetkey(BOB, ["policy", "status", "--json"])
        .done()
        .ok()
        .json();
    assert_eq!(state["rollout"]["live"]["revision"], 1);
    assert_eq!(state["governance"]["quorum"][0]["count"], 2);
}
