//! What is on the desktop: notifications that were asked for, the numbers that the desktop gave them, and who may speak about them.
//!
//! Whoever owns the name `org.freedesktop.Notifications` is the desktop. Its unique name is held against the sender of each answer and
//! signal, which the bus itself writes; what anybody else says is not heard.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zbus::Variant;

use super::bus::{Bus, BusError, Incoming, Kind, Place};
use super::markup;
use crate::link::{Button, Heard, Key, Notice, Order, Urgency};

/// Where notifications are shown.
const NOTIFICATIONS: Place = Place {
    name: "org.freedesktop.Notifications",
    path: "/org/freedesktop/Notifications",
    interface: "org.freedesktop.Notifications",
};
/// The bus itself.
const BUS: Place = Place {
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
/// What the bus is to pass on to us.
const WANTED: [&str; 2] = [
    "type='signal',sender='org.freedesktop.Notifications',interface='org.freedesktop.Notifications',path='/org/freedesktop/Notifications'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.Notifications'",
];
/// How long the desktop has for an answer. One that has to be started first needs some seconds.
const PATIENCE: Duration = Duration::from_secs(25);

/// A call that waits for its answer.
#[derive(Debug)]
enum Asked {
    Hello,
    Owner,
    Capabilities,
    Notify(Key),
    Close,
}

/// A notification that was asked for.
#[derive(Debug)]
struct Wanted {
    notice: Notice,
    at: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has been told.
    Untold,
    /// The desktop has not answered yet.
    Told,
    /// It has this number there.
    Shown(u32),
    /// It is to go as soon as its number is known.
    ToGo,
}

/// What the desktop can do.
#[derive(Clone, Copy, Debug)]
struct Abilities {
    markup: bool,
    actions: bool,
}

/// The desktop, as far as it concerns us.
#[derive(Debug)]
pub(super) struct Desktop {
    bus: Bus,
    asked: HashMap<u32, (Asked, Instant)>,
    owner: Option<String>,
    abilities: Option<Abilities>,
    wanted: BTreeMap<Key, Wanted>,
    heard: Vec<Heard>,
}

impl Desktop {
    /// Says hello, and asks what the desktop can do, which starts one that is not there yet.
    pub(super) fn begin(bus: Bus) -> Result<Self, BusError> {
        let mut desktop = Self {
            bus,
            asked: HashMap::new(),
            owner: None,
            abilities: None,
            wanted: BTreeMap::new(),
            heard: Vec::new(),
        };
        desktop.call(Asked::Hello, &BUS, "Hello", &())?;
        for rule in WANTED {
            desktop.call(Asked::Close, &BUS, "AddMatch", &rule)?;
        }
        desktop.call(Asked::Owner, &BUS, "GetNameOwner", &NOTIFICATIONS.name)?;
        desktop.ask_abilities()?;
        Ok(desktop)
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.bus.stream
    }

    /// Whether an answer is still to come.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// What the other process should know.
    pub(super) fn heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// Does what the other process wants.
    pub(super) fn order(&mut self, order: Order) -> Result<(), BusError> {
        match order {
            Order::Show(key, notice) => {
                let at = Stage::Untold;
                self.wanted.insert(key, Wanted { notice, at });
                if self.abilities.is_none() && !self.asks_abilities() {
                    self.ask_abilities()?;
                }
                self.tell_all()
            }
            Order::Close(key) => self.close(key),
        }
    }

    /// Takes everything away.
    pub(super) fn close_all(&mut self) -> Result<(), BusError> {
        let keys: Vec<Key> = self.wanted.keys().copied().collect();
        keys.into_iter().try_for_each(|key| self.close(key))
    }

    fn close(&mut self, key: Key) -> Result<(), BusError> {
        match self.wanted.get_mut(&key) {
            Some(Wanted { at, .. }) if *at == Stage::Told => {
                *at = Stage::ToGo;
                Ok(())
            }
            Some(Wanted {
                at: Stage::Shown(id),
                ..
            }) => {
                let id = *id;
                drop(self.wanted.remove(&key));
                self.call(Asked::Close, &NOTIFICATIONS, "CloseNotification", &id)
            }
            Some(_) => {
                drop(self.wanted.remove(&key));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes in what came from the bus.
    pub(super) fn listen(&mut self) -> Result<(), BusError> {
        self.bus.receive()?;
        while let Some(incoming) = self.bus.next()? {
            match incoming.kind {
                Kind::Return | Kind::Error => self.answered(&incoming)?,
                Kind::Signal if incoming.sender == BUS.name => self.bus_said(&incoming)?,
                Kind::Signal => self.signalled(&incoming),
                // Nobody is offered anything here.
                Kind::Call => {}
            }
        }
        Ok(())
    }

    /// What the desktop did not answer in time was not done, for all we know.
    pub(super) fn give_up_on_the_late(&mut self, now: Instant) -> Result<(), BusError> {
        let late: Vec<u32> = self
            .asked
            .iter()
            .filter(|(_, (_, since))| now.saturating_duration_since(*since) > PATIENCE)
            .map(|(number, _)| *number)
            .collect();
        for number in late {
            if let Some((asked, _)) = self.asked.remove(&number) {
                self.failed(&asked)?;
            }
        }
        Ok(())
    }

    fn answered(&mut self, incoming: &Incoming) -> Result<(), BusError> {
        let Some(number) = incoming.reply_to else {
            return Ok(());
        };
        let from_bus = incoming.sender == BUS.name;
        let from_desktop = self.owner.as_deref() == Some(incoming.sender.as_str());
        let asks_bus = match self.asked.get(&number) {
            Some((Asked::Hello | Asked::Owner, _)) => true,
            Some(_) => false,
            None => return Ok(()),
        };
        // The bus answers for a desktop that is not there; the desktop never for the bus.
        if !from_bus && (asks_bus || !from_desktop) {
            return Ok(());
        }
        let Some((asked, _)) = self.asked.remove(&number) else {
            return Ok(());
        };
        if incoming.kind == Kind::Error {
            return self.failed(&asked);
        }
        match asked {
            Asked::Hello => {
                self.heard.push(Heard::Ready);
                Ok(())
            }
            Asked::Close => Ok(()),
            Asked::Owner => {
                self.owner = incoming.body::<String>().filter(|name| is_unique(name));
                Ok(())
            }
            Asked::Capabilities => {
                let names: Vec<String> = incoming.body().unwrap_or_default();
                let has = |name: &str| names.iter().any(|own| own == name);
                self.abilities = Some(Abilities {
                    markup: has("body-markup"),
                    actions: has("actions"),
                });
                self.tell_all()
            }
            Asked::Notify(key) => self.shown(key, incoming.body::<u32>()),
        }
    }

    fn shown(&mut self, key: Key, id: Option<u32>) -> Result<(), BusError> {
        let Some(wanted) = self.wanted.get_mut(&key) else {
            return Ok(());
        };
        match (id, wanted.at) {
            (Some(id), Stage::Told) => wanted.at = Stage::Shown(id),
            (Some(id), Stage::ToGo) => {
                wanted.at = Stage::Shown(id);
                return self.close(key);
            }
            // A number that is none: it cannot be closed or pressed, so it is as if it were not shown.
            _ => drop(self.wanted.remove(&key)),
        }
        Ok(())
    }

    fn failed(&mut self, asked: &Asked) -> Result<(), BusError> {
        match asked {
            Asked::Hello => return Err(BusError::Refused),
            Asked::Owner => self.owner = None,
            Asked::Capabilities => self.heard.push(Heard::Nobody),
            Asked::Notify(key) => {
                if let Some(wanted) = self.wanted.get_mut(key) {
                    match wanted.at {
                        Stage::ToGo => drop(self.wanted.remove(key)),
                        // It is told again when another desktop comes.
                        Stage::Untold | Stage::Told | Stage::Shown(_) => wanted.at = Stage::Untold,
                    }
                }
                self.abilities = None;
            }
            Asked::Close => {}
        }
        Ok(())
    }

    /// The bus tells that the desktop came or went.
    fn bus_said(&mut self, incoming: &Incoming) -> Result<(), BusError> {
        if incoming.member != "NameOwnerChanged" || incoming.interface != BUS.interface {
            return Ok(());
        }
        let Some((name, _, new)) = incoming.body::<(String, String, String)>() else {
            return Ok(());
        };
        if name != NOTIFICATIONS.name {
            return Ok(());
        }
        self.owner = Some(new).filter(|new| is_unique(new));
        // What the old one showed is gone with it, and what it was asked it will not answer.
        self.asked
            .retain(|_, (asked, _)| matches!(asked, Asked::Hello | Asked::Owner));
        self.wanted.retain(|_, wanted| wanted.at != Stage::ToGo);
        for wanted in self.wanted.values_mut() {
            wanted.at = Stage::Untold;
        }
        self.abilities = None;
        if self.owner.is_some() {
            self.ask_abilities()?;
        }
        Ok(())
    }

    /// Somebody tells what became of a notification: only the desktop is heard, and only about what is there with that button.
    fn signalled(&mut self, incoming: &Incoming) {
        if self.owner.as_deref() != Some(incoming.sender.as_str())
            || incoming.interface != NOTIFICATIONS.interface
            || incoming.path != NOTIFICATIONS.path
        {
            return;
        }
        match incoming.member.as_str() {
            "ActionInvoked" => {
                let Some((id, name)) = incoming.body::<(u32, String)>() else {
                    return;
                };
                let Some(key) = self.at(id) else { return };
                let Some(wanted) = self.wanted.get(&key) else {
                    return;
                };
                if let Some(button) = button(&wanted.notice, &name) {
                    self.heard.push(Heard::Pressed(key, button));
                }
            }
            "NotificationClosed" => {
                let closed = incoming.body::<(u32, u32)>();
                if let Some(key) = closed.and_then(|(id, _)| self.at(id)) {
                    drop(self.wanted.remove(&key));
                    self.heard.push(Heard::Gone(key));
                }
            }
            _ => {}
        }
    }

    fn at(&self, id: u32) -> Option<Key> {
        self.wanted
            .iter()
            .find(|(_, wanted)| wanted.at == Stage::Shown(id))
            .map(|(key, _)| *key)
    }

    fn asks_abilities(&self) -> bool {
        self.asked
            .values()
            .any(|(asked, _)| matches!(asked, Asked::Capabilities))
    }

    fn ask_abilities(&mut self) -> Result<(), BusError> {
        self.call(Asked::Capabilities, &NOTIFICATIONS, "GetCapabilities", &())
    }

    /// Tells the desktop of what it has not been told of.
    fn tell_all(&mut self) -> Result<(), BusError> {
        let Some(abilities) = self.abilities else {
            return Ok(());
        };
        let untold: Vec<(Key, Notice)> = self
            .wanted
            .iter()
            .filter(|(_, wanted)| wanted.at == Stage::Untold)
            .map(|(key, wanted)| (*key, wanted.notice.clone()))
            .collect();
        for (key, notice) in untold {
            self.tell(key, &notice, abilities)?;
            if let Some(wanted) = self.wanted.get_mut(&key) {
                wanted.at = Stage::Told;
            }
        }
        Ok(())
    }

    fn tell(&mut self, key: Key, notice: &Notice, abilities: Abilities) -> Result<(), BusError> {
        let mut actions: Vec<&str> = Vec::new();
        if abilities.actions {
            // A press on the notification itself opens the inbox, where there is one to open.
            if notice.buttons.contains(&Button::Inbox) {
                actions.extend(["default", Button::Inbox.label()]);
            }
            for button in &notice.buttons {
                actions.extend([button.name(), button.label()]);
            }
        }
        let urgency: u8 = match notice.urgency {
            Urgency::Low => 0,
            Urgency::Normal => 1,
            Urgency::Critical => 2,
        };
        let hints: HashMap<&str, Variant<'_>> = HashMap::from([
            ("urgency", Variant::from(urgency)),
            ("category", Variant::from(notice.category.as_str())),
            ("desktop-entry", Variant::from("valetkey-desktop")),
        ]);
        let life = notice
            .life_ms
            .map_or(-1, |ms| i32::try_from(ms).unwrap_or(i32::MAX));
        let body = markup::body(&notice.body, abilities.markup);
        let call = (
            "Valetkey",
            0_u32,
            "dialog-password",
            notice.title.as_str(),
            body.as_str(),
            actions,
            hints,
            life,
        );
        self.call(Asked::Notify(key), &NOTIFICATIONS, "Notify", &call)
    }

    fn call<B: serde::Serialize + zbus::wire::Type>(
        &mut self,
        asked: Asked,
        to: &Place,
        member: &'static str,
        body: &B,
    ) -> Result<(), BusError> {
        let number = self.bus.call(to, member, body)?;
        let _earlier = self.asked.insert(number, (asked, Instant::now()));
        Ok(())
    }
}

/// The button of that name, if the notification has it.
fn button(notice: &Notice, name: &str) -> Option<Button> {
    let name = if name == "default" {
        Button::Inbox.name()
    } else {
        name
    };
    Button::ALL
        .into_iter()
        .find(|button| button.name() == name && notice.buttons.contains(button))
}

/// Whether a name is one that the bus itself gave to a connection.
fn is_unique(name: &str) -> bool {
    name.starts_with(':')
}

#[cfg(test)]
mod tests;
