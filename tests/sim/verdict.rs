//! What must be so when all faults are over: the claims of the simulation.

use std::collections::{BTreeMap, BTreeSet};

use sexton::engine::core::Engine;
use sexton::engine::moment::{DAY, MINUTE, Stamp};
use sexton::engine::record::{Actor, Incident, Priority};
use sexton::store::{JournalRow, OutboxView, Store};

use crate::shape::{HOST, SUBJECTS};
use crate::truth::Place;
use crate::world::World;

/// After the last fault the conditions get this long to come to rest: what people did is read back, flapping
/// and disputes end.
const REST: i64 = 100 * MINUTE;
/// The longest time after the last fault until everything is delivered: no row waits longer than a day, also
/// when the clock was set.
const DRAIN: i64 = 2 * DAY;
/// Rows and journal entries read at once.
const ALL: usize = 10_000;

/// At a start: the outbox holds the revisions that journal and state speak of.
pub async fn is_whole(world: &World, store: &Store) {
    let rows = match store.outbox_rows(ALL).await {
        Ok(rows) if store.dropped() == 0 => rows,
        _ => return,
    };
    let known: BTreeMap<Place, u64> =
        rows.into_iter().map(|row| ((row.destination, row.record), row.rev)).collect();
    let truth: Vec<(Place, u64)> =
        world.truth.borrow().rows.iter().map(|(place, row)| (place.clone(), row.rev)).collect();
    for (place, rev) in truth.iter().filter(|(place, rev)| known.get(place) != Some(rev)) {
        let found = known.get(place);
        world.fail(format!("{} for {} was committed at {rev}, the outbox has {found:?}", place.1, place.0));
    }
}

/// True when nothing waits any more; then every claim has been looked at.
pub async fn is_done(world: &World, store: &Store, engine: &Engine) -> bool {
    let rows = match store.outbox_rows(ALL).await {
        Ok(rows) => rows,
        Err(error) => {
            world.fail(format!("the outbox cannot be read: {error}"));
            return true;
        }
    };
    let mut waits = false;
    for row in &rows {
        match row.state.as_str() {
            "parked" => waits |= parked(world, store, row).await,
            "acked" => {}
            // A link of which one end went another way.
            "blocked" => waits |= !world.is_excused(&row.destination, &row.record),
            _ => waits = true,
        }
    }
    if waits {
        if world.calm_for() > DRAIN {
            let stuck = rows.iter().filter(|row| row.state != "acked");
            let stuck: Vec<_> =
                stuck.map(|r| format!("{} {} {} {:?}", r.destination, r.record, r.state, r)).collect();
            world.fail(format!("the outbox does not drain: {}", stuck.join("; ")));
        }
        return world.is_broken();
    }
    if world.calm_for() < REST {
        return false;
    }
    world.far.iter().for_each(|far| far.borrow_mut().catch_up());
    outbox(world, store, &rows).await;
    journal(world, store).await;
    conditions(world, engine);
    committed(world, engine);
    for far in &world.far {
        let far = far.borrow();
        world.say(&format!("{} holds {}", far.id, far.product.summary()));
        far.product.differences(world).into_iter().for_each(|wrong| world.fail(wrong));
    }
    true
}

/// A dead letter: only what the far end refused may be one, and somebody puts it back into the line. True
/// when it waits again.
async fn parked(world: &World, store: &Store, row: &OutboxView) -> bool {
    let place: Place = (row.destination.clone(), row.record.clone());
    if !world.truth.borrow().refused.contains(&place) {
        world
            .fail(format!("{} is a dead letter that {} never refused: {row:?}", row.record, row.destination));
    }
    if !world.requeued.borrow_mut().insert(place.clone()) {
        // What a person has deleted or merged is refused for good.
        if !world.is_meddled() {
            world.fail(format!("{} is refused again though all faults are over: {row:?}", row.record));
        }
        world.given_up.borrow_mut().insert(place);
        return false;
    }
    world.count("requeue", &row.record);
    world.truth.borrow_mut().requeued(&place);
    store.requeue(&row.destination, &row.record).await.unwrap_or_default()
}

