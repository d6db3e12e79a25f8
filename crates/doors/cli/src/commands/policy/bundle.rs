//! `valetkey policy bundle`: archives of policy, made, signed, verified and shown.

use std::path::Path;

use serde_json::json;
use valetkey_approval::visible;
use valetkey_policy::{Bundle, BundleLimits, PolicySet};
use valetkey_rollout::{
    BundleKey, SIGNATURES_FILE, Signer, claimed_signer, hash_of, read_public_key, sign, verify,
};

use super::archive::{self, Files};
use crate::args::{BuildArgs, BundleCommand, KeyArgs, ShowBundleArgs, SignArgs, VerifyBundleArgs};
use crate::fail::{Fail, Status};
use crate::out;

/// Most bytes of a key file.
const KEY_MAX_BYTES: usize = 4096;

pub(super) fn command(command: BundleCommand) -> Result<u8, Fail> {
    match command {
        BundleCommand::Build(args) => build(args),
        BundleCommand::Sign(args) => sign_bundle(&args),
        BundleCommand::Verify(args) => verify_bundle(&args),
        BundleCommand::Show(args) => show(&args),
        BundleCommand::Key { out } => make_key(&out),
    }
}

/// A bundle that can decide; what is wrong with it is said with its place.
pub(super) fn load(path: &Path, files: &Files) -> Result<Bundle, Fail> {
    let bundle = Bundle::from_files(files.clone(), BundleLimits::default())
        .and_then(|bundle| PolicySet::new(&bundle).map(|_| bundle));
    bundle.map_err(|error| {
        archive::refused(path, &error)
            .hinted("`valetkey policy check` says all that is wrong with it")
    })
}

fn build(args: BuildArgs) -> Result<u8, Fail> {
    let mut files = archive::read(&args.dir)?;
    if let Some(revision) = args.revision {
        revise(&mut files, revision)?;
    }
    // Made anew: what was signed was the directory.
    files.retain(|(path, _)| path != SIGNATURES_FILE);
    let bundle = load(&args.dir, &files)?;
    if let Some(key) = args.key {
        add_signature(&mut files, &KeyArgs { key, kid: args.kid })?;
    }
    archive::write_archive(&args.out, &files)?;
    out::line(&format!("{}  {}", bundle.digest(), args.out.display()));
    Ok(0)
}

/// Puts the revision into the manifest, which is made if there is none.
fn revise(files: &mut Files, revision: u64) -> Result<(), Fail> {
    let at = files.iter().position(|(path, _)| path == ".manifest");
    let old = at.map_or(b"{}".to_vec(), |at| files.swap_remove(at).1);
    let fail = |error: serde_json::Error| Fail::new(Status::Usage, format!("`.manifest`: {error}"));
    let mut manifest: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&old).map_err(fail)?;
    manifest.insert("revision".to_owned(), revision.to_string().into());
    let mut text = serde_json::to_vec_pretty(&manifest).map_err(fail)?;
    text.push(b'\n');
    files.push((".manifest".to_owned(), text));
    Ok(())
}

fn add_signature(files: &mut Files, args: &KeyArgs) -> Result<(), Fail> {
    files.retain(|(path, _)| path != SIGNATURES_FILE);
    let text = archive::bounded(&args.key, KEY_MAX_BYTES)
        .map_err(|error| archive::refused(&args.key, &error))?;
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(&text).into_owned());
    let key = BundleKey::from_pem(&text).map_err(|error| archive::refused(&args.key, &error))?;
    let signature =
        sign(files, &key, &args.kid).map_err(|error| Fail::new(Status::Usage, error))?;
    files.push((SIGNATURES_FILE.to_owned(), signature));
    Ok(())
}

