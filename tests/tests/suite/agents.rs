//! Agents by their profiles: their own directory is the session's, what they are signed in with stays outside, and no profile gives what is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use valetkey_tests::{Call, Home};

use super::needs_cells;

/// A profile of the person's own, for a shell that stands for an agent.
const TOY: &str = r#"# A toy.
summary = "A toy"
programs = ["toy"]
[own]
variables = { TOY_HOME = ".", TOY_CACHE = "cache" }
copy = [{ from = ".toy/settings", to = "settings" }, { from = ".toy/absent", to = "absent" }]
link = [{ from = ".toy/skills", to = "skills" }]
[login]
copy = [{ from = ".toy/token", to = "token" }]
pass = ["TOY_KEY"]
[environment]
set = { TOY_UPDATES = "off" }
"#;

fn house(profile: &str) -> Home {
    let home = Home::new();
    home.write(".toy/settings", "colour = blue\n");
    home.write(".toy/token", "token-of-the-person\n");
    home.write(".toy/skills/one.md", "a skill\n");
    home.make_dir(&home.path("work"));
    own_profile(&home, profile);
    home
}

fn own_profile(home: &Home, profile: &str) {
    let dir = home.state().join("config/agents/toy");
    fs::create_dir_all(&dir).expect("make a directory");
    fs::write(dir.join("profile.toml"), profile).expect("write a profile");
}

fn toy(home: &Home, options: &[&str], script: &str) -> Call {
    let options = ["--unattended", "--agent", "toy"].iter().chain(options);
    let options: Vec<_> = options.copied().collect();
    home.run(&options, &["sh", "-c", script])
        .cwd(home.path("work"))
        .env("TOY_KEY", "key-of-the-person")
}

#[test]
fn an_agents_own_directory_is_the_sessions_and_its_login_stays_outside() {
    needs_cells!();
    let home = house(TOY);
    let look = "cd $TOY_HOME; cat settings skills/one.md; test -d $TOY_CACHE && echo cache; cat token; echo $TOY_UPDATES ${TOY_KEY:-none}";
    let changes =
        format!("{look}; echo evil >> settings && cat settings; echo evil >> skills/one.md");
    let ended = toy(&home, &[], &changes).done();
    assert_eq!(
        ended.text(),
        "colour = blue\na skill\ncache\noff none\ncolour = blue\nevil\n",
        "{}",
        ended.errors()
    );
    let kept = |below: &str| fs::read_to_string(home.path(below)).expect("read");
    assert_eq!(kept(".toy/settings"), "colour = blue\n");
    assert_eq!(kept(".toy/skills/one.md"), "a skill\n");
    let with_login = toy(&home, &["--with-login"], look).done().ok();
    assert_eq!(
        with_login.text(),
        "colour = blue\na skill\ncache\ntoken-of-the-person\noff key-of-the-person\n"
    );
    let opened = home.events("session.opened");
    assert!(
        opened.iter().all(|event| event["agent_id"] == "toy"),
        "{opened:?}"
    );
    home.verify();
}

#[test]
fn no_profile_gives_what_guardrails_keep() {
    needs_cells!();
    let home = house(TOY);
    home.write(".ssh/id_ed25519", "PRIVATE\n");
    home.write(".bashrc", "# mine\n");
    for more in [
        "[own]\nvariables = { T = '.' }\ncopy = [{ from = '.ssh/id_ed25519', to = 'k' }]",
        "[files]\nread = ['~/.ssh']",
        "[files]\nwrite = ['~/.bashrc']",
    ] {
        own_profile(&home, &format!("# x\nsummary = 'x'\n{more}\n"));
        let ended = toy(&home, &[], "echo started").done();
        assert_eq!(
            (ended.code(), ended.text().as_str()),
            (3, ""),
            "{more}: {}",
            ended.errors()
        );
    }
    // What does not read is no profile, and nothing is started with another in its place.
    own_profile(&home, "summary = 'x'\neverything = true\n");
    let ended = toy(&home, &[], "echo started").done().expect(2);
    assert!(ended.says("everything").text().is_empty());
}

#[test]
fn a_command_is_known_as_its_agent_and_brings_its_packages() {
    needs_cells!();
    let home = Home::new();
    home.make_dir(&home.path("work"));
    let script = "#!/usr/bin/env sh\ncat \"${0%/bin/*}/lib/words\"; echo ${CLAUDE_CONFIG_DIR:-none} ${ANTHROPIC_API_KEY:-none}\n";
    let package = "npm/lib/node_modules/@anthropic-ai/claude-code";
    let program = home.write(&format!("{package}/bin/cli.sh"), script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("mode");
    home.write(&format!("{package}/lib/words"), "words of the package\n");
    home.make_dir(&home.path("npm/bin"));
    std::os::unix::fs::symlink(&program, home.path("npm/bin/claude")).expect("link");
    let claude = home.path("npm/bin/claude");
    let run = |options: &[&str]| {
        let call = home
            .run(options, &[claude.as_os_str()])
            .cwd(home.path("work"));
        call.env("ANTHROPIC_API_KEY", "key").done()
    };
    let known = run(&["--unattended"]).ok();
    let own = format!("/run/user/{}/agent", rustix::process::geteuid().as_raw());
    assert_eq!(known.text(), format!("words of the package\n{own} none\n"));
    let opened = home.wait_for_event("session.opened", |_| true);
    assert_eq!(opened["agent_id"], "claude-code");
    let unknown = run(&["--unattended", "--agent", "none"]);
    assert_eq!(unknown.text(), "none none\n", "{}", unknown.errors());
}

#[test]
fn nobody_is_waited_for_in_an_unattended_session() {
    needs_cells!();
    let home = Home::new();
    let notes = home.write("notes.txt", "mine\n");
    let script = format!(
        "cat {0}; valetkey ask {0}=read --wait 60; cat /run/valetkey/denials.json",
        notes.display()
    );
    let begun = Instant::now();
    let ended = home.run(&["--unattended"], &["sh", "-c", &script]).done();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let denials: serde_json::Value = ended.json();
    let denial = &denials[0];
    assert_eq!(denial["requestable"], false, "{denial}");
    let (detail, how) = (&denial["detail"], &denial["how_to_request"]);
    assert!(
        text_of(detail).contains("it is in the home directory"),
        "{denial}"
    );
    assert!(
        text_of(how).contains("nobody is there to answer"),
        "{denial}"
    );
    drop(ended.says("nobody is there to answer"));
    assert!(home.events("approval.asked").is_empty());
}

fn text_of(value: &serde_json::Value) -> &str {
    value.as_str().expect("text")
}

#[test]
fn a_login_shell_finds_what_its_parent_finds() {
    needs_cells!();
    let home = Home::new();
    let script = "echo $PATH; bash -lc 'echo $PATH; command -v valetkey'";
    let ended = home.in_workspace(script).done().ok();
    let said = ended.text();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], "/run/valetkey/bin/valetkey");
}
