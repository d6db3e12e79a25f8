//! Programs that people work with all day, in a workspace as on the host.

use std::fs;

use std::process::Command;
use std::time::Duration;

use valetkey_tests::{Home, host_program, skipped};

use super::needs_cells;

/// How long a script may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a script says in a directory of the host's.
fn natively(home: &Home, script: &str) -> String {
    let dir = home.outside("native");
    fs::create_dir_all(&dir).expect("make a directory");
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(&dir)
        .env("HOME", home.outside(""))
        .env("LANG", "C.UTF-8")
        .output()
        .expect("run sh");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "on the host: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// That a script says the same in a workspace, with somebody there who says yes.
fn as_on_the_host(script: &str) {
    let home = Home::new();
    let expected = natively(&home, script);
    let person = home.person();
    let ended = home.in_workspace(script).within(PATIENCE).done();
    drop(person);
    assert_eq!(ended.text(), expected, "{}", ended.errors());
    drop(ended.ok());
    home.verify();
}

fn has(test: &str, program: &str) -> bool {
    let there = host_program(program).is_some();
    if !there {
        skipped(test, &format!("`{program}` is not installed"));
    }
    there
}

#[test]
fn git_makes_clones_commits_and_collects() {
    needs_cells!();
    if !has("git", "git") {
        return;
    }
    as_on_the_host(
        r#"set -e
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
mkdir none; git -c init.defaultBranch=main init -q --template=none a; ls -A a/.git | sort; cd a
for n in 1 2 3 4 5 6 7 8 9; do echo $n > f$n; done; git add .; git commit -qm one; ls -A .git | sort; git status --porcelain
cd ..; git clone -q --template=none a b; cd b; echo two >> f1; git mv f2 g2; git commit -qam two; git status --porcelain
git gc -q; git fsck --no-progress; git log --format=%s; ls -A .git | sort; cat f1; git checkout -q HEAD~1; cat f1; ls
cd ../a; git pull -q ../b main; git log --format=%s; git diff --stat HEAD~1"#,
    );
}

#[test]
fn sqlite_writes_ahead_from_several_processes() {
    needs_cells!();
    if !has("sqlite", "sqlite3") {
        return;
    }
    as_on_the_host(
        r#"set -e
sqlite3 db 'PRAGMA journal_mode=WAL; CREATE TABLE t(x INTEGER, y TEXT);'
for w in 1 2 3; do (for n in 1 2 3 4 5 6 7 8; do sqlite3 -cmd '.timeout 60000' db "INSERT INTO t VALUES($n, hex(randomblob(4000)));"; done) & done; wait
sqlite3 db 'SELECT count(*), sum(x), sum(length(y)) FROM t; PRAGMA integrity_check; PRAGMA wal_checkpoint(TRUNCATE);'
sqlite3 db "BEGIN; DELETE FROM t WHERE x > 4; ROLLBACK; SELECT count(*) FROM t; VACUUM; PRAGMA integrity_check;"; ls"#,
    );
}

#[test]
fn files_are_saved_and_built_as_editors_and_compilers_do() {
    needs_cells!();
    if !has("compilers", "cc") {
        return;
    }
    as_on_the_host(
        r#"set -e
printf 'one\n' > f; chmod 640 f; cp -p f f~; printf 'two\n' > .f.swp; chmod 640 .f.swp; sync .f.swp; mv .f.swp f; cat f f~; stat -c '%a %h' f
ln f f.bak; printf 'three\n' > f.new; mv f.new f; cat f f.bak; stat -c %h f f.bak; sed -i s/three/four/ f; cat f
tar -cf t.tar f f~ f.bak; mkdir out; tar -xpf t.tar -C out; stat -c '%n %a' out/*; gzip -k t.tar; gzip -t t.tar.gz; ls
mkdir src; printf 'int half(int a) { return a / 2; }\n' > src/half.c; printf 'int half(int); int main(void) { return half(84) != 42; }\n' > src/main.c
for s in half main; do cc -c src/$s.c -o $s.o & done; wait; ar rc lib.a half.o; cc main.o lib.a -o program; ./program; echo built; touch -r src/half.c lib.a; test ! src/half.c -nt lib.a
(flock 9; echo locked >> log) 9> lock & (flock 9; echo locked >> log) 9> lock; wait; cat log"#,
    );
}

#[test]
fn twenty_thousand_files_are_found() {
    needs_cells!();
    let home = Home::new();
    for directory in 0..20 {
        for file in 0..1000 {
            let path = home.path(&format!("work/d{directory:02}/f{file:04}"));
            if file == 0 {
                fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
            }
            fs::write(path, "x").expect("write");
        }
    }
    let script = "find . -type f | wc -l; find . -type f -size 1c | wc -l; ls d07 | wc -l; rm -r d07; find . -type f | sort | uniq | wc -l";
    let ended = home.in_workspace(script).within(PATIENCE).done().ok();
    assert_eq!(ended.text(), "20000\n20000\n1000\n19000\n");
}
