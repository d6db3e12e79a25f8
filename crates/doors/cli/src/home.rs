//! This home's broker, as the commands reach it.

use valetkey_api::{Client, Mode, Paths};

use crate::fail::{Fail, SYSTEM_BROKER, Status};

/// The directories as the environment says.
pub(crate) fn paths() -> Result<Paths, Fail> {
    Paths::from_env().map_err(|error| Fail::new(Status::Failed, error))
}

/// Refuses where the log is the system broker's and this process may not read it.
pub(crate) fn may_read_log(paths: &Paths) -> Result<(), Fail> {
    match std::fs::read_dir(paths.log()) {
        Err(error)
            if error.kind() == std::io::ErrorKind::PermissionDenied
                && paths.mode == Mode::System =>
        {
            let log = paths.log();
            Err(Fail::new(
                Status::Denied,
                format!("the log in {} is the system broker's: you may not read it", log.display()),
            )
            .hinted("read it as root (`sudo valetkey audit …`), or have a copy made and give `--log DIR`"))
        }
        _ => Ok(()),
    }
}

/// The operator door of a running broker.
pub(crate) fn operator() -> Result<Client, Fail> {
    let paths = paths()?;
    let client = Client::connect(&paths.operator_socket()).map_err(|error| match paths.mode {
        Mode::User => Fail::from(error),
        Mode::System => Fail::new(Status::NoBroker, error).hinted(SYSTEM_BROKER),
    })?;
    client
        .set_timeout(Some(std::time::Duration::from_secs(10)))
        .map_err(|error| Fail::new(Status::NoBroker, error))?;
    Ok(client)
}
