//! Reading and writing: what goes in comes out, on the mount as on the host.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::sync::Arc;
use std::thread;

use rustix::io::Errno;

use crate::fixture::{Fixture, TestPermit, errno};

#[test]
fn what_is_written_is_on_the_host_and_back() {
    let Some(view) = Fixture::whole() else { return };
    fs::write(view.at("/work/a"), "hello").expect("write");
    assert_eq!(
        fs::read_to_string(view.real("/work/a")).expect("host"),
        "hello"
    );
    assert_eq!(
        fs::read_to_string(view.at("/work/a")).expect("read"),
        "hello"
    );
    fs::rename(view.at("/work/a"), view.at("/work/b")).expect("rename");
    assert!(!view.real("/work/a").exists());
    fs::remove_file(view.at("/work/b")).expect("remove");
    assert!(!view.real("/work/b").exists());
}

#[test]
fn actions_decide_what_an_open_may_do() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/read", "r");
    view.put("/work/write", "w");
    view.put("/work/meta", "m");
    view.rules.allow("/work/read", "read");
    view.rules.allow("/work/write", "write");
    view.rules.allow("/work/meta", "metadata");
    view.view.notify_granted(std::path::Path::new("/work/read"));
    assert_eq!(
        fs::read_to_string(view.at("/work/read")).expect("read"),
        "r"
    );
    assert_eq!(
        errno(OpenOptions::new().write(true).open(view.at("/work/read"))),
        Errno::ACCESS
    );
    assert_eq!(
        errno(OpenOptions::new().append(true).open(view.at("/work/read"))),
        Errno::ACCESS
    );
    OpenOptions::new()
        .write(true)
        .open(view.at("/work/write"))
        .expect("write");
    assert_eq!(errno(File::open(view.at("/work/write"))), Errno::ACCESS);
    let both = OpenOptions::new()
        .read(true)
        .write(true)
        .open(view.at("/work/write"));
    assert_eq!(errno(both), Errno::ACCESS);
    assert_eq!(fs::metadata(view.at("/work/meta")).expect("stat").len(), 1);
    assert_eq!(errno(File::open(view.at("/work/meta"))), Errno::ACCESS);
    assert_eq!(errno(fs::write(view.at("/work/new"), "n")), Errno::ACCESS);
    assert_eq!(errno(fs::remove_file(view.at("/work/read"))), Errno::ACCESS);
    assert_eq!(
        errno(fs::rename(view.at("/work/read"), view.at("/work/x"))),
        Errno::ACCESS
    );
    let mode = fs::Permissions::from_mode(0o600);
    assert_eq!(
        errno(fs::set_permissions(view.at("/work/read"), mode)),
        Errno::ACCESS
    );
    assert_eq!(errno(rustix_truncate(&view, "/work/read")), Errno::ACCESS);
    assert_eq!(
        fs::read_to_string(view.real("/work/read")).expect("host"),
        "r"
    );
}

fn rustix_truncate(view: &Fixture, path: &str) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(view.at(path))
}

#[test]
fn to_run_needs_execute_and_no_more() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    fs::copy("/bin/true", view.real("/work/true")).expect("copy");
    fs::copy("/bin/true", view.real("/work/other")).expect("copy");
    view.rules.allow("/work/true", "execute");
    view.rules.allow("/work/other", "read");
    view.view.notify_granted(std::path::Path::new("/work/true"));
    let status = std::process::Command::new(view.at("/work/true"))
        .status()
        .expect("run");
    assert!(status.success());
    assert_eq!(
        errno(std::process::Command::new(view.at("/work/other")).status()),
        Errno::ACCESS
    );
    assert_eq!(errno(File::open(view.at("/work/true"))), Errno::ACCESS);
}

