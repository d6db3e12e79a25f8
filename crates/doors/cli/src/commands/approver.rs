//! `valetkey approver`: the person's own key, and who may answer.

use std::time::Duration;

use valetkey_api::{Appoint, AppointmentList, Dismiss};
use valetkey_approval::{Approver, visible};
use valetkey_approver::{
    ApproverError, KeyFile, LIFE_DEFAULT, Protection, Unlock, add, approvers, keep_unlocked, lock,
    remove, unlocked_until,
};
use valetkey_sys::account;

use crate::approver::{asker, make, me};
use crate::args::{ApproverCommand, ListArgs, PassphraseArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Runs one of the commands.
pub(crate) fn command(command: ApproverCommand) -> Result<(), Fail> {
    match command {
        ApproverCommand::Init {
            name,
            no_passphrase,
            passphrase,
        } => init(name.as_deref(), no_passphrase, &passphrase),
        ApproverCommand::ShowKey(args) => show_key(&args),
        ApproverCommand::Passphrase { remove, passphrase } => protect(remove, &passphrase),
        ApproverCommand::Unlock { life, passphrase } => unlock(life, &passphrase),
        ApproverCommand::Lock => lock_again(),
        ApproverCommand::List(args) => list(&args),
        ApproverCommand::Add {
            name,
            key,
            roles,
            passphrase,
        } => register(name, key, roles, &passphrase),
        ApproverCommand::Appoint {
            name,
            roles,
            for_user,
        } => appoint(Appoint {
            name,
            roles,
            for_user,
        }),
        ApproverCommand::Dismiss { name, for_user } => dismiss(&Dismiss { name, for_user }),
        ApproverCommand::Remove { name, passphrase } => unregister(&name, &passphrase),
    }
}

/// The person's key file, which must be there.
fn own() -> Result<KeyFile, Fail> {
    Ok(KeyFile::load(&home::paths()?)?.ok_or(ApproverError::NoKey)?)
}

fn init(name: Option<&str>, open: bool, passphrase: &PassphraseArgs) -> Result<(), Fail> {
    let paths = home::paths()?;
    // Before a passphrase is typed in vain.
    if KeyFile::load(&paths)?.is_some() {
        return Err(ApproverError::Exists(KeyFile::path(&paths)).into());
    }
    let (file, _key) = if open {
        KeyFile::create(&paths, name, Protection::None)?
    } else {
        make(&paths, name, &mut *asker(passphrase.passphrase_fd)?)?
    };
    print_key(&file);
    Ok(())
}

fn show_key(args: &ListArgs) -> Result<(), Fail> {
    let file = own()?;
    if args.json {
        out::json(
            &serde_json::json!({"name": file.name(), "public_key": file.public_key(), "protected": file.is_protected()}),
        );
    } else {
        print_key(&file);
    }
    Ok(())
}

fn print_key(file: &KeyFile) {
    out::line(file.public_key());
    out::error(&format!(
        "an owner registers it: valetkey approver add {} --key {} --role ROLE",
        file.name(),
        file.public_key()
    ));
}

fn protect(open: bool, passphrase: &PassphraseArgs) -> Result<(), Fail> {
    let file = own()?;
    let mut ask = asker(passphrase.passphrase_fd)?;
    // The passphrase is asked for even while the key is unlocked: whoever finds the desk alone must not lock its owner out.
    let key = file.unlock_with_passphrase_if_protected(&mut *ask)?;
    let new = if open {
        None
    } else {
        ask.new_one(file.name())?
    };
    let changed = match &new {
        Some(passphrase) => {
            passphrase.check_strength(file.name())?;
            file.protect(&key, Protection::Passphrase(passphrase))
        }
        None => file.protect(&key, Protection::None),
    }?;
    // What was unlocked under the old passphrase ends with it; without a key store nothing is.
    if let Err(error) = lock(&changed)
        && unlocked_until(&changed) != Unlock::NoKeyStore
    {
        return Err(error.into());
    }
    out::line(if changed.is_protected() {
        "your approver key is under the new passphrase"
    } else {
        "your approver key has no passphrase: whoever reads its file can approve as you"
    });
    Ok(())
}

fn unlock(life: Option<Duration>, passphrase: &PassphraseArgs) -> Result<(), Fail> {
    let file = own()?;
    if !file.is_protected() {
        out::line("your approver key has no passphrase: there is nothing to unlock");
        return Ok(());
    }
    let key = file.unlock_with_passphrase_if_protected(&mut *asker(passphrase.passphrase_fd)?)?;
    let until = keep_unlocked(&key, life.unwrap_or(LIFE_DEFAULT))?;
    out::line(&format!("unlocked until {until}"));
    Ok(())
}

fn lock_again() -> Result<(), Fail> {
    let was = lock(&own()?)?;
    out::line(if was { "locked" } else { "it was not unlocked" });
    Ok(())
}

fn list(args: &ListArgs) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let known = approvers(&mut operator)?;
    let appointed: AppointmentList = operator.get("/v1/appointments")?;
    if args.json {
        if appointed.appointments.is_empty() {
            out::json(&known.iter().collect::<Vec<_>>());
        } else {
            out::json(&serde_json::json!({
                "approvers": known.iter().collect::<Vec<_>>(),
                "appointments": appointed.appointments,
            }));
        }
        return Ok(());
    }
    if known.is_empty() {
        out::error("nobody is registered yet: the first who answers becomes the owner");
    }
    for one in known.iter() {
        out::line(&format!(
            "{:<20} {:<30} {}",
            visible(&one.name),
            visible(&one.roles.join(",")),
            visible(&one.public_key)
        ));
    }
    for one in &appointed.appointments {
        let whose = match one.for_uid {
            Some(uid) => format!("for {}", visible(&account::by_uid(uid).name)),
            None => "for everyone else".to_owned(),
        };
        out::line(&format!(
            "{:<20} {:<30} appointed by root, {whose}",
            visible(&one.name),
            visible(&one.roles.join(","))
        ));
    }
    Ok(())
}

