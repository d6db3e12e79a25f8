//! `valetkey policy bundle`: archives that are made, signed, verified and shown, and those that are refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use valetkey_tests::Home;

const POLICY: &str =
    "package valetkey\n\ndefault decision := {\"effect\": \"deny\", \"policy_id\": \"team\"}\n";

fn policy(home: &Home) -> String {
    let dir = home.path("team");
    fs::create_dir_all(dir.join("valetkey/team")).expect("a directory");
    fs::write(dir.join("team.rego"), POLICY).expect("a policy");
    fs::write(dir.join("valetkey/team/data.json"), "{ \"limit\": 1.50 }").expect("data");
    fs::write(dir.join("README.md"), "not a part").expect("a file");
    dir.to_str().expect("text").to_owned()
}

/// An archive of what lies in a directory, made by `tar`.
fn packed(home: &Home, name: &str, dir: &Path, args: &[&str]) -> String {
    let archive = home.path(name);
    let mut tar = Command::new("tar");
    tar.arg("czf").arg(&archive).arg("-C").arg(dir).args(args);
    assert!(tar.status().expect("tar").success());
    archive.to_str().expect("text").to_owned()
}

#[test]
fn a_bundle_is_built_signed_verified_and_shown() {
    let home = Home::new();
    let dir = policy(&home);
    let (file, key) = (home.path("team.tar.gz"), home.path("key.pem"));
    let (file, key) = (file.to_str().expect("text"), key.to_str().expect("text"));
    let call = |args: &[&str]| home.valetkey([&["policy", "bundle"], args].concat()).done();
    let public = call(&["key", "--out", key]).ok().text().trim().to_owned();
    drop(call(&["key", "--out", key]).expect(2));
    let build = [
        "build",
        &dir,
        "-o",
        file,
        "--revision",
        "7",
        "--key",
        key,
        "--kid",
        "ci",
    ];
    let digest = call(&build).ok().text()[..71].to_owned();
    let bytes = fs::read(file).expect("an archive");
    drop(call(&build).ok());
    assert_eq!(
        fs::read(file).expect("an archive"),
        bytes,
        "the same files make the same bytes"
    );
    let shown = call(&["show", file, "--json"]).ok().json();
    assert_eq!(shown["digest"], digest.as_str());
    assert_eq!(shown["revision"], "7");
    assert_eq!(shown["signature_names"], "ci");
    assert_eq!(shown["files"].as_array().expect("files").len(), 3);
    let verify = ["verify", file, "--key", &public, "--kid", "ci", "--json"];
    assert_eq!(call(&verify).ok().json()["signed_by"], "ci");
    drop(call(&["verify", file, "--key", key, "--kid", "other"]).expect(4));
    // It is a policy like any other.
    drop(home.valetkey(["policy", "check", file]).done().ok());
    // `tar` reads it, and what one changes there is found.
    let out = home.path("out");
    fs::create_dir(&out).expect("a directory");
    let mut tar = Command::new("tar");
    assert!(
        tar.arg("xzf")
            .arg(file)
            .arg("-C")
            .arg(&out)
            .status()
            .expect("tar")
            .success()
    );
    let out_dir = out.to_str().expect("text");
    drop(call(&["verify", out_dir, "--key", &public, "--kid", "ci"]).ok());
    fs::write(out.join("team.rego"), format!("{POLICY}\n")).expect("a policy");
    let told = call(&["verify", out_dir, "--key", &public, "--kid", "ci"]).expect(4);
    assert!(
        told.errors().contains("`team.rego` is not what was signed"),
        "{}",
        told.errors()
    );
    drop(call(&["sign", out_dir, "--key", key, "--kid", "ci"]).ok());
    drop(call(&["verify", out_dir, "--key", &public, "--kid", "ci"]).ok());
    drop(call(&["sign", file, "--key", key]).ok());
    drop(call(&["verify", file, "--key", &public]).ok());
}

#[test]
fn an_archive_that_is_no_bundle_is_refused() {
    let home = Home::new();
    let dir = home.path("bad");
    fs::create_dir_all(dir.join("sub")).expect("a directory");
    fs::write(dir.join("team.rego"), POLICY).expect("a policy");
    std::os::unix::fs::symlink("/etc/passwd", dir.join("data.json")).expect("a link");
    fs::write(dir.join("x.sh"), "true").expect("a file");
    let refused = |archive: &str, why: &str| {
        let told = home
            .valetkey(["policy", "bundle", "show", archive])
            .done()
            .expect(2);
        assert!(told.errors().contains(why), "{why}: {}", told.errors());
    };
    let good = packed(&home, "good.tar.gz", &dir, &["./team.rego"]);
    drop(
        home.valetkey(["policy", "bundle", "show", &good])
            .done()
            .ok(),
    );
    refused(
        &packed(&home, "link.tar.gz", &dir, &["team.rego", "data.json"]),
        "is a symbolic link",
    );
    refused(
        &packed(&home, "other.tar.gz", &dir, &["team.rego", "x.sh"]),
        "no part of a policy",
    );
    refused(
        &packed(&home, "up.tar.gz", &dir, &["-P", "sub/../team.rego"]),
        "no plain relative path",
    );
    refused(
        &packed(&home, "twice.tar.gz", &dir, &["team.rego", "./team.rego"]),
        "twice",
    );
    // 64 MiB of zeros are 64 KiB packed.
    let bomb = dir.join("bomb.rego");
    fs::File::create(&bomb)
        .expect("a file")
        .set_len(64 << 20)
        .expect("a size");
    refused(
        &packed(&home, "bomb.tar.gz", &dir, &["bomb.rego"]),
        "unpacked",
    );
    let mut bytes = fs::read(&good).expect("an archive");
    bytes.extend(fs::read(&good).expect("an archive"));
    let two = home.path("two.tar.gz");
    fs::write(&two, &bytes).expect("an archive");
    refused(two.to_str().expect("text"), "behind its end");
    bytes.truncate(60);
    fs::write(&two, &bytes).expect("an archive");
    refused(two.to_str().expect("text"), "two.tar.gz");
}
