//! A desk at the far end of a network: keeps the highest revision of each record.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sexton::forward::connector::{Reply, Request};

use crate::net::Product;
use crate::random::Random;
use crate::world::World;

#[derive(Default)]
pub struct Desk {
    records: BTreeMap<String, Record>,
}

struct Record {
    rev: u64,
    body: Json,
    /// Types of the events in the order in which they made a difference.
    types: Vec<String>,
}

impl Desk {
    fn take(&mut self, event: &Json) -> &'static str {
        let subject = event["subject"].as_str().unwrap_or_default().to_owned();
        let rev = event["data"]["rev"].as_u64().unwrap_or(1);
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        match self.records.get_mut(&subject) {
            Some(record) if rev == record.rev => "duplicate",
            Some(record) if rev < record.rev => "stale",
            Some(record) => {
                (record.rev, record.body) = (rev, event["data"].clone());
                record.types.push(kind);
                "stored"
            }
            None => {
                let record = Record { rev, body: event["data"].clone(), types: vec![kind] };
                self.records.insert(subject, record);
                "stored"
            }
        }
    }
}

impl Product for Desk {
    fn execute(&mut self, request: &Request, half: bool) -> Reply {
        let events = request.json_body().as_array().cloned().unwrap_or_default();
        let some = if half { events.len() / 2 } else { events.len() };
        let results = events[..some].iter().map(|event| {
            let status = self.take(event);
            json!({"id": event["id"], "status": status})
        });
        let results: Vec<Json> = results.collect();
        Reply { status: 200, body: json!({"results": results}).to_string().into_bytes(), ..Reply::default() }
    }

    fn meddle(&mut self, _random: &mut Random) -> Option<String> {
        None
    }

    fn differences(&self, world: &World) -> Vec<String> {
        let truth = world.truth.borrow();
        let mut wrong = Vec::new();
        let dropped = world.dropped();
        for ((destination, id), row) in &truth.rows {
            if destination != "desk" || world.is_excused(destination, id) {
                continue;
            }
            let Some(record) = self.records.get(id) else {
                wrong.push(format!("desk: {id} was lost"));
                continue;
            };
            let same = serde_json::from_str::<Json>(&row.body).is_ok_and(|body| body == record.body);
            let over = |body: &Json| {
                ["resolved", "closed", "cancelled"].contains(&body["state"].as_str().unwrap_or(""))
            };
            let excused = dropped && over(&record.body) == row.over;
            if !same && !excused {
                wrong.push(format!("desk: {id} stands at revision {}, not {}", record.rev, row.rev));
            }
            let first = record.types.first().map_or("", String::as_str);
            if !first.ends_with(".created.v1") {
                wrong.push(format!("desk: {id} began with {first}"));
            }
        }
        let ours = |id: &String| truth.rows.contains_key(&("desk".to_owned(), id.clone()));
        let lost = world.lost_records.borrow();
        for id in self.records.keys().filter(|id| !ours(id) && !lost.contains(*id)) {
            wrong.push(format!("desk: {id} was never committed"));
        }
        let mut open: BTreeMap<&str, u32> = BTreeMap::new();
        for (id, record) in self.records.iter().filter(|(id, _)| ours(id)) {
            let state = record.body["state"].as_str().unwrap_or_default();
            if let Some(key) = record.body["alert_key"].as_str()
                && !["resolved", "closed", "cancelled"].contains(&state)
            {
                *open.entry(key).or_default() += 1;
                if open[key] > 1 && !world.is_meddled() {
                    wrong.push(format!("desk: {id} is open beside another of {key}"));
                }
            }
        }
        wrong
    }

    fn summary(&self) -> String {
        let records = self.records.iter().map(|(id, record)| format!("{id}@{}", record.rev));
        records.collect::<Vec<_>>().join(" ")
    }
}
