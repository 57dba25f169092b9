//! systemd's units, told over D-Bus: nothing is asked for as long as nothing happens.
//!
//! At the start the list is read, then systemd's signals are followed on the same connection, in their order.
//! A machine without systemd, or without a bus, is not in error: there is one line in the log and nothing
//! else. A bus that was there and is lost leaves no values; it is looked for again with growing pauses, and
//! the list is read anew. This file knows the wire, `units` knows what it means.

#[cfg(test)]
mod tests;
mod units;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio_stream::{Stream, StreamExt};
use zbus::message::Type;
use zbus::{Connection, Message, MessageStream, OwnedObjectPath, Variant};

use self::units::{Change, Listed, Units};
use super::{Source, Spec, Tell};
use crate::engine::moment::MINUTE;
use crate::engine::option::{DoorSpec, Globs, OptionKind, OptionSpec};
use crate::engine::signal::{Metric, Observation, metric};

/// The collector.
pub const SPEC: Spec = Spec {
    door: DoorSpec {
        kind: "unit",
        about: "systemd units, told by D-Bus signals",
        options: &[OptionSpec {
            key: "match",
            kind: OptionKind::List(&["*.service"]),
            about: "globs on the unit name; ! excludes, the last that matches decides",
        }],
        signals: &["unit.state", "unit.active", "unit.restarts", "unit.age"],
        check: crate::engine::option::any,
    },
    build: |plan, tell| {
        let wanted = Globs(plan.options.list("match").to_vec());
        let units = Units::new(wanted, tell.interval().max(AGE_EVERY));
        Ok(Source::Tell(Box::pin(follow(tell.clone(), units))))
    },
};

const STATE: Metric = metric("unit.state");
const ACTIVE: Metric = metric("unit.active");
const RESTARTS: Metric = metric("unit.restarts");
const AGE: Metric = metric("unit.age");

/// Least distance of two words about the age of a unit, in nanoseconds.
const AGE_EVERY: i64 = MINUTE;
/// First and longest pause before the bus is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Longest time a question to the bus may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Messages that may wait to be read; more make the bus wait.
const QUEUE: usize = 4096;
/// Messages that go into one batch.
const BURST_MAX: usize = 1024;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const BUS: &str = "org.freedesktop.DBus";
/// The answer to a second subscription on one connection, which a reload of systemd makes necessary to try.
const ALREADY_SUBSCRIBED: &str = "org.freedesktop.systemd1.AlreadySubscribed";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";

/// What the bus is asked to pass on. Mounts, slices and scopes also change, in other interfaces; those stay
/// out, and so does the end of jobs, as the state that a job leads to is told by `PropertiesChanged`.
const RULES: [&str; 6] = [
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.freedesktop.systemd1.Unit'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.freedesktop.systemd1.Service'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
     member='UnitNew'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
     member='UnitRemoved'",
    "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
     member='Reloading'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',\
     arg0='org.freedesktop.systemd1'",
];

/// A row of `ListUnits`: name, description, load, active, sub, following, path, job id, job type, job path.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

async fn follow(tell: Tell, units: Units) {
    // What sd_booted(3) looks at.
    if !Path::new("/run/systemd/system").exists() {
        tracing::info!(collector = "unit", "systemd does not run here, units are not watched");
        return;
    }
    follow_on(tell, units, None).await;
}

