//! Alertmanager 0.25 as far as alerts go: label sets that fire until their `endsAt`, nothing kept over a
//! restart, a batch of which some is bad taken in part with a 400.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::clock::Clock;
use sexton::engine::moment::{SECOND, Stamp};
use sexton::engine::option::OptionValue;

use crate::schemas;
use crate::world::records::{Step, Truth};
use crate::world::{Act, Answer, Ask, Desk, Dice, Product, View, World};

type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug)]
struct Alert {
    starts: Stamp,
    ends: Stamp,
    annotations: Labels,
}

/// The memory of the server, and how many alerts it refuses by their name.
#[derive(Default)]
struct Alertmanager {
    alerts: BTreeMap<Labels, Alert>,
    refuse: Option<&'static str>,
}

fn now() -> Stamp {
    Stamp(Clock::start().now().wall)
}

impl Alertmanager {
    /// The label sets that fire, with the record each is about.
    fn firing(&self) -> BTreeMap<String, (String, String)> {
        let firing = self.alerts.iter().filter(|(_, alert)| alert.ends > now());
        let row = |(labels, alert): (&Labels, &Alert)| {
            let record = alert.annotations["sexton_record"].clone();
            (labels["sexton_instance"].clone(), (labels["severity"].clone(), record))
        };
        let rows: Vec<_> = firing.map(row).collect();
        let map: BTreeMap<_, _> = rows.iter().cloned().collect();
        assert_eq!(map.len(), rows.len(), "one instance fires under two label sets: {rows:?}");
        map
    }

    fn post(&mut self, body: &Json) -> Answer {
        let wrong = schemas::postable_alerts(body);
        assert!(wrong.is_empty(), "{wrong:?}");
        let mut refused = Vec::new();
        for alert in body.as_array().unwrap() {
            let labels: Labels = serde_json::from_value(alert["labels"].clone()).unwrap();
            let annotations = serde_json::from_value(alert["annotations"].clone()).unwrap();
            let time = |name: &str| alert[name].as_str().unwrap().parse::<Stamp>().unwrap();
            let (starts, ends) = (time("startsAt"), time("endsAt"));
            let plain = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if ends < starts || !labels.keys().all(plain) || labels.values().any(String::is_empty) {
                refused.push("malformed");
            } else if self.refuse.is_some_and(|name| labels["sexton_instance"].contains(name)) {
                refused.push("invalid label set");
            } else {
                self.put(labels, Alert { starts, ends, annotations });
            }
        }
        match refused.is_empty() {
            true => Answer::text(200, ""),
            false => Answer::json(400, json!(refused.join("; "))),
        }
    }

    /// `provider/mem` and `types.Alert.Merge`: alerts that overlap are one.
    fn put(&mut self, labels: Labels, mut new: Alert) {
        if let Some(old) = self.alerts.get(&labels) {
            let within = |t: Stamp| t > old.starts && t < old.ends;
            if within(new.ends) || within(new.starts) {
                new.starts = new.starts.min(old.starts);
                let over = new.ends <= now();
                if (!over || old.ends <= now()) && old.ends > new.ends {
                    new.ends = old.ends;
                }
            }
        }
        self.alerts.insert(labels, new);
    }
}

impl Desk for Alertmanager {
    fn handle(&mut self, ask: &Ask) -> Answer {
        match (ask.method.as_str(), ask.path.as_str()) {
            ("GET", "/api/v2/status") => Answer::json(200, json!({"versionInfo": {"version": "0.25.0"}})),
            ("POST", "/api/v2/alerts") => self.post(&ask.json()),
            ("GET", "/api/v2/alerts") => {
                let filters: Vec<&str> =
                    ask.query.iter().filter(|(n, _)| n == "filter").map(|(_, v)| v.as_str()).collect();
                let expected = ["sexton_host=\"0123456789abcdef\"", "alertname=~\"disk.full\""];
                assert_eq!(filters, expected);
                let firing = self.alerts.iter().filter(|(_, alert)| alert.ends > now());
                let row =
                    |(labels, alert): (&Labels, &Alert)| json!({"labels": labels, "startsAt": alert.starts});
                Answer::json(200, firing.map(row).collect())
            }
            other => Answer::error(404, &format!("nothing here: {other:?}")),
        }
    }

