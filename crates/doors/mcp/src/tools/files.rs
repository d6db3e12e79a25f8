//! Reading, writing, moving and describing files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding as _};
use rmcp::model::{ContentBlock, ResourceContents};
use serde::Deserialize;
use serde_json::{Value, json};
use valetkey_client::{Action, ActionSet, Timestamp};

use super::{BAD, Done, read};
use crate::access;
use crate::fail::Fail;
use crate::name::resolve;

/// The most bytes of a file that one call gives: far more than a model can read, less than would fill this process.
const READ_BYTES_MAX: u64 = 64 << 20;
/// How much of a file's end is read at a time.
const CHUNK: usize = 64 << 10;

#[derive(Deserialize)]
struct ReadText {
    path: String,
    head: Option<f64>,
    tail: Option<f64>,
}

pub(super) fn read_text(arguments: Value) -> Result<Done, Fail> {
    let wanted: ReadText = read(arguments)?;
    let path = resolve(&wanted.path)?;
    let text = match (lines(wanted.head), lines(wanted.tail)) {
        (Some(_), Some(_)) => {
            return Err(Fail::said(
                "Cannot specify both head and tail parameters simultaneously",
            ));
        }
        (Some(head), None) => first_lines(&path, head),
        (None, Some(tail)) => last_lines(&path, tail),
        (None, None) => whole(&path),
    };
    Ok(Done::text(text?))
}

/// A number of lines; nothing where none are asked for.
fn lines(number: Option<f64>) -> Option<usize> {
    let number = number.filter(|number| number.is_finite() && *number > 0.0)?;
    // By its digits, since no conversion of floats is exact for all.
    format!("{:.0}", number.ceil()).parse().ok()
}

/// All of a text; bytes that are none become U+FFFD.
pub(super) fn whole(path: &Path) -> Result<String, Fail> {
    Ok(String::from_utf8_lossy(&bytes_of(path)?).into_owned())
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Fail> {
    let file = File::open(path).map_err(Fail::of("open", path))?;
    if file.metadata().is_ok_and(|meta| meta.is_dir()) {
        let error = io::Error::from(rustix::io::Errno::ISDIR);
        return Err(Fail::of("read", path)(error));
    }
    let mut bytes = Vec::new();
    let mut limited = file.take(READ_BYTES_MAX.saturating_add(1));
    limited
        .read_to_end(&mut bytes)
        .map_err(Fail::of("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size > READ_BYTES_MAX) {
        return Err(Fail::said(format!(
            "the file has more than {READ_BYTES_MAX} bytes; read its first or last lines with head or tail"
        )));
    }
    Ok(bytes)
}

fn first_lines(path: &Path, wanted: usize) -> Result<String, Fail> {
    let file = File::open(path).map_err(Fail::of("open", path))?;
    let mut reader = io::BufReader::new(file.take(READ_BYTES_MAX));
    let mut lines = Vec::new();
    while lines.len() < wanted {
        let mut line = Vec::new();
        let read = io::BufRead::read_until(&mut reader, b'\n', &mut line);
        if read.map_err(Fail::of("read", path))? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        lines.push(String::from_utf8_lossy(&line).into_owned());
    }
    Ok(lines.join("\n"))
}

fn last_lines(path: &Path, wanted: usize) -> Result<String, Fail> {
    let mut file = File::open(path).map_err(Fail::of("open", path))?;
    let mut left = file
        .seek(SeekFrom::End(0))
        .map_err(Fail::of("read", path))?;
    // In the file's order, the last part first.
    let mut parts: Vec<Vec<u8>> = Vec::new();
    let (mut breaks, mut total) = (0_usize, 0_u64);
    while left > 0 && breaks < wanted && total < READ_BYTES_MAX {
        let size = left.min(u64::try_from(CHUNK).unwrap_or(left));
        left = left.saturating_sub(size);
        total = total.saturating_add(size);
        let mut part = vec![0; usize::try_from(size).unwrap_or(CHUNK)];
        file.seek(SeekFrom::Start(left))
            .and_then(|_| file.read_exact(&mut part))
            .map_err(Fail::of("read", path))?;
        let here = part.iter().filter(|byte| **byte == b'\n').count();
        breaks = breaks.saturating_add(here);
        parts.push(part);
    }
    parts.reverse();
    let text = String::from_utf8_lossy(&parts.concat()).replace("\r\n", "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let skipped = lines.len().saturating_sub(wanted);
    let kept: Vec<&str> = lines.into_iter().skip(skipped).collect();
    Ok(kept.join("\n"))
}

#[derive(Deserialize)]
struct OnePath {
    path: String,
}

/// Media types by the end of the name, as the reference server has them.
const MEDIA: [(&str, &str); 11] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("bmp", "image/bmp"),
    ("svg", "image/svg+xml"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
];

pub(super) fn read_media(arguments: Value) -> Result<Done, Fail> {
    let path = resolve(&read::<OnePath>(arguments)?.path)?;
    let end = path
        .extension()
        .map(|end| end.to_string_lossy().to_lowercase());
    let known = MEDIA
        .iter()
        .find(|(own, _)| end.as_deref() == Some(*own))
        .map(|(_, kind)| *kind);
    let kind = known.unwrap_or("application/octet-stream");
    let data = Base64::encode_string(&bytes_of(&path)?);
    let (block, structured) = if kind.starts_with("image/") {
        (
            ContentBlock::image(data.clone(), kind),
            json!({"type": "image", "data": data, "mimeType": kind}),
        )
    } else if kind.starts_with("audio/") {
        (
            ContentBlock::audio(data.clone(), kind),
            json!({"type": "audio", "data": data, "mimeType": kind}),
        )
    } else {
        let uri = file_url(&path);
        let contents = ResourceContents::blob(data.clone(), uri.clone()).with_mime_type(kind);
        (
            ContentBlock::resource(contents),
            json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "blob": data}}),
        )
    };
    Ok(Done {
        content: vec![block],
        structured: json!({"content": [structured]}),
    })
}

fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        let plain = byte.is_ascii_graphic() && !b"\"#%<>?\\^`{|}".contains(byte);
        if plain {
            url.push(char::from(*byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[derive(Deserialize)]
struct ManyPaths {
    paths: Vec<String>,
}

pub(super) fn read_several(arguments: Value) -> Result<Done, Fail> {
    let wanted: ManyPaths = read(arguments)?;
    if wanted.paths.is_empty() {
        let why = format!("{BAD}At least one file path must be provided");
        return Err(Fail::said(why));
    }
    let one = |written: &String| match resolve(written).and_then(|path| whole(&path)) {
        Ok(text) => format!("{written}:\n{text}\n"),
        Err(fail) => format!("{written}: Error - {}", fail.line()),
    };
    let all: Vec<String> = wanted.paths.iter().map(one).collect();
    Ok(Done::text(all.join("\n---\n")))
}

#[derive(Deserialize)]
struct Write {
    path: String,
    content: String,
}

pub(super) fn write(arguments: Value) -> Result<Done, Fail> {
    let wanted: Write = read(arguments)?;
    let path = resolve(&wanted.path)?;
    store(&path, wanted.content.as_bytes())?;
    Ok(Done::text(format!("Successfully wrote to {}", wanted.path)))
}

/// Puts `content` where the file is, or makes one. Where the directory may be written too, readers see the old content or the new.
pub(super) fn store(path: &Path, content: &[u8]) -> Result<(), Fail> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    match made {
        Ok(mut file) => file.write_all(content).map_err(Fail::of("write", path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => replace(path, content),
        // Not to be made may still be to be written: the view says which.
        Err(error) if path.symlink_metadata().is_ok() => {
            overwrite(path, content).map_err(|_| Fail::of("open", path)(error))
        }
        Err(error) => Err(Fail::of("open", path)(error)),
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<(), Fail> {
    let beside = beside(path);
    let needed = ActionSet::of(&[Action::Create, Action::Write, Action::Delete]);
    // Whoever may write the file alone is not to ask a person about another name beside it.
    if !access::is_given(&beside, needed) || !access::is_given(path, needed) {
        return overwrite(path, content).map_err(Fail::of("open", path));
    }
    let mode = fs::metadata(path).map_err(Fail::of("stat", path))?.mode() & 0o777;
    let put = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    if let Err(error) = put() {
        // Nothing is left behind if it can be helped; the failure that counts is the first.
        drop(fs::remove_file(&beside));
        return Err(Fail::of("rename", path)(error));
    }
    let now = fs::metadata(path).map(|meta| meta.mode() & 0o777);
    if now.is_ok_and(|now| now != mode) {
        // As the reference server does: what was written is written, with or without its mode.
        drop(fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    }
    Ok(())
}

fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write_all(content)
}

/// A name beside the file that nobody has taken.
fn beside(path: &Path) -> PathBuf {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let number = now.map(|now| now.as_nanos()).unwrap_or_default();
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    path.with_file_name(name)
}

pub(super) fn make_directory(arguments: Value) -> Result<Done, Fail> {
    let wanted: OnePath = read(arguments)?;
    let path = resolve(&wanted.path)?;
    fs::create_dir_all(&path).map_err(Fail::of("mkdir", &path))?;
    Ok(Done::text(format!(
        "Successfully created directory {}",
        wanted.path
    )))
}

#[derive(Deserialize)]
struct Move {
    source: String,
    destination: String,
}

pub(super) fn move_to(arguments: Value) -> Result<Done, Fail> {
    let wanted: Move = read(arguments)?;
    let source = resolve(&wanted.source)?;
    let destination = resolve(&wanted.destination)?;
    if destination.symlink_metadata().is_ok() {
        return Err(Fail::said(format!(
            "Destination already exists: {}",
            destination.display()
        )));
    }
    fs::rename(&source, &destination).map_err(Fail::of("rename", &source))?;
    Ok(Done::text(format!(
        "Successfully moved {} to {}",
        wanted.source, wanted.destination
    )))
}

pub(super) fn information(arguments: Value) -> Result<Done, Fail> {
    let path = resolve(&read::<OnePath>(arguments)?.path)?;
    let meta = fs::metadata(&path).map_err(Fail::of("stat", &path))?;
    let created = meta.created().ok().and_then(|time| {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    });
    // A file system without times of birth has the last change of the entry.
    let created = created.unwrap_or_else(|| meta.ctime());
    let text = format!(
        "size: {}\ncreated: {}\nmodified: {}\naccessed: {}\nisDirectory: {}\nisFile: {}\npermissions: {:03o}",
        meta.len(),
        date(created),
        date(meta.mtime()),
        date(meta.atime()),
        meta.is_dir(),
        meta.is_file(),
        meta.mode() & 0o777,
    );
    Ok(Done::text(text))
}

/// A time as the reference server writes it, in UTC.
fn date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let weekday = usize::try_from((seconds / 86_400) % 7)
        .ok()
        .and_then(|day| DAYS.get(day))
        .copied()
        .unwrap_or_default();
    let text = Timestamp::from_unix_seconds(seconds).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7)
        .parse::<usize>()
        .ok()
        .and_then(|month| MONTHS.get(month.checked_sub(1)?))
        .copied()
        .unwrap_or_default();
    format!(
        "{weekday} {month} {} {} {} GMT+0000 (Coordinated Universal Time)",
        part(8, 10),
        part(0, 4),
        part(11, 19)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_other_servers_do() {
        let text = date(1_700_000_000);
        assert_eq!(
            text,
            "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)"
        );
        assert_eq!(
            date(0),
            "Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)"
        );
    }

    #[test]
    fn lines_are_counted_from_either_end() {
        let dir = std::env::temp_dir().join(format!("valetkey-mcp-lines-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("make");
        let path = dir.join("a.txt");
        for (content, wanted, head, tail) in [
            ("a\nb\nc", 2, "a\nb", "b\nc"),
            ("a\nb\nc\n", 2, "a\nb", "c\n"),
            ("a\r\nb\r\n", 1, "a\r", ""),
            ("", 3, "", ""),
            ("one", 9, "one", "one"),
        ] {
            fs::write(&path, content).expect("write");
            assert_eq!(first_lines(&path, wanted).expect("head"), head);
            assert_eq!(last_lines(&path, wanted).expect("tail"), tail);
        }
        let long = "x\n".repeat(CHUNK);
        fs::write(&path, &long).expect("write");
        assert_eq!(last_lines(&path, 3).expect("tail"), "x\nx\n");
        fs::remove_dir_all(&dir).expect("remove");
        assert_eq!(lines(Some(0.0)), None);
        assert_eq!(lines(Some(-1.0)), None);
        assert_eq!(lines(Some(1.5)), Some(2));
    }

    #[test]
    fn urls_of_files_are_escaped() {
        assert_eq!(
            file_url(Path::new("/a b/ä%#.bin")),
            "file:///a%20b/%C3%A4%25%23.bin"
        );
    }
}
