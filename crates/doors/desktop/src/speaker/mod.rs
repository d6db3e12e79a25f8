//! The process that speaks D-Bus. Before it reads a byte of the bus it gives everything up but two sockets: it opens no file, connects to
//! nothing, starts no program, and knows neither broker nor key.

mod bus;
mod markup;
mod shown;

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use valetkey_sandbox::seccomp::SERVICE;
use valetkey_sandbox::{ServicePlaces, confine_service};

use crate::fail::Fail;
use crate::link::{Link, Order, wait};
use bus::{Bus, BusError};
use shown::Desktop;

/// How often waiting calls are looked over when nothing else happens.
const TICK_MS: u64 = 1000;
/// How long the desktop has to take notifications away at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Speaks until the other process ends, or the bus does.
pub(crate) fn run() -> Result<(), Fail> {
    let mut link = Link::new(UnixStream::from(
        io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(Fail::new)?,
    ));
    let address = address().map_err(no_bus)?;
    let bus = Bus::connect(&address).map_err(no_bus)?;
    confine_service(&SERVICE, &ServicePlaces::default()).map_err(|error| {
        Fail::new(format_args!(
            "cannot confine the process that speaks D-Bus: {error}"
        ))
        .hinted("notifications are not shown without; `valetkey requests` shows the questions")
    })?;
    let mut desktop = Desktop::begin(bus).map_err(no_bus)?;
    serve(&mut link, &mut desktop).map_err(no_bus)
}

fn serve(link: &mut Link, desktop: &mut Desktop) -> Result<(), BusError> {
    loop {
        let (ordered, told) = wait(&link.stream, Some(desktop.stream()), TICK_MS)?;
        if ordered {
            if !link.receive()? {
                return farewell(desktop);
            }
            while let Some(order) = link.next::<Order>()? {
                desktop.order(order)?;
            }
        }
        if told {
            desktop.listen()?;
        }
        desktop.give_up_on_the_late(Instant::now())?;
        for heard in desktop.heard() {
            link.send(&heard)?;
        }
    }
}

/// The other process is gone: so are its notifications.
fn farewell(desktop: &mut Desktop) -> Result<(), BusError> {
    desktop.close_all()?;
    let until = Instant::now().checked_add(FAREWELL);
    while desktop.is_waiting() && until.is_some_and(|until| Instant::now() < until) {
        let (told, _) = wait(desktop.stream(), None, 100)?;
        if told {
            desktop.listen()?;
        }
    }
    Ok(())
}

/// Where the session bus is, as the environment says; otherwise where systemd has it.
fn address() -> Result<String, BusError> {
    if let Some(address) = std::env::var("DBUS_SESSION_BUS_ADDRESS")
        .ok()
        .filter(|address| !address.is_empty())
    {
        return Ok(address);
    }
    let usual = std::env::var("XDG_RUNTIME_DIR")
        .map(|dir| format!("{dir}/bus"))
        .ok();
    match usual {
        Some(path) if std::path::Path::new(&path).exists() => Ok(format!("unix:path={path}")),
        _ => Err(BusError::NoAddress),
    }
}

fn no_bus(error: BusError) -> Fail {
    Fail::new(error).hinted(
        "start it in a desktop session; without one, `valetkey requests` shows the questions",
    )
}
