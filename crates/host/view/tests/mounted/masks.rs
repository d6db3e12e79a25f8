//! Masked files on a real mount: what is read, by whatever way, and what may not be done.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use valetkey_model::PathPattern;
use valetkey_view::{Kinds, MaskRefusal, Observation};

use crate::fixture::{Fixture, errno, eventually};

const PLAIN: &str = "A=1\nPASSWORD=hunter2\nB=2\n";
const MASKED: &str = "A=1\nPASSWORD=XXXXXXX\nB=2\n";

fn mask(view: &Fixture, pattern: &str) {
    let pattern = PathPattern::parse(pattern).expect("pattern");
    let mut masks = view.rules.masks.write().expect("lock");
    masks.push((pattern, Kinds::SECRETS));
}

fn masked() -> Option<Fixture> {
    let view = Fixture::whole()?;
    mask(&view, "/work/**/.env*");
    view.put("/work/.env", PLAIN);
    Some(view)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("read")
}

#[test]
fn every_offset_and_size_shows_the_one_mask() {
    let Some(view) = masked() else { return };
    let file = File::open(view.at("/work/.env")).expect("open");
    for start in 0..=PLAIN.len() + 2 {
        for size in [1, 2, 3, 7, 100] {
            let mut place = vec![0; size];
            let count = file.read_at(&mut place, start as u64).expect("read");
            let expected = MASKED.as_bytes().get(start..).unwrap_or_default();
            assert_eq!(place[..count], expected[..expected.len().min(size)]);
        }
    }
    assert_eq!(file.metadata().expect("stat").len(), PLAIN.len() as u64);
    assert_eq!(text(&view.real("/work/.env")), PLAIN);
}

#[test]
fn reads_past_the_page_cache_copies_and_programs_show_the_mask() {
    let Some(view) = masked() else { return };
    let direct = rustix::fs::open(
        view.at("/work/.env"),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECT,
        rustix::fs::Mode::empty(),
    )
    .expect("open");
    let mut place = vec![0; 4096];
    let count = rustix::io::pread(&direct, &mut place, 0).expect("read");
    assert_eq!(&place[..count], MASKED.as_bytes());
    // `fs::copy` copies in the kernel where it can.
    fs::copy(view.at("/work/.env"), view.at("/work/copy")).expect("copy");
    assert_eq!(text(&view.real("/work/copy")), MASKED);
    let script = "#!/bin/sh\nPASSWORD=hunter2\necho $PASSWORD\n";
    view.put("/work/.env.sh", script);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(view.real("/work/.env.sh"), mode).expect("mode");
    let output = std::process::Command::new(view.at("/work/.env.sh")).output();
    let output = output.expect("it runs").stdout;
    assert_eq!(String::from_utf8_lossy(&output), "XXXXXXX\n");
}

#[test]
fn a_file_masked_by_one_name_is_masked_by_every_name() {
    let Some(view) = masked() else { return };
    fs::hard_link(view.real("/work/.env"), view.real("/work/notes")).expect("host");
    // Not looked at by its masked name yet: the authority knows it.
    view.rules.doubts.store(true, Ordering::SeqCst);
    *view.rules.names.write().expect("lock") = (vec!["/work/.env".into()], Vec::new());
    assert_eq!(text(&view.at("/work/notes")), MASKED);
    assert_eq!(text(&view.at("/work/.env")), MASKED);
    for (from, to) in [("/work/.env", "/work/open"), ("/work/notes", "/work/open")] {
        drop(fs::hard_link(view.at(from), view.at(to)));
        drop(fs::rename(view.at(from), view.at(to)));
        assert!(fs::read_to_string(view.at(to)).map_or(true, |text| text == MASKED));
    }
}

#[test]
fn a_mask_that_comes_later_reaches_what_is_open_and_what_is_kept() {
    let Some(view) = Fixture::whole() else { return };
    view.put("/work/f", PLAIN);
    let mut early = File::open(view.at("/work/f")).expect("open");
    let mut content = String::new();
    early.read_to_string(&mut content).expect("read");
    assert_eq!(content, PLAIN);
    mask(&view, "/work/f");
    assert_eq!(text(&view.at("/work/f")), MASKED);
    early.seek(SeekFrom::Start(0)).expect("seek");
    content.clear();
    early.read_to_string(&mut content).expect("read");
    assert_eq!(content, MASKED);
}

#[test]
fn while_the_host_changes_the_file_no_reader_sees_it() {
    let Some(view) = masked() else { return };
    let over = Arc::new(AtomicBool::new(false));
    let real = view.real("/work/.env");
    let writer = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut number = 0;
            while !over.load(Ordering::SeqCst) {
                number += 1;
                let filler = "x=1\n".repeat(number % 40);
                let content = format!("{filler}PASSWORD=hunter2{number}\nTOKEN=hunter2\n");
                if number % 2 == 0 {
                    fs::write(&real, content).expect("host");
                } else {
                    let other = real.with_extension("new");
                    fs::write(&other, content).expect("host");
                    fs::rename(&other, &real).expect("host");
                }
            }
        }
    });
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let path = view.at("/work/.env");
            thread::spawn(move || {
                let end = Instant::now() + Duration::from_secs(2);
                let mut reads = 0;
                while Instant::now() < end {
                    let Ok(mut file) = File::open(&path) else {
                        continue;
                    };
                    let mut content = Vec::new();
                    if file.read_to_end(&mut content).is_ok() {
                        let content = String::from_utf8_lossy(&content);
                        assert!(!content.contains("hunter"), "{content}");
                        reads += 1;
                    }
                }
                reads
            })
        })
        .collect();
    let reads: usize = readers
        .into_iter()
        .map(|reader| reader.join().expect("reader"))
        .sum();
    over.store(true, Ordering::SeqCst);
    writer.join().expect("writer");
    assert!(reads > 0);
}

