//! What the kernel keeps, and how it is made to let go.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use valetkey_view::Observation;

use crate::fixture::{Fixture, errno, eventually, within};

#[test]
fn revocation_reaches_open_files_and_cached_pages() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/f", &"x".repeat(50_000));
    let permit = view.grant("/work", "read,write,list,metadata");
    let mut file = File::open(view.at("/work/f")).expect("open");
    let mut content = Vec::new();
    file.read_to_end(&mut content).expect("read");
    permit.kill();
    view.view.notify_revoked(Path::new("/work"));
    let killed = Instant::now();
    let refused = within(Duration::from_millis(100), || {
        let mut file = &file;
        file.seek(SeekFrom::Start(0)).expect("seek");
        file.read(&mut [0; 100]).is_err()
    });
    assert!(refused, "still readable after {:?}", killed.elapsed());
    file.seek(SeekFrom::Start(0)).expect("seek");
    assert_eq!(errno(file.read(&mut [0; 100])), Errno::ACCESS);
    assert!(eventually(|| !view.at("/work/f").exists()));
    assert_eq!(errno(File::open(view.at("/work/f"))), Errno::NOENT);
}

#[test]
fn an_expiry_that_nobody_tells_of_is_noticed() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/f", "content");
    let permit = view.grant("/work", "read,write,list");
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(view.at("/work/f"))
        .expect("open");
    file.read_to_end(&mut Vec::new()).expect("read");
    permit.kill();
    let refused = within(Duration::from_millis(100), || {
        let mut file = &file;
        file.seek(SeekFrom::Start(0)).expect("seek");
        file.read(&mut [0; 10]).is_err()
    });
    assert!(refused);
    assert_eq!(errno(std::io::Write::write(&mut file, b"x")), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.real("/work/f")).expect("host"),
        "content"
    );
}

#[test]
fn a_renewed_right_goes_on() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/f", "content");
    let permit = view.grant("/work", "read,list");
    let mut file = File::open(view.at("/work/f")).expect("open");
    view.grant("/work", "read,list");
    permit.kill();
    view.view.notify_revoked(Path::new("/work"));
    std::thread::sleep(Duration::from_millis(120));
    let mut content = String::new();
    file.read_to_string(&mut content)
        .expect("read by the new right");
    assert_eq!(content, "content");
}

#[test]
fn what_the_host_changes_is_seen() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/f", "one");
    assert_eq!(fs::read_to_string(view.at("/work/f")).expect("read"), "one");
    fs::write(view.real("/work/f"), "two!").expect("host");
    assert_eq!(
        fs::read_to_string(view.at("/work/f")).expect("opened anew"),
        "two!"
    );
    // Replaced by another file, as editors do.
    fs::write(view.real("/work/t"), "three").expect("host");
    fs::rename(view.real("/work/t"), view.real("/work/f")).expect("host");
    assert!(eventually(|| {
        fs::read_to_string(view.at("/work/f")).is_ok_and(|content| content == "three")
    }));
    fs::remove_file(view.real("/work/f")).expect("host");
    assert!(eventually(|| !view.at("/work/f").exists()));
    fs::write(view.real("/work/f"), "four").expect("host");
    assert!(eventually(
        || fs::read(view.at("/work/f")).is_ok_and(|content| content == b"four")
    ));
}

#[test]
fn pages_are_kept_from_one_open_to_the_next() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/f", &"x".repeat(100_000));
    let read_in_all = || {
        let seen = view.rules.seen.lock().expect("lock");
        seen.iter()
            .filter_map(|seen| {
                let Observation::Closed { read_bytes, .. } = seen else {
                    return None;
                };
                Some(*read_bytes)
            })
            .sum::<u64>()
    };
    for _ in 0..5 {
        assert_eq!(fs::read(view.at("/work/f")).expect("read").len(), 100_000);
    }
    assert!(eventually(|| view
        .rules
        .reports(|seen| { matches!(seen, Observation::Closed { .. }) })
        == 5));
    assert_eq!(read_in_all(), 100_000);
}

#[test]
fn revocation_reaches_mappings() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/f", &"x".repeat(4096));
    let permit = view.grant("/work", "read,list,metadata");
    // Maps the file, says so, and reads the first byte for ten seconds or until it is stopped.
    let program = "import mmap,sys,time\n\
        f=open(sys.argv[1],'rb')\n\
        m=mmap.mmap(f.fileno(),4096,prot=mmap.PROT_READ)\n\
        print(m[0],flush=True)\n\
        end=time.time()+10\n\
        while time.time()<end: m[0]\n";
    let Ok(mut child) = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(view.at("/work/f"))
        .stdout(std::process::Stdio::piped())
        .spawn()
    else {
        eprintln!("SKIPPED: needs python3");
        return;
    };
    let mut first = [0; 4];
    let mut output = child.stdout.take().expect("stdout");
    output.read_exact(&mut first).expect("the mapping works");
    permit.kill();
    view.view.notify_revoked(Path::new("/work"));
    let revoked = Instant::now();
    let status = child.wait().expect("wait");
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(rustix::process::Signal::BUS.as_raw()));
    assert!(
        revoked.elapsed() < Duration::from_secs(1),
        "{:?}",
        revoked.elapsed()
    );
}

#[test]
fn a_grant_leaves_alone_what_is_mounted_in_the_view() {
    let Some(view) = Fixture::new(|config| {
        config.skeleton = vec![valetkey_view::SkeletonEntry {
            path: "/home/inner".into(),
            kind: valetkey_view::SkeletonKind::Directory,
        }];
    }) else {
        return;
    };
    view.put("/home/alice/f", "content");
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("ram", view.at("/home/inner"), "tmpfs", none, None).expect("tmpfs");
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fs::write(view.at("/home/inner/x"), "x").expect("write");
        assert!(!view.at("/home/alice").exists());
        let permit = view.grant("/home/alice", "read,list");
        assert!(within(Duration::from_millis(200), || view
            .at("/home/alice/f")
            .exists()));
        permit.kill();
        view.view.notify_revoked(Path::new("/home/alice"));
        assert!(eventually(|| !view.at("/home/alice").exists()));
        std::thread::sleep(Duration::from_millis(1200));
        assert_eq!(
            fs::read_to_string(view.at("/home/inner/x")).expect("read"),
            "x"
        );
    }));
    let detach = rustix::mount::UnmountFlags::DETACH;
    rustix::mount::unmount(view.at("/home/inner"), detach).expect("it was still mounted");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}
