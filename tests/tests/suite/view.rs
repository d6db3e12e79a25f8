//! The view by the real thing: what is granted behaves as on the host, and what is not granted is not there.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use valetkey_tests::{Home, host_program};

use super::needs_cells;

/// What ordinary programs do with files, told on standard output.
pub(crate) const WORK: &str = r"set -e
printf one > a; cat a; printf two >> a; cat a; echo
mkdir -p d/e; mv a d/e/b; cat d/e/b; echo
ln -s e/b d/s; readlink d/s; cat d/s; echo
ln d/e/b c; stat -c '%h %s' c; chmod 640 c; stat -c '%a' d/e/b
rm d/e/b; cat c; echo; test ! -e d/s
cp -r d d2; find . | sort; rm -rf d; ls -A
truncate -s 100000 t; printf X | dd of=t bs=1 seek=50000 conv=notrunc 2>/dev/null; stat -c %s t; md5sum < t
touch -d @1000000000 t; stat -c '%Y %F' t
mkfifo pipe; test -p pipe; (echo through > pipe &) ; cat pipe; rm pipe
mv d2 'with space'; echo x > 'with space/lín'; mv 'with space/lín' ./-dash; cat ./-dash
head -c 300000 /dev/zero | tr '\0' 'z' > big; wc -c < big; : > big; wc -c < big
mkdir empty; rmdir empty; test ! -e empty; rmdir 'with space' 2>&1 || echo refused
umask 027; echo y > masked; stat -c %a masked; mkdir maskdir; stat -c %a maskdir
exec 3<> held; echo abc >&3; rm held; cat /proc/self/fd/3 >/dev/null 2>&1 || true; echo more >&3; echo closed
find . -type f -exec md5sum {} + | sort -k2
";