fn sign_bundle(args: &SignArgs) -> Result<u8, Fail> {
    let mut files = archive::read(&args.bundle)?;
    load(&args.bundle, &files)?;
    add_signature(&mut files, &args.key)?;
    if args.bundle.is_dir() {
        let path = args.bundle.join(SIGNATURES_FILE);
        let text = files.last().map(|(_, text)| text.as_slice());
        valetkey_store::write_atomically(&path, text.unwrap_or_default(), 0o644)
            .map_err(|error| archive::refused(&path, &error))?;
    } else {
        archive::write_archive(&args.bundle, &files)?;
    }
    out::line(&format!("signed as `{}`", visible(&args.key.kid)));
    Ok(0)
}

fn verify_bundle(args: &VerifyBundleArgs) -> Result<u8, Fail> {
    let files = archive::read(&args.bundle)?;
    let path = Path::new(&args.key);
    let text = if path.is_file() {
        let bytes = archive::bounded(path, KEY_MAX_BYTES)
            .map_err(|error| archive::refused(path, &error))?;
        String::from_utf8_lossy(&bytes).into_owned()
    } else {
        args.key.clone()
    };
    let public_key = read_public_key(&text).map_err(|error| Fail::new(Status::Usage, error))?;
    let signer = Signer {
        kid: args.kid.clone(),
        public_key,
    };
    let by = verify(&files, &[signer]).map_err(|error| {
        let text = format!("{}: {}", args.bundle.display(), visible(&error.to_string()));
        Fail::new(Status::NotVerified, text)
    })?;
    let bundle = load(&args.bundle, &files)?;
    if args.json {
        out::json(
            &json!({"signed_by": by.kid(), "digest": bundle.digest(), "revision": bundle.manifest().revision}),
        );
    } else {
        out::line(&format!(
            "{}  as `{}` signed it",
            bundle.digest(),
            visible(by.kid())
        ));
    }
    Ok(0)
}

fn show(args: &ShowBundleArgs) -> Result<u8, Fail> {
    let files = archive::read(&args.bundle)?;
    let bundle = load(&args.bundle, &files)?;
    let mut listed = Vec::new();
    for (path, content) in &files {
        if path != SIGNATURES_FILE {
            let hash = hash_of(path, content).map_err(|error| Fail::new(Status::Usage, error))?;
            listed.push((path, content.len(), hash));
        }
    }
    listed.sort();
    let signature = files.iter().find(|(path, _)| path == SIGNATURES_FILE);
    let claimed = signature.map(|(_, text)| claimed_signer(text).unwrap_or_default());
    let manifest = bundle.manifest();
    if args.json {
        let files = listed
            .iter()
            .map(|(path, bytes, hash)| json!({"path": path, "bytes": bytes, "sha256": hash}));
        out::json(&json!({
            "digest": bundle.digest(), "revision": manifest.revision, "roots": manifest.roots, "signature_names": claimed,
            "files": files.collect::<Vec<_>>(),
        }));
        return Ok(0);
    }
    out::line(&format!("digest      {}", bundle.digest()));
    out::line(&format!("revision    {}", visible(&manifest.revision)));
    out::line(&format!(
        "roots       {}",
        visible(&manifest.roots.join(" "))
    ));
    out::line(&match claimed {
        Some(kid) => format!("signature   says `{}`; not verified here", visible(&kid)),
        None => "signature   none".to_owned(),
    });
    for (path, bytes, hash) in listed {
        out::line(&format!("{hash}  {bytes:>8}  {}", visible(path)));
    }
    Ok(0)
}

fn make_key(path: &Path) -> Result<u8, Fail> {
    let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|error| Fail::new(Status::Failed, format!("no randomness: {error}")))?;
    let pem = zeroize::Zeroizing::new(valetkey_rollout::secret_pem(&seed));
    if path.exists() {
        return Err(archive::refused(path, &"there is a file already"));
    }
    valetkey_store::write_atomically(path, pem.as_bytes(), 0o600)
        .map_err(|error| archive::refused(path, &error))?;
    let key = BundleKey::from_pem(&pem).map_err(|error| archive::refused(path, &error))?;
    out::line(&key.public_key());
    Ok(0)
}
