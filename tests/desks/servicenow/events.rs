//! Event Management: events queue up and become alerts by their key.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use super::instance::refuse;
use crate::world::{Act, Answer, Ask, Desk, Product, Unfit, View, episodes, is_fit};

/// Alerts by message key, oldest first, with the events that made them.
#[derive(Default)]
struct Events {
    alerts: Vec<(String, Vec<Json>)>,
    inactive: bool,
}

const PRODUCT: Product<Events> = Product {
    kind: "servicenow-event",
    desk: Events::default,
    options: |base| vec![("url", base.text(base.url)), ("token", base.secret("an-api-key"))],
    comments: false,
    links: false,
    check: |_, _| {},
};

impl Desk for Events {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("x-sn-apikey") != "an-api-key" {
            return refuse(401, "Required to provide Auth information");
        }
        if self.inactive || ask.parts() != ("POST", vec!["api", "global", "em", "jsonv2"]) {
            return refuse(404, "Requested URI does not represent any resource");
        }
        for event in ask.json()["records"].as_array().expect("events stand in records") {
            self.take(event);
        }
        Answer::json(200, json!({}))
    }

    fn tickets(&self) -> Vec<View> {
        let view = |(key, events): &(String, Vec<Json>)| {
            let newest = events.last().unwrap();
            let info: BTreeMap<String, String> =
                serde_json::from_str(newest["additional_info"].as_str().unwrap())
                    .expect("a flat list of texts");
            let over = newest["severity"] == "0";
            View {
                id: key.clone(),
                key: info["sexton_record"].clone(),
                kind: Some(if newest["metric_name"] == "problem" {
                    RecordKind::Problem
                } else {
                    RecordKind::Incident
                }),
                stage: if over { Stage::Resolved } else { Stage::New },
                comments: Vec::new(),
                parents: Vec::new(),
                assignee: String::new(),
                subject: info["sexton_title"].clone(),
                priority: newest["severity"].as_str().unwrap().to_owned(),
            }
        };
        self.alerts.iter().map(view).collect()
    }

    fn act(&mut self, _: &str, act: Act) {
        panic!("an alert knows no {act:?} here");
    }
}

impl Events {
    /// An event that says that what never was is over makes no alert; a long field is an error.
    fn take(&mut self, event: &Json) {
        for (field, most) in
            [("source", 100), ("node", 100), ("type", 100), ("resource", 100), ("message_key", 1024)]
        {
            let chars = event[field].as_str().expect(field).chars().count();
            assert!(chars > 0 && chars <= most, "{field} has {chars} characters");
        }
        let time = event["time_of_event"].as_str().unwrap();
        assert!(time.len() == 19 && !time.contains('T') && !time.contains('Z'), "{time}");
        let key = event["message_key"].as_str().unwrap();
        match self.alerts.iter_mut().find(|(k, _)| k == key) {
            Some((_, events)) => events.push(event.clone()),
            None if event["severity"] == "0" => {}
            None => self.alerts.push((key.to_owned(), vec![event.clone()])),
        }
    }
}

#[test]
fn alerts_hold_the_truth_under_faults_and_crashes() {
    episodes(&PRODUCT, 7, true);
}

#[test]
fn event_management_is_proven_fit() {
    let inactive = Unfit::<Events> {
        what: "the plug-in is not active",
        break_it: |events| events.inactive = true,
        says: &["Event Management", "not active"],
        mend: |events| events.inactive = false,
    };
    is_fit(&PRODUCT, &[inactive]);
}
