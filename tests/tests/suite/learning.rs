//! `valetkey profile learn`: what a program needed is written down tightly, and what was written gives that and no more.

use std::fs;

use valetkey_tests::Home;

use super::needs_cells;

const SCRIPT: &str = "cat ~/.toyrc ~/.toy/a ~/.toy/b ~/.toy/c ~/.toy/d > /dev/null || exit 1; mkdir -p ~/.toy-state && echo x > ~/.toy-state/out || exit 2; echo work > here || exit 3";
const CURIOUS: &str = "; cat ~/.ssh/id_ed25519; echo evil >> ~/.bashrc; curl -s http://api.example.com/ -o /dev/null; true";

#[test]
fn a_profile_is_learned_from_one_run_and_gives_no_more() {
    needs_cells!();
    let home = Home::new();
    for name in [
        ".toyrc",
        ".toy/a",
        ".toy/b",
        ".toy/c",
        ".toy/d",
        ".toy/later",
        "other.txt",
    ] {
        home.write(name, "x\n");
    }
    home.write(".ssh/id_ed25519", "PRIVATE\n");
    home.write(".bashrc", "# mine\n");
    let work = home.path("work");
    home.make_dir(&work);
    let out = home.path("learned");
    let (out_name, work_name) = (out.display().to_string(), work.display().to_string());
    let learn = [
        "profile",
        "learn",
        "--name",
        "toy",
        "--out",
        &out_name,
        "--workspace",
        &work_name,
        "--",
        "sh",
        "-c",
    ];
    let script = format!("{SCRIPT}{CURIOUS}");
    let ended = home
        .valetkey(learn.iter().copied().chain([script.as_str()]))
        .cwd(&work)
        .done()
        .ok();
    assert!(!ended.text().contains("PRIVATE"), "{}", ended.text());
    assert_eq!(
        fs::read_to_string(home.path(".bashrc")).expect("read"),
        "# mine\n"
    );
    let profile = fs::read_to_string(out.join("profile.toml")).expect("a profile");
    for line in ["    \"~/.toy/\",", "    \"~/.toyrc\",", "hosts = []"] {
        assert!(profile.contains(line), "{line}: {profile}");
    }
    assert!(
        !profile.contains("\"~/.ssh") && !profile.contains("\"~/.bashrc"),
        "{profile}"
    );
    assert!(
        profile.contains("# - file:") && profile.contains(".bashrc="),
        "{profile}"
    );
    assert!(profile.contains("# - ~/.toy-state\n"), "{profile}");
    assert!(
        profile.contains("~/.toy-state") && !profile.contains("/work/"),
        "{profile}"
    );

    // What was written passes its own tests, and is a policy and a profile that hold.
    let policy = out.join("policy").display().to_string();
    drop(home.valetkey(["policy", "test", &policy]).done().ok());
    drop(home.valetkey(["policy", "check", &policy]).done().ok());
    let own = home.state().join("config/agents/toy");
    fs::create_dir_all(&own).expect("make a directory");
    fs::rename(out.join("profile.toml"), own.join("profile.toml")).expect("move");
    let by_policy = [
        "--unattended",
        "--workspace",
        &work_name,
        "--policy",
        &policy,
    ];
    let by_profile = ["--unattended", "--workspace", &work_name, "--agent", "toy"];
    for options in [by_policy, by_profile] {
        let again = format!(
            "{SCRIPT}; cat ~/.toy/later > /dev/null || exit 4; cat ~/other.txt 2> /dev/null && exit 5; echo same"
        );
        let ended = home
            .run(&options, &["sh", "-c", &again])
            .cwd(&work)
            .done()
            .ok();
        assert_eq!(ended.text(), "same\n", "{options:?}: {}", ended.errors());
    }
    home.verify();
}

#[test]
fn what_is_there_already_is_not_written_over() {
    let home = Home::new();
    home.make_dir(&home.path("toy.learned"));
    let learn = [
        "profile", "learn", "--name", "toy", "--", "sh", "-c", "true",
    ];
    drop(
        home.valetkey(learn)
            .done()
            .expect(2)
            .says("is there already"),
    );
}