    fn tickets(&self) -> Vec<View> {
        Vec::new()
    }

    fn act(&mut self, _: &str, act: Act) {
        panic!("nobody works here: {act:?}");
    }
}

const PRODUCT: Product<Alertmanager> = Product {
    kind: "alertmanager",
    desk: Alertmanager::default,
    options: |base| vec![("url", base.text(base.url)), ("repeat", OptionValue::Duration(SECOND))],
    comments: false,
    links: false,
    check: |_, _| {},
};

/// What must fire: instance, severity and record.
fn firing(truths: &[Truth]) -> BTreeMap<String, (String, String)> {
    let text = |json: &Json| json.as_str().unwrap().to_owned();
    let row = |t: &Truth| (text(&t.body["instance"]), (text(&t.body["severity"]), format!("sx-{}", t.id())));
    truths.iter().filter(|t| !t.over).map(row).collect()
}

/// An incident on an instance of its own, broken since now.
fn broken(n: u64) -> Truth {
    let mut truth = Truth::incident(n);
    truth.body["instance"] = json!(format!("fs{{mount=/data-{n}}}"));
    begun(&mut truth);
    truth
}

fn begun(truth: &mut Truth) {
    truth.body["breach_at"] = json!(now());
    truth.body["intervals"] = json!([{"from": now()}]);
}

/// Many incidents that come, worsen, go and come back, under faults, kills and a server that forgets: what
/// fires in the end is what is broken, and stays so.
#[test]
fn what_fires_is_what_is_broken() {
    let mut world = World::new(&PRODUCT, 5);
    let mut dice = Dice(5);
    let mut truths: Vec<Truth> = (0..16).map(broken).collect();
    world.start();
    world.server.script().per_mille = 150;
    for truth in &truths {
        world.commit(vec![truth.row(&world.plan)]);
    }
    for turn in 0..60 {
        let at = dice.below(16) as usize;
        let truth = &mut truths[at];
        match (truth.over, dice.below(4)) {
            (true, 0) => {
                // Another incident of the same rule and instance, while the end of the old one is still told.
                let mut next = broken(at as u64);
                next.body["id"] = json!(crate::world::records::fresh_id(100 + turn));
                *truth = next;
            }
            (true, _) => {
                truth.step(Step::Reopen);
                begun(truth);
            }
            (false, 0) => truth.step(Step::Worsen),
            (false, 1) => truth.step(Step::Update),
            (false, _) => truth.step(Step::Resolve),
        }
        world.commit(vec![truths[at].row(&world.plan)]);
        world.run(Duration::from_millis(dice.below(60)));
        match turn % 20 {
            7 => {
                world.crash();
                world.start();
            }
            13 => world.server.desk().alerts.clear(),
            _ => {}
        }
    }
    world.server.script().per_mille = 0;
    let truth = firing(&truths);
    assert!((3..14).contains(&truth.len()), "the story has both: {}", truth.len());
    world.until("what fires is what is broken", |w| w.server.desk().firing() == truth);
    // Longer than an alert lives without being sent again.
    for _ in 0..50 {
        world.run(Duration::from_millis(100));
        assert_eq!(world.server.desk().firing(), truth);
    }
    world.server.desk().alerts.clear();
    world.until("complete again", |w| w.server.desk().firing() == truth);
}

#[test]
fn a_bad_alert_does_not_take_the_others_with_it() {
    let mut world = World::new(&PRODUCT, 6);
    world.server.desk().refuse = Some("/data-3");
    world.start();
    let truths: Vec<Truth> = (0..8).map(broken).collect();
    world.commit(truths.iter().map(|t| t.row(&world.plan)).collect());
    let mut wanted = firing(&truths);
    wanted.remove("fs{mount=/data-3}");
    world.until("all but the bad one fire", |w| {
        let parked = w.rows().iter().filter(|r| r.state == "parked").count();
        w.server.desk().firing() == wanted && parked == 1
    });
}