#[test]
fn append_only_adds_at_the_end_whatever_is_tried() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/log", "one\n");
    view.grant("/work", "read,append,list");
    let mut log = OpenOptions::new()
        .read(true)
        .append(true)
        .open(view.at("/work/log"))
        .expect("append");
    log.write_all(b"two\n").expect("write");
    // The host adds too; what follows comes after it.
    OpenOptions::new()
        .append(true)
        .open(view.real("/work/log"))
        .and_then(|mut host| host.write_all(b"host\n"))
        .expect("host");
    log.write_all_at(b"three\n", 0).expect("pwrite");
    let expected = "one\ntwo\nhost\nthree\n";
    assert_eq!(
        fs::read_to_string(view.real("/work/log")).expect("host"),
        expected
    );
    // The flag taken away afterwards changes nothing.
    rustix::fs::fcntl_setfl(&log, rustix::fs::OFlags::empty()).expect("fcntl");
    log.seek(SeekFrom::Start(0)).expect("seek");
    log.write_all(b"four\n").expect("write");
    let all = fs::read_to_string(view.real("/work/log")).expect("host");
    assert_eq!(all, format!("{expected}four\n"));
    for options in [
        OpenOptions::new().write(true),
        OpenOptions::new().write(true).truncate(true),
        OpenOptions::new().append(true).custom_flags(0o1000),
    ] {
        assert_eq!(errno(options.open(view.at("/work/log"))), Errno::ACCESS);
    }
    assert!(log.set_len(0).is_err());
    assert!(rustix::fs::fallocate(&log, rustix::fs::FallocateFlags::empty(), 0, 99).is_err());
    assert_eq!(
        fs::read_to_string(view.real("/work/log")).expect("host"),
        all
    );
}

#[test]
fn a_big_file_is_whole_and_truncation_cuts_it() {
    let Some(view) = Fixture::whole() else { return };
    let content: Vec<u8> = (0..20_000_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    fs::write(view.at("/work/big"), &content).expect("write");
    assert!(fs::read(view.real("/work/big")).expect("host") == content);
    assert!(fs::read(view.at("/work/big")).expect("read") == content);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(view.at("/work/big"))
        .expect("open");
    file.set_len(1_000_001).expect("cut");
    assert_eq!(file.metadata().expect("stat").len(), 1_000_001);
    file.set_len(3_000_000).expect("grow");
    let mut tail = vec![1; 10];
    file.read_exact_at(&mut tail, 2_000_000).expect("read");
    assert_eq!(tail, [0; 10]);
    let cut = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(view.at("/work/big"));
    drop(cut.expect("truncate"));
    assert_eq!(fs::metadata(view.real("/work/big")).expect("host").len(), 0);
}

#[test]
fn an_unlinked_file_goes_on_while_it_is_open() {
    let Some(view) = Fixture::whole() else { return };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(view.at("/work/gone"))
        .expect("create");
    fs::remove_file(view.at("/work/gone")).expect("unlink");
    file.write_all(b"still here").expect("write");
    file.seek(SeekFrom::Start(0)).expect("seek");
    let mut content = String::new();
    file.read_to_string(&mut content).expect("read");
    assert_eq!(content, "still here");
    thread::sleep(std::time::Duration::from_millis(1100));
    let metadata = file.metadata().expect("fstat");
    assert_eq!((metadata.len(), metadata.nlink()), (10, 0));
    file.set_len(5).expect("ftruncate");
    // A new file of that name, most likely with the same inode number, is another file.
    fs::write(view.at("/work/gone"), "new").expect("write");
    assert_eq!(
        fs::read_to_string(view.at("/work/gone")).expect("read"),
        "new"
    );
    assert_eq!(file.metadata().expect("fstat").len(), 5);
}

#[test]
fn limits_in_bytes_are_kept_exactly() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.put("/work/big", &"x".repeat(100_000));
    view.rules
        .allow_by("/work/big", TestPermit::counted("read", Some(5000), None));
    view.rules.allow_by(
        "/work/out",
        TestPermit::counted("write,create", None, Some(10)),
    );
    view.view.notify_granted(std::path::Path::new("/work/big"));
    let mut file = File::open(view.at("/work/big")).expect("open");
    let mut got = Vec::new();
    assert_eq!(errno(file.read_to_end(&mut got).map(|_| ())), Errno::DQUOT);
    assert_eq!(got.len(), 5000);
    let mut again = File::open(view.at("/work/big")).expect("open");
    assert_eq!(errno(again.read(&mut [0; 1])), Errno::DQUOT);
    let mut out = File::create(view.at("/work/out")).expect("create");
    out.write_all(b"12345678").expect("write");
    assert_eq!(errno(out.write(b"9abc")), Errno::DQUOT);
    out.write_all(b"9a").expect("the last two");
    assert_eq!(
        fs::read_to_string(view.real("/work/out")).expect("host"),
        "123456789a"
    );
}