/// The outbox holds every record in its newest revision, stored.
async fn outbox(world: &World, store: &Store, rows: &[OutboxView]) {
    let full = store.dropped() > 0;
    if full {
        world.count("outbox over its cap", "");
    }
    let truth: BTreeMap<Place, (u64, Priority)> = {
        let truth = world.truth.borrow();
        truth.rows.iter().map(|(place, row)| (place.clone(), (row.rev, row.priority))).collect()
    };
    let mut seen = BTreeSet::new();
    for row in rows {
        let place = (row.destination.clone(), row.record.clone());
        if row.destination == "desk" && row.acked_rev > 0 && row.remote_id.as_ref() != Some(&row.record) {
            world.fail(format!("{} is stored under the name {:?}", row.record, row.remote_id));
        }
        match truth.get(&place) {
            None => {
                world.fail(format!("{} waits for {} and was never committed", row.record, row.destination))
            }
            Some((rev, _)) if row.state == "acked" && row.acked_rev != *rev && !full => {
                world.fail(format!("{} is stored at revision {}, not {rev}", row.record, row.acked_rev));
            }
            Some(_) => {}
        }
        seen.insert(place);
    }
    let mut given_up = BTreeSet::new();
    for (place, (_, priority)) in &truth {
        if seen.contains(place) {
            continue;
        }
        let why = store.why_dropped(&place.0, &place.1).await.ok().flatten();
        let link = world.truth.borrow().rows[place].link.is_some();
        if why.is_none() && !(link && full) {
            world.fail(format!("{} has vanished from the outbox to {}", place.1, place.0));
        } else if *priority <= Priority::P2 && !link {
            world.fail(format!("{} was dropped though it is {priority:?}", place.1));
        }
        given_up.insert(place.clone());
    }
    if full {
        world.set_dropped(given_up);
    }
}

/// The journal holds everything that was committed, byte for byte.
async fn journal(world: &World, store: &Store) {
    let entries = read(world);
    if entries.iter().zip(1..).any(|(entry, seq)| entry.seq != seq) {
        world.fail("the journal has a gap".to_owned());
    }
    match store.outbox_verify().await {
        Ok(flaws) => flaws.iter().for_each(|flaw| world.fail(format!("outbox: {flaw:?}"))),
        Err(error) => world.fail(format!("the outbox cannot be verified: {error}")),
    }
    let wrong = world.truth.borrow().read(&entries);
    wrong.into_iter().for_each(|wrong| world.fail(wrong));
}

/// The journal as it lies on disk.
fn read(world: &World) -> Vec<JournalRow> {
    let file = world.disk.path().join("state.db");
    let database = rusqlite::Connection::open(file).expect("the store's database opens");
    let mut select =
        database.prepare("SELECT seq, at, kind, subject, body FROM journal ORDER BY seq").expect("a journal");
    let entry = |row: &rusqlite::Row<'_>| {
        let (seq, at) = (row.get::<_, i64>(0)?.unsigned_abs(), Stamp(row.get(1)?));
        Ok(JournalRow { seq, at, kind: row.get(2)?, subject: row.get(3)?, body: row.get(4)? })
    };
    select.query_map([], entry).and_then(Iterator::collect).expect("a journal")
}

/// The engine holds nothing that was not committed.
fn committed(world: &World, engine: &Engine) {
    let truth = world.truth.borrow();
    for incident in engine.incidents.incidents() {
        let rows = truth.rows.iter().filter(|((_, record), _)| *record == incident.id);
        for ((destination, id), row) in rows.filter(|(_, row)| row.rev != incident.rev) {
            world.fail(format!(
                "the engine holds {id} at revision {}, {destination} was to get {}",
                incident.rev, row.rev
            ));
        }
    }
}

/// What holds on the host is open, once, and nothing else is; no episode was opened twice.
fn conditions(world: &World, engine: &Engine) {
    let levels = *world.levels.borrow();
    let names = [
        ("w-down", "check{check=a}"),
        ("w-down", "check{check=b}"),
        ("w-slow", "check{check=b}"),
        ("w-full", "fs{mount=/data}"),
    ];
    for subject in 0..SUBJECTS {
        let (rule, instance) = names[subject];
        let all: Vec<&Incident> =
            engine.incidents.incidents().filter(|i| i.rule.id == rule && i.instance == instance).collect();
        let is_free = !all.iter().any(|incident| is_by_people(incident));
        let open = all.iter().filter(|i| i.state.is_open() && !is_by_people(i)).count();
        let should = usize::from(levels[subject] > 0);
        if open > 1 || (is_free && open != should) {
            world.fail(format!("{rule} on {instance} has {open} open incidents, {should} would be right"));
        }
        let fingerprint = sexton::engine::id::fingerprint(rule, HOST, &instance_of(instance));
        let all = world.truth.borrow().incidents.values().filter(|print| **print == fingerprint).count();
        let most = world.episodes.borrow()[subject] + world.reloads.get();
        if all as u64 > most {
            world.fail(format!("{rule} on {instance} has had {all} incidents in at most {most} episodes"));
        }
    }
}

/// A person has said last where it stands: that holds, whatever the condition says.
fn is_by_people(incident: &Incident) -> bool {
    let last = incident.timeline.iter().rev().find(|entry| entry.to.is_some());
    last.is_some_and(|entry| matches!(entry.actor, Actor::Itsm | Actor::Operator))
}

fn instance_of(key: &str) -> sexton::engine::signal::Instance {
    use sexton::engine::signal::{Class, Instance};
    let (class, label) = key.trim_end_matches('}').split_once('{').unwrap_or((key, ""));
    let (name, value) = label.split_once('=').unwrap_or(("", ""));
    let labels = [(name.to_owned(), value.to_owned())].into();
    Instance::new(Class::parse(class).unwrap_or(Class::Host), labels)
}