#[test]
fn what_is_open_is_masked_from_when_it_comes_to_a_masked_name() {
    let Some(view) = masked() else { return };
    fs::remove_file(view.real("/work/.env")).expect("host");
    view.put("/work/a", "A=1\n");
    view.put("/work/b/c", "A=1\n");
    mask(&view, "/work/conf/**");
    let files = ["/work/a", "/work/b/c"].map(|path| {
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .open(view.at(path))
            .expect("open")
    });
    fs::rename(view.at("/work/a"), view.at("/work/.env")).expect("rename");
    fs::rename(view.at("/work/b"), view.at("/work/conf")).expect("rename");
    // In place, as `>` does.
    for path in ["/work/.env", "/work/conf/c"] {
        fs::write(view.real(path), PLAIN).expect("host");
    }
    for file in &files {
        let mut place = [0; 100];
        let count = file.read_at(&mut place, 0).expect("read");
        assert!(!String::from_utf8_lossy(&place[..count]).contains("hunter"));
        assert_eq!(errno(file.write_at(b"COLOR___=", 4)), Errno::PERM);
    }
    assert_eq!(text(&view.at("/work/.env")), MASKED);
    assert_eq!(text(&view.real("/work/.env")), PLAIN);
}

#[test]
fn what_cannot_be_masked_is_not_given() {
    let Some(view) = masked() else { return };
    fs::write(view.real("/work/.env.gz"), b"\x1f\x8b\x08\0compressed").expect("host");
    assert_eq!(errno(fs::read(view.at("/work/.env.gz"))), Errno::ACCESS);
    let long = File::create(view.real("/work/.env.long")).expect("host");
    long.set_len(17 << 20).expect("host");
    assert_eq!(errno(fs::read(view.at("/work/.env.long"))), Errno::FBIG);
    let told = |why| {
        view.rules
            .reports(|seen| matches!(seen, Observation::Masked { why: seen, .. } if *seen == why))
    };
    assert!(told(MaskRefusal::Opaque) > 0 && told(MaskRefusal::TooLong) > 0);
}

#[test]
fn what_is_masked_is_not_destroyed() {
    let Some(view) = masked() else { return };
    let env = view.at("/work/.env");
    view.put("/work/new", "PASSWORD=other\n");
    let written = |options: &mut fs::OpenOptions, text: &str| {
        let mut file = options.open(&env)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let refused = |options: &mut fs::OpenOptions, text| errno(written(options, text));
    assert_eq!(
        refused(File::options().write(true), "A=1\nPASSWORD=hunter2"),
        Errno::PERM
    );
    let mut emptied = File::options();
    emptied.write(true).truncate(true);
    assert_eq!(refused(&mut emptied, "A=1\n"), Errno::PERM);
    assert_eq!(
        errno(File::options().write(true).open(&env).and_then(|file| {
            file.set_len(0)?;
            file.sync_all()
        })),
        Errno::PERM
    );
    // Nothing is written, so nothing is refused to whoever opened it; it stays as it was.
    drop(emptied.open(&env).expect("open"));
    assert_eq!(errno(fs::remove_file(&env)), Errno::PERM);
    assert_eq!(errno(fs::rename(view.at("/work/new"), &env)), Errno::PERM);
    assert_eq!(
        errno(fs::rename(&env, view.at("/work/open"))),
        Errno::ACCESS
    );
    assert_eq!(
        errno(fs::hard_link(&env, view.at("/work/open"))),
        Errno::ACCESS
    );
    assert_eq!(text(&view.real("/work/.env")), PLAIN);
    // Under a name where it is masked too, it may be.
    fs::rename(&env, view.at("/work/.env.old")).expect("rename");
    assert_eq!(text(&view.at("/work/.env.old")), MASKED);
    // What hides nothing may go.
    view.put("/work/.env.empty", "A=1\n");
    fs::remove_file(view.at("/work/.env.empty")).expect("remove");
}

#[test]
fn a_tree_is_not_moved_to_where_it_is_masked_less() {
    let Some(view) = Fixture::whole() else { return };
    mask(&view, "/work/conf/**");
    view.put("/work/conf/sub/f", PLAIN);
    let (from, to) = (view.at("/work/conf"), view.at("/work/other"));
    assert_eq!(errno(fs::rename(from, to)), Errno::ACCESS);
    assert_eq!(text(&view.at("/work/conf/sub/f")), MASKED);
}

#[test]
fn pages_of_a_mapping_are_masked_too() {
    let Some(view) = masked() else { return };
    let program = "import mmap,sys\n\
        f=open(sys.argv[1],'rb')\n\
        m=mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)\n\
        sys.stdout.write(m[:].decode())\n";
    let output = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(view.at("/work/.env"))
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: needs python3");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), MASKED);
    assert!(eventually(|| text(&view.real("/work/.env")) == PLAIN));
}