/// Follows the bus at `address`, by default the system's, for ever.
async fn follow_on(tell: Tell, units: Units, address: Option<String>) {
    let mut follower = Follower { tell, units, up: false };
    let (mut pause, mut was_up, mut said) = (PAUSE.0, false, false);
    loop {
        let reason = match follower.session(address.as_deref()).await {
            Ok(()) => "the bus has closed the connection".to_owned(),
            Err(e) => format!("systemd on D-Bus: {e}"),
        };
        if std::mem::take(&mut follower.up) {
            (pause, was_up) = (PAUSE.0, true);
            let nothing = follower.units.lost(follower.tell.now());
            follower.tell.failed(0, &reason, nothing).await;
        } else if !was_up && !std::mem::replace(&mut said, true) {
            tracing::info!(
                collector = "unit",
                reason,
                "units are not watched until systemd answers on D-Bus"
            );
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

struct Follower {
    tell: Tell,
    units: Units,
    /// The list has been read in this session.
    up: bool,
}

impl Follower {
    /// One connection, from its beginning to its end.
    async fn session(&mut self, address: Option<&str>) -> zbus::Result<()> {
        let bus = connect(address).await?;
        let mut messages = MessageStream::from(&bus);
        messages.set_max_queued(QUEUE.try_into().unwrap_or(std::num::NonZero::<usize>::MIN));
        for rule in RULES {
            bus.call_method(Some(BUS), "/org/freedesktop/DBus", Some(BUS), "AddMatch", &rule).await?;
        }
        self.begin(&bus).await?;
        let mut last = self.tell.now().mono;
        loop {
            let mut heard = Heard::default();
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.hear(&message?, &mut heard),
                    None => return Ok(()),
                },
                due = self.next_age(last) => {
                    last = due;
                    heard.out = self.units.ages(self.tell.now());
                }
            }
            while heard.messages < BURST_MAX {
                match ready(&mut messages).await {
                    Some(Some(message)) => self.hear(&message?, &mut heard),
                    Some(None) => return Ok(()),
                    None => break,
                }
            }
            self.answer(&bus, heard).await?;
        }
    }

    /// Subscribes and reads the whole list, then what is worth asking of each unit.
    async fn begin(&mut self, bus: &Connection) -> zbus::Result<()> {
        match ask(bus, "Subscribe", &()).await {
            Err(zbus::Error::MethodError(name, ..)) if name.as_str() == ALREADY_SUBSCRIBED => {}
            other => drop(other?),
        }
        let listed = rows(&ask(bus, "ListUnits", &()).await?)?;
        let states = self.units.list(listed, self.tell.now());
        self.tell.whole(0, states).await;
        self.up = true;
        let mut details = Vec::new();
        for (path, is_service) in self.units.to_ask() {
            // A unit may have gone since; the others are still worth asking.
            let since_us = property(bus, &path, UNIT, "StateChangeTimestamp").await?;
            let restarts = if is_service { property(bus, &path, SERVICE, "NRestarts").await? } else { None };
            let number = |v: Variant<'_>| match v {
                Variant::U64(n) => Some(n),
                Variant::U32(n) => Some(n.into()),
                _ => None,
            };
            let since_us = since_us.as_ref().and_then(|m| number(m.body().deserialize().ok()?));
            let restarts = restarts.as_ref().and_then(|m| number(m.body().deserialize().ok()?));
            let restarts = restarts.and_then(|n| u32::try_from(n).ok());
            let change = Change { state: None, restarts, since_us };
            self.units.change(&path, change, self.tell.now(), &mut details);
        }
        self.tell.some(details).await;
        Ok(())
    }

    /// Asks for what the messages left open, and tells.
    async fn answer(&mut self, bus: &Connection, mut heard: Heard) -> zbus::Result<()> {
        if heard.list_again {
            self.tell.some(heard.out).await;
            return self.begin(bus).await;
        }
        let unknown = self.units.take_unknown();
        if !unknown.is_empty() {
            let listed = rows(&ask(bus, "ListUnitsByNames", &unknown).await?)?;
            self.units.learn(listed, self.tell.now(), &mut heard.out);
        }
        self.tell.some(heard.out).await;
        Ok(())
    }

    /// Takes in one message; one that cannot be understood is left out.
    fn hear(&mut self, message: &Message, heard: &mut Heard) {
        heard.messages += 1;
        if message.message_type() != Type::Signal {
            return;
        }
        let header = message.header();
        let (Some(path), Some(member)) = (header.path(), header.member()) else { return };
        let (now, body) = (self.tell.now(), message.body());
        match member.as_str() {
            "PropertiesChanged" if self.units.watches(path) => {
                if let Ok((interface, changed, _)) =
                    body.deserialize::<(&str, BTreeMap<&str, Variant<'_>>, Vec<&str>)>()
                {
                    self.units.change(path, change(interface, &changed), now, &mut heard.out);
                }
            }
            "UnitNew" => {
                if let Ok((name, path)) = body.deserialize::<(&str, OwnedObjectPath)>() {
                    self.units.heard_of(name, path.as_str());
                }
            }
            "UnitRemoved" => {
                if let Ok((name, path)) = body.deserialize::<(&str, OwnedObjectPath)>() {
                    self.units.removed(name, path.as_str(), now, &mut heard.out);
                }
            }
            "Reloading" => {
                if let Ok(begins) = body.deserialize::<bool>() {
                    heard.list_again |= self.units.reloading(begins);
                }
            }
            "NameOwnerChanged" => {
                // systemd has executed itself anew and is back on the bus.
                let owner = body.deserialize::<(&str, &str, &str)>();
                heard.list_again |= owner.is_ok_and(|(_, _, new)| !new.is_empty());
            }
            _ => {}
        }
    }

    async fn next_age(&self, last: i64) -> i64 {
        let due = last + self.tell.interval().max(AGE_EVERY);
        self.tell.sleep_until(due).await;
        due
    }
}

/// What a burst of messages has brought.
#[derive(Default)]
struct Heard {
    out: Vec<Observation>,
    messages: usize,
    list_again: bool,
}

fn change(interface: &str, properties: &BTreeMap<&str, Variant<'_>>) -> Change {
    let mut change = Change::default();
    match interface {
        UNIT => {
            if let Some(Variant::Str(state)) = properties.get("ActiveState") {
                change.state = Some(state.to_string());
            }
            if let Some(Variant::U64(since)) = properties.get("StateChangeTimestamp") {
                change.since_us = Some(*since);
            }
        }
        SERVICE => {
            if let Some(Variant::U32(restarts)) = properties.get("NRestarts") {
                change.restarts = Some(*restarts);
            }
        }
        _ => {}
    }
    change
}

async fn connect(address: Option<&str>) -> zbus::Result<Connection> {
    let builder = match address {
        Some(address) => zbus::connection::Builder::address(address),
        None => zbus::connection::Builder::system(),
    };
    let built = builder.method_timeout(ANSWER_WITHIN).build();
    match tokio::time::timeout(ANSWER_WITHIN, built).await {
        Ok(connection) => connection,
        Err(_) => Err(zbus::Error::Failure("no answer within 10 s".to_owned())),
    }
}

async fn ask<B>(bus: &Connection, method: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + zbus::DynamicType,
{
    bus.call_method(Some(SYSTEMD), MANAGER_PATH, Some(MANAGER), method, body).await
}

/// The answer about one property; `None` when the object has none (it went, or it is older than the
/// property).
async fn property(
    bus: &Connection,
    path: &str,
    interface: &str,
    name: &str,
) -> zbus::Result<Option<Message>> {
    match bus.call_method(Some(SYSTEMD), path, Some(PROPERTIES), "Get", &(interface, name)).await {
        Ok(answer) => Ok(Some(answer)),
        Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn rows(answer: &Message) -> zbus::Result<Vec<Listed>> {
    let rows: Vec<Row> = answer.body().deserialize()?;
    // Names that others mention but nobody has installed are no units; after an installation systemd reloads.
    let exists = |row: &Row| row.2 != "not-found" || row.3 != "inactive";
    let listed = |row: Row| Listed { name: row.0, state: row.3, path: row.6.to_string() };
    Ok(rows.into_iter().filter(exists).map(listed).collect())
}

/// The next message if there is one already.
async fn ready(messages: &mut MessageStream) -> Option<Option<zbus::Result<Message>>> {
    poll_fn(|cx| match Pin::new(&mut *messages).poll_next(cx) {
        Poll::Ready(message) => Poll::Ready(Some(message)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