pub(crate) fn natively(dir: &Path) -> String {
    fs::create_dir_all(dir).expect("make a directory");
    let output = Command::new("sh")
        .args(["-c", WORK])
        .current_dir(dir)
        .env("LANG", "C.UTF-8")
        .output()
        .expect("run sh");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

/// Names, kinds, modes and content below a directory.
pub(crate) fn listing(dir: &Path) -> String {
    let script =
        "find . -printf '%P %y %m %n %l\\n' | sort; find . -type f -exec md5sum {} + | sort -k2";
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .output()
        .expect("run sh");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn work_in_a_workspace_is_as_on_the_host() {
    needs_cells!();
    for home in [Home::new(), Home::below(Path::new("/tmp"))] {
        let native = home.outside("native");
        let expected = natively(&native);
        let ended = home.in_workspace(WORK).done();
        assert_eq!(ended.text(), expected, "{}", ended.errors());
        drop(ended.ok());
        assert_eq!(listing(&home.path("work")), listing(&native));
        home.verify();
    }
}

#[test]
fn a_file_granted_for_reading_cannot_be_changed() {
    needs_cells!();
    let home = Home::new();
    let file = home.write("docs/plan.txt", "the plan\n");
    let grant = format!("{}=read", file.display());
    let script = r"cat docs/plan.txt
try() { if (eval $1) 2>/dev/null; then echo changed: $1; fi; }
try 'echo more >> docs/plan.txt'; try 'echo new > docs/plan.txt'; try 'truncate -s 0 docs/plan.txt'
try 'rm -f docs/plan.txt'; try 'mv docs/plan.txt docs/other.txt'; try 'chmod 777 docs/plan.txt'; try 'ln docs/plan.txt docs/twin'
try 'touch -d @0 docs/plan.txt'; try 'cp /etc/hostname docs/new'; try 'mkdir docs/dir'; try 'mv /etc/hostname docs/plan.txt'
try 'ln -s /etc docs/link'; try 'mv docs gone'; try 'rmdir docs'
exec 4<docs/plan.txt; (echo through >&4) 2>/dev/null && echo changed through a reading descriptor
(echo through > /proc/self/fd/4) 2>/dev/null && echo changed through /proc; cat docs/plan.txt";
    // Changes elsewhere in the home would ask: nobody is there, and the policy of the test answers at once.
    let policy = super::asking::impatient(&home, 1);
    let ended = home
        .valetkey(["run", "--grant", &grant, "--policy"])
        .arg(policy)
        .args(["--", "sh", "-c", script])
        .within(std::time::Duration::from_secs(60))
        .done();
    assert_eq!(ended.text(), "the plan\nthe plan\n");
    assert_eq!(fs::read_to_string(&file).expect("read"), "the plan\n");
    assert_eq!(fs::read_dir(home.path("docs")).expect("list").count(), 1);
}

#[test]
fn what_no_capability_covers_is_not_there() {
    needs_cells!();
    let home = Home::new();
    home.write("work/seen.txt", "seen\n");
    home.write(".ssh/id_ed25519", "decoy key\n");
    home.write(".aws/credentials", "decoy\n");
    fs::write(home.outside("secret.txt"), "decoy secret\n").expect("write");
    let outside = home.outside("secret.txt");
    let (absolute, root) = (outside.display(), home.outside(""));
    let script = format!(
        "cat {absolute}; cat ../../secret.txt; cat /proc/self/cwd/../../secret.txt; cat ../.ssh/id_ed25519; cat ../.aws/credentials; \
         cat /etc/shadow; cat /root/.bashrc; cat /var/log/dpkg.log; ls {}/.ssh; ls /root /home /srv /mnt /sys /boot; \
         ls -A {}; ls -A ..; cat seen.txt",
        home.dir().display(),
        root.display()
    );
    let ended = home.in_workspace(&script).done().ok();
    assert!(ended.text().ends_with("seen\n"));
    for word in ["decoy", "secret.txt", ".ssh", ".aws", "root:"] {
        assert!(!ended.text().contains(word), "{word} in {}", ended.text());
    }
    for line in ended.errors().lines() {
        assert!(line.contains("No such file or directory"), "{line}");
    }
    assert_eq!(ended.errors().lines().count(), 15, "{}", ended.errors());
}

#[test]
fn links_lead_nowhere_outside() {
    needs_cells!();
    let home = Home::new();
    fs::write(home.outside("secret.txt"), "decoy secret\n").expect("write");
    fs::create_dir(home.outside("secrets")).expect("make");
    fs::write(home.outside("secrets/one"), "decoy one\n").expect("write");
    home.write("work/inner.txt", "inner\n");
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, home.path(name)).expect("link")
    };
    link(&home.outside("secret.txt"), "work/absolute");
    link(Path::new("../../secret.txt"), "work/relative");
    link(&home.outside("secrets"), "work/dir");
    link(Path::new("/proc/1/root"), "work/magic");
    link(Path::new("inner.txt"), "work/fine");
    let made = home.outside("secret.txt");
    let script = format!(
        "cat fine; cat absolute relative dir/one magic{0} ; ln -s {0} made; cat made; ln -s / root; cat root{0}; \
         ln -s .. up; cat up/../secret.txt; echo written > absolute; echo written > made; ls dir/; cp -r dir copied; cat copied/one",
        made.display()
    );
    let ended = home.in_workspace(&script).done();
    assert_eq!(ended.text(), "inner\n", "{}", ended.errors());
    assert_eq!(fs::read_to_string(made).expect("read"), "decoy secret\n");
}

/// Files that are never given, whatever is granted around them.
const JEWELS: [&str; 9] = [
    ".env",
    ".env.local",
    "server.pem",
    "id_rsa",
    "sub/.git-credentials",
    "sub/tls.key",
    "sub/wallet.dat",
    "credentials.json",
    "kubeconfig",
];

fn home_with_jewels() -> Home {
    let home = Home::new();
    for jewel in JEWELS {
        home.write(&format!("work/{jewel}"), "decoy jewel\n");
    }
    home.write("work/plain.txt", "plain\n");
    home.write("work/.env.example", "EXAMPLE=1\n");
    home
}