fn register(
    name: String,
    key: String,
    roles: Vec<String>,
    passphrase: &PassphraseArgs,
) -> Result<(), Fail> {
    let new = Approver {
        name,
        roles,
        public_key: key,
    };
    if !new.is_usable() {
        return Err(Fail::new(Status::Usage, "the name, a role or the public key is not usable").hinted(
            "names and roles are 1 to 64 of `A-Z a-z 0-9 . _ @ + -`; `valetkey approver show-key` prints a key",
        ));
    }
    let mut operator = home::operator()?;
    let mut ask = asker(passphrase.passphrase_fd)?;
    let me = me(&mut operator, &home::paths()?, &mut *ask)?;
    add(&mut operator, &me.key, new.clone())?;
    out::line(&format!(
        "`{}` may answer now, as {}",
        new.name,
        new.roles.join(", ")
    ));
    Ok(())
}

fn appoint(what: Appoint) -> Result<(), Fail> {
    home::operator()?.post::<_, ()>("/v1/appointments", &what)?;
    out::line(&format!(
        "`{}` may answer now for the sessions of {}, as {}, with the key that they register themselves",
        what.name,
        what.for_user.as_deref().unwrap_or("everyone else"),
        what.roles.join(", ")
    ));
    Ok(())
}

fn dismiss(what: &Dismiss) -> Result<(), Fail> {
    home::operator()?.post::<_, ()>("/v1/appointments/remove", what)?;
    out::line(&format!(
        "`{}` does not answer for them any more",
        what.name
    ));
    Ok(())
}

fn unregister(name: &str, passphrase: &PassphraseArgs) -> Result<(), Fail> {
    let mut operator = home::operator()?;
    let mut ask = asker(passphrase.passphrase_fd)?;
    let me = me(&mut operator, &home::paths()?, &mut *ask)?;
    let gone = remove(&mut operator, &me.key, name)?;
    out::line(&format!("`{}` may not answer any more", gone.name));
    Ok(())
}
