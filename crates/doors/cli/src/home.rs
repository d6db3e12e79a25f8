//! This home's broker, as the commands reach it.

use valetkey_api::{Client, Paths};

use crate::fail::{Fail, Status};

/// The directories as the environment says.
pub(crate) fn paths() -> Result<Paths, Fail> {
    Paths::from_env().map_err(|error| Fail::new(Status::Failed, error))
}

/// The operator door of a running broker.
pub(crate) fn operator() -> Result<Client, Fail> {
    let client = Client::connect(&paths()?.operator_socket())?;
    client
        .set_timeout(Some(std::time::Duration::from_secs(10)))
        .map_err(|error| Fail::new(Status::NoBroker, error))?;
    Ok(client)
}