#[test]
fn crown_jewels_in_a_workspace_cannot_be_read_or_changed() {
    needs_cells!();
    let home = home_with_jewels();
    let mut script = String::new();
    for jewel in JEWELS {
        script += &format!(
            "cat {jewel}; ln {jewel} linked; mv {jewel} moved; cp {jewel} copied; rm {jewel}; echo x > {jewel}; echo x >> {jewel}; \
             ln plain.txt {jewel}; mv plain.txt {jewel}; stat -c seen {jewel}; test -e {jewel} && echo there; dd if={jewel} of=copied\n"
        );
    }
    script += "grep -r decoy .; tar cf - . 2>/dev/null | tr -d '\\0' | grep -a -c jewel; rm -rf sub; mv sub elsewhere; cat plain.txt";
    let ended = home.in_workspace(&script).done();
    assert_eq!(ended.text(), "0\nplain\n", "{}", ended.errors());
    for jewel in JEWELS {
        let path = home.path(&format!("work/{jewel}"));
        assert_eq!(
            fs::read_to_string(&path).expect("still there"),
            "decoy jewel\n",
            "{jewel}"
        );
    }
    for name in ["linked", "moved", "copied"] {
        let had = fs::read_to_string(home.path(&format!("work/{name}"))).unwrap_or_default();
        assert!(!had.contains("decoy"), "{name}");
    }
}

#[test]
fn crown_jewels_in_a_workspace_are_not_listed() {
    needs_cells!();
    let home = home_with_jewels();
    let ended = home
        .in_workspace("ls -A . sub; find .; echo * .*; ls -A . sub")
        .done()
        .ok();
    assert!(ended.text().contains("plain.txt") && ended.text().contains(".env.example"));
    for jewel in JEWELS {
        let name = jewel.rsplit('/').next().expect("a name");
        let listed = ended
            .text()
            .split_whitespace()
            .any(|word| word.rsplit('/').next() == Some(name));
        assert!(!listed, "{name} is listed:\n{}", ended.text());
    }
}

#[test]
fn a_hard_link_made_inside_is_no_way_to_a_crown_jewel() {
    needs_cells!();
    let home = home_with_jewels();
    let script = "ln .env innocent.txt; cp -l .env other.txt; ln sub/tls.key plain.key.txt; \
        cat innocent.txt other.txt plain.key.txt; ls -i .env; echo over";
    let ended = home.in_workspace(script).done().ok();
    assert_eq!(ended.text(), "over\n", "{}", ended.errors());
    for name in ["innocent.txt", "other.txt", "plain.key.txt"] {
        assert!(!home.path(&format!("work/{name}")).exists(), "{name}");
    }
}

#[test]
fn a_hard_link_made_outside_is_no_way_to_a_crown_jewel() {
    needs_cells!();
    let home = home_with_jewels();
    // A second name that the host gave it: the rule is about the file.
    fs::hard_link(home.path("work/.env"), home.path("work/innocent.txt")).expect("link");
    let ended = home
        .in_workspace("cat innocent.txt; echo x > innocent.txt")
        .done();
    assert_eq!(ended.text(), "", "{}", ended.errors());
    let kept = fs::read_to_string(home.path("work/.env")).expect("read");
    assert_eq!(kept, "decoy jewel\n");
}

#[test]
fn files_that_run_later_are_asked_about_even_in_a_workspace() {
    needs_cells!();
    let home = Home::new();
    let lasting = [
        ".git/hooks/pre-commit",
        ".git/config",
        ".github/workflows/ci.yml",
        ".vscode/tasks.json",
        ".cargo/config.toml",
        "CLAUDE.md",
        "sub/AGENTS.md",
        ".envrc",
        ".bashrc",
        ".husky/pre-push",
        "sitecustomize.py",
    ];
    for name in lasting {
        home.write(&format!("work/{name}"), "as it was\n");
    }
    let work = home.path("work");
    // A few in each session: whoever is refused again and again is not asked about any more.
    for names in lasting.chunks(2) {
        let script: String = names
            .iter()
            .map(|name| format!("(echo changed > {name}) 2>/dev/null && echo changed {name}\n"))
            .collect();
        let session = home
            .run(
                &[OsStr::new("--workspace"), work.as_os_str()],
                &["sh", "-c", &script],
            )
            .cwd(&work)
            .start();
        for name in names {
            let question = home.wait_for_question(&format!("/{name}"));
            assert_eq!(question["policy_id"], "valetkey-guardrails", "{question}");
            drop(home.deny(&question));
        }
        let ended = session.finish(std::time::Duration::from_secs(10));
        assert_eq!(ended.text(), "", "{}", ended.errors());
    }
    for name in lasting {
        let had = fs::read_to_string(home.path(&format!("work/{name}"))).expect("still there");
        assert_eq!(had, "as it was\n", "{name}");
    }
}

