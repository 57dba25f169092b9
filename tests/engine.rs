//! The whole engine from observations to records, as the daemon drives it.

use std::sync::Arc;

use sexton::engine::core::Engine;
use sexton::engine::effect::Step;
use sexton::engine::moment::{MINUTE, Moment, SECOND};
use sexton::engine::record::Record;
use sexton::engine::signal::{Class, Instance, Observation, metric};

fn engine() -> Engine {
    let text = "[[rule]]\nid = \"busy\"\non = \"host\"\nraise = \"cpu.busy > 90%\"\nclear = \"cpu.busy < 80%\"\n\
                for = \"0s\"\nkeep = \"0s\"\n[[override]]\nrule = [\"*\", \"!busy\"]\nset = { enabled = false }\n";
    let facts = sexton::config::HostFacts { machine_id: "m".to_owned(), hostname: "web-01".to_owned() };
    let config = sexton::config::load_texts(&[("t.toml", text)], &Default::default(), &facts).unwrap();
    Engine::new(config.plan, 7)
}

fn play(engine: &mut Engine, from: i64, to: i64, busy: f64) -> Vec<Record> {
    let host = Instance::of(Class::Host, &[]);
    let mut records = Vec::new();
    for t in (from..to).step_by(10) {
        let now = Moment::at(t * SECOND);
        let seen = Observation::new(now, Arc::clone(&host), 10 * SECOND).with(metric("cpu.busy"), busy);
        let mut step = Step::default();
        engine.observe(now, &[seen], &mut step);
        if engine.poll_timeout().is_some_and(|due| due <= now.mono) {
            engine.handle_timeout(now, &mut step);
        }
        records.append(&mut step.records);
    }
    records
}

#[test]
fn the_series_after_the_breach_follow_in_one_update() {
    let mut engine = engine();
    play(&mut engine, 0, 600, 0.3);
    let records = play(&mut engine, 600, 1800, 0.95);
    let incidents: Vec<_> = records
        .iter()
        .filter_map(|r| if let Record::Incident(i) = r { Some(i.as_ref().clone()) } else { None })
        .collect();
    assert_eq!(incidents.len(), 2, "the raise and the aftermath, nothing else");
    let last = |i: usize| incidents[i].evidence.series[0].points.last().map(|p| p.0);
    assert_eq!(last(0), Some(600.0));
    assert!(last(1).is_some_and(|t| t >= 600.0 + (10 * MINUTE / SECOND) as f64 - 10.0), "{:?}", last(1));
    assert_eq!(incidents[0].timeline, incidents[1].timeline, "not worth a line");
    let records = play(&mut engine, 1800, 1900, 0.2);
    let Some(Record::Incident(resolved)) = records.first() else { panic!("no resolve: {records:?}") };
    assert_eq!(resolved.evidence.series[0].points.last().map(|p| p.0), Some(1800.0));
}