#[test]
fn set_id_bits_are_never_given_and_go_with_a_write() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/set", "x");
    fs::set_permissions(view.real("/work/set"), fs::Permissions::from_mode(0o6755)).expect("mode");
    fs::write(view.at("/work/set"), "y").expect("write");
    let mode = |path: &str| fs::metadata(view.real(path)).expect("host").mode() & 0o7777;
    assert_eq!(mode("/work/set") & 0o6000, 0);
    fs::write(view.at("/work/plain"), "x").expect("write");
    fs::set_permissions(view.at("/work/plain"), fs::Permissions::from_mode(0o6755)).expect("chmod");
    assert_eq!(mode("/work/plain"), 0o755);
}

#[test]
fn eight_threads_at_once_each_read_what_they_wrote() {
    let Some(view) = Fixture::whole() else { return };
    let view = Arc::new(view);
    let workers: Vec<_> = (0..8_u8)
        .map(|worker| {
            let view = Arc::clone(&view);
            thread::spawn(move || {
                let directory = view.at(&format!("/work/w{worker}"));
                fs::create_dir(&directory).expect("mkdir");
                for round in 0..60_u32 {
                    let path = directory.join(format!("f{}", round % 7));
                    let content = vec![worker; usize::try_from(round * 997).expect("size")];
                    fs::write(&path, &content).expect("write");
                    assert!(fs::read(&path).expect("read") == content);
                    let moved = directory.join("moved");
                    fs::rename(&path, &moved).expect("rename");
                    assert!(fs::read(&moved).expect("read") == content);
                    fs::remove_file(&moved).expect("remove");
                }
                fs::remove_dir(&directory).expect("rmdir");
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("worker");
    }
    assert_eq!(fs::read_dir(view.real("/work")).expect("host").count(), 0);
}

#[test]
fn shared_mappings_reach_the_file() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/mapped", &"a".repeat(8192));
    // A small program maps the file, changes it and goes.
    let program = "import mmap,sys\n\
        f=open(sys.argv[1],'r+b')\n\
        m=mmap.mmap(f.fileno(),8192)\n\
        m[5000:5003]=b'xyz'\n\
        m.flush()\n";
    let status = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(view.at("/work/mapped"))
        .status();
    let Ok(status) = status else {
        eprintln!("SKIPPED: needs python3");
        return;
    };
    assert!(status.success());
    let content = fs::read(view.real("/work/mapped")).expect("host");
    assert_eq!(&content[4999..5004], b"axyza");
}

#[test]
fn holes_allocation_and_copies_are_the_hosts() {
    let Some(view) = Fixture::whole() else { return };
    let file = File::create_new(view.at("/work/sparse")).expect("create");
    file.write_all_at(b"end", 1 << 20).expect("write");
    file.sync_all().expect("fsync");
    let data = rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0)).expect("seek");
    assert!(data > 0 && data <= 1 << 20);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 2 << 20)
        .expect("allocate");
    assert_eq!(file.metadata().expect("stat").len(), 2 << 20);
    let copied = fs::copy(view.at("/work/sparse"), view.at("/work/copy")).expect("copy");
    assert_eq!(copied, 2 << 20);
    // Where the holes are tells of the content, which takes the right to read it.
    view.put("/blind/f", "content");
    view.grant("/blind", "write,metadata");
    let blind = OpenOptions::new()
        .write(true)
        .open(view.at("/blind/f"))
        .expect("open");
    assert_eq!(
        rustix::fs::seek(&blind, rustix::fs::SeekFrom::Data(0)),
        Err(Errno::ACCESS)
    );
    let (one, two) = (
        fs::read(view.real("/work/sparse")),
        fs::read(view.real("/work/copy")),
    );
    assert!(one.expect("one") == two.expect("two"));
}
