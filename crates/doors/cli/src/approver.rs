//! The person's own approver key, as the commands use it: made when it is first needed, unlocked, known to the broker.

use std::os::fd::RawFd;

use valetkey_api::{Client, Paths};
use valetkey_approver::{
    ApproverError, AskPassphrase, FromDescriptor, KeyFile, OpenedAnew, Protection, Registration,
    Terminal, Unlocked, default_name, register,
};

use crate::fail::Fail;
use crate::out;

/// A key and the name under which it answers.
pub(crate) struct Me {
    pub(crate) name: String,
    pub(crate) key: Unlocked,
}

/// Where passphrases come from: the descriptor that the command line names, else the terminal.
pub(crate) fn asker(descriptor: Option<RawFd>) -> Result<Box<dyn AskPassphrase>, Fail> {
    Ok(match descriptor {
        Some(number) => Box::new(FromDescriptor::new(number)?),
        None => Box::new(Terminal),
    })
}

/// The person's key, registered with the broker and unlocked. Where there is none yet, a person at a terminal makes one now.
pub(crate) fn me(
    operator: &mut Client,
    paths: &Paths,
    ask: &mut dyn AskPassphrase,
) -> Result<Me, Fail> {
    let (file, made) = match KeyFile::load(paths)? {
        Some(file) => (file, None),
        None => {
            let (file, made) = make(paths, None, ask)?;
            (file, Some(made))
        }
    };
    // Before the passphrase is asked for: it would be typed in vain.
    let registration = register(operator, &file)?;
    if let Registration::First(name) = &registration {
        out::error(&format!(
            "note: your approver key is registered as `{name}`"
        ));
    }
    let key = match made {
        Some(key) => key,
        None => file.unlock(ask)?,
    };
    Ok(Me {
        name: registration.name().to_owned(),
        key,
    })
}

/// The person's name and key, with the passphrase asked for even while the key is unlocked: for what is not done in passing.
pub(crate) fn me_anew(
    operator: &mut Client,
    paths: &Paths,
    ask: &mut dyn AskPassphrase,
) -> Result<(String, OpenedAnew), Fail> {
    let file = KeyFile::load(paths)?.ok_or(ApproverError::NoKey)?;
    let registration = register(operator, &file)?;
    let key = file.open_anew(ask)?;
    Ok((registration.name().to_owned(), key))
}

/// Makes a key, protected as the person says. Nobody to ask is an error, never an unprotected key.
pub(crate) fn make(
    paths: &Paths,
    name: Option<&str>,
    ask: &mut dyn AskPassphrase,
) -> Result<(KeyFile, Unlocked), Fail> {
    let own = name.map_or_else(default_name, str::to_owned);
    let passphrase = match ask.new_one(&own) {
        Err(ApproverError::NoTerminal) => return Err(ApproverError::NoKey.into()),
        other => other?,
    };
    let made = match &passphrase {
        Some(passphrase) => {
            passphrase.check_strength(&own)?;
            KeyFile::create(paths, name, Protection::Passphrase(passphrase))
        }
        None => KeyFile::create(paths, name, Protection::None),
    }?;
    if passphrase.is_none() {
        out::error(
            "note: your approver key has no passphrase: whoever reads its file can approve as you",
        );
    }
    Ok(made)
}
