//! `valetkey install`: an agent's own settings, changed by one member, shown, and taken back to the byte.

use std::fs;

use valetkey_tests::Home;

use super::needs_cells;

const CLAUDE: &str = "{\n  \"numStartups\": 7,\n  \"mcpServers\": {\n    \"other\": { \"command\": \"x\" }\n  }\n}\n";
const CODEX: &str = "# mine\nmodel = \"x\"   # the best\n";

#[test]
fn settings_are_changed_by_one_member_and_come_back_to_the_byte() {
    let home = Home::new();
    let claude = home.write(".claude.json", CLAUDE);
    let codex = home.write("dotfiles/codex.toml", CODEX);
    home.make_dir(&home.path(".codex"));
    std::os::unix::fs::symlink(&codex, home.path(".codex/config.toml")).expect("link");
    let read = |path: &std::path::Path| fs::read_to_string(path).expect("read");
    let shown = home
        .valetkey(["install", "claude-code", "--dry-run"])
        .done()
        .ok();
    assert!(
        shown.text().contains("+    \"valetkey\": {"),
        "{}",
        shown.text()
    );
    assert_eq!(read(&claude), CLAUDE);
    for name in ["claude-code", "codex"] {
        drop(home.valetkey(["install", name]).done().ok());
        let again = home.valetkey(["install", name]).done().ok();
        assert_eq!(again.text(), "nothing to change\n");
    }
    let settings: serde_json::Value = serde_json::from_str(&read(&claude)).expect("JSON");
    assert_eq!(settings["mcpServers"]["valetkey"]["args"][1], "serve");
    assert!(read(&codex).starts_with(CODEX) && read(&codex).contains("[mcp_servers.valetkey]"));
    assert!(read(&home.path(".claude/CLAUDE.md")).contains("/run/valetkey/denials.json"));
    for name in ["claude-code", "codex"] {
        drop(home.valetkey(["install", name, "--remove"]).done().ok());
    }
    assert_eq!(
        (read(&claude), read(&codex)),
        (CLAUDE.to_owned(), CODEX.to_owned())
    );
    // What was made is gone, and so is what was kept of what has come back.
    let left = [
        ".claude/CLAUDE.md",
        ".codex/AGENTS.md",
        ".claude.json.before-valetkey",
    ];
    assert!(left.iter().all(|below| !home.path(below).exists()));
    assert!(home.path(".codex/config.toml").is_symlink());
}

#[test]
fn what_does_not_read_is_left_as_it_is() {
    let home = Home::new();
    let file = home.write(".gemini/settings.json", "{ \"a\": 1, } // mine\n");
    let ended = home.valetkey(["install", "gemini"]).done().expect(1);
    drop(ended.says("is left as it is"));
    assert_eq!(
        fs::read_to_string(file).expect("read"),
        "{ \"a\": 1, } // mine\n"
    );
    drop(home.valetkey(["install", "nobody"]).done().expect(2));
}

#[test]
fn nothing_is_installed_from_within_a_cell() {
    needs_cells!();
    let home = Home::new();
    home.write(".claude.json", "{}\n");
    let ended = home.in_workspace("valetkey install claude-code").done();
    drop(ended.expect(3).says("not changed from within a cell"));
}