#[test]
fn valetkeys_own_files_stay_hidden_inside_a_granted_tree() {
    needs_cells!();
    let home = Home::new();
    let home = {
        let inside = home.path("work/sub/vk");
        home.with_state(inside)
    };
    home.write("work/plain.txt", "plain\n");
    home.make_dir(home.state());
    let script = "find . | sort; ls sub/vk; cat sub/vk/config/approver.key sub/vk/state/log.vkey; echo x > sub/vk/config/approver.key; \
        mkdir sub/vk/state/x; mv sub/vk gone; mv sub gone; rm -rf sub; find . -name '*.sock'; cat plain.txt";
    let ended = home.in_workspace(script).done();
    assert!(ended.text().ends_with("plain\n"), "{}", ended.text());
    for word in ["config", "state", "run", "gone", ".sock"] {
        assert!(
            !ended.text().contains(word),
            "{word} is seen: {}",
            ended.text()
        );
    }
    assert!(home.state().join("state/log.vkey").exists());
    drop(home.in_workspace("true").done().ok());
    home.verify();
}

#[test]
fn git_works_in_a_workspace() {
    needs_cells!();
    if host_program("git").is_none() {
        valetkey_tests::skipped("git_works_in_a_workspace", "git is not installed");
        return;
    }
    let home = Home::new();
    home.write("work/a.txt", "one\n");
    let git = |args: &[&str]| {
        let mut command = home.command("git");
        command.args(args).current_dir(home.path("work"));
        valetkey_tests::Call::new(command).done().ok().text()
    };
    drop(git(&["init", "-q", "-b", "main"]));
    let script = "set -e; export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@b.c GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@b.c GIT_CONFIG_GLOBAL=/dev/null
        git add a.txt; git commit -q -m first; echo two >> a.txt; git status --porcelain; git commit -qam second
        git log --format=%s; git diff HEAD~1 --stat; git checkout -q -b other; echo three > b.txt; git add .; git commit -qm third
        git checkout -q main; git merge -q --no-edit other; git fsck --no-progress; git gc -q; git status --porcelain; git rev-parse HEAD";
    let ended = home.in_workspace(script).done().ok();
    assert!(
        ended.text().starts_with(" M a.txt\nsecond\nfirst\n"),
        "{}",
        ended.text()
    );
    let head = git(&["rev-parse", "HEAD"]);
    assert!(ended.text().ends_with(&head));
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["log", "--format=%s"]), "third\nsecond\nfirst\n");
}

#[test]
fn git_can_begin_a_repository_when_a_person_agrees() {
    needs_cells!();
    if host_program("git").is_none() {
        valetkey_tests::skipped(
            "git_can_begin_a_repository_when_a_person_agrees",
            "git is not installed",
        );
        return;
    }
    let home = Home::new();
    let person = home.person();
    let ended = home
        .in_workspace(
            "GIT_CONFIG_GLOBAL=/dev/null git init -q . && git status --porcelain && echo begun",
        )
        .done()
        .ok();
    assert_eq!(ended.text(), "begun\n");
    assert!(
        person.finish() > 0,
        "hooks and configuration are asked about"
    );
}

#[test]
fn odd_names_are_kept() {
    needs_cells!();
    let home = Home::new();
    let script = r#"set -e
        long=$(head -c 255 /dev/zero | tr '\0' n); echo l > "$long"; cat "$long"
        odd=$(printf 'a\nb\tc\001\377'); echo o > "$odd"; cat "$odd"; mv "$odd" "  "; cat "  "
        echo p > '%41*?[x]'; cat '%41*?[x]'
        deep=.; for i in $(seq 1 60); do deep=$deep/dir$i; mkdir $deep; done; echo d > $deep/f; cat $deep/f
        (echo t > "${long}x") 2>/dev/null || echo too-long; ls | wc -l"#;
    let ended = home.in_workspace(script).done().ok();
    assert_eq!(ended.text(), "l\no\no\np\nd\ntoo-long\n4\n");
}
