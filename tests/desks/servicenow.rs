//! ServiceNow: the Table API, Import Sets and Event Management.

#[path = "servicenow/events.rs"]
mod events;
#[path = "servicenow/import.rs"]
mod import;
#[path = "servicenow/instance.rs"]
mod instance;

use sexton::engine::effect::{RecordKind, Stage};

use crate::world::records::{Step, Truth};
use crate::world::{
    Act, Acted, Answer, Ask, Desk, Plan, Product, Unfit, View, World, adopts_after_a_lost_store,
    closed_for_good, deleted_behind_our_back, is_fit, read_back, suite,
};
use instance::{Instance, Row, refuse};

/// An instance with the Table API.
pub struct Now(pub Instance);

const PRODUCT: Product<Now> = Product {
    kind: "servicenow",
    desk: || Now(Instance::stock()),
    options: |base| vec![("url", base.text(base.url)), ("token", base.secret("an-api-key"))],
    comments: true,
    links: true,
    check: |ticket, record| {
        let weight = (record["impact"].as_u64().unwrap(), record["urgency"].as_u64().unwrap());
        let priority = match weight {
            (2, 1) => "2",
            (2, 3) => "4",
            other => panic!("no such weight in these tests: {other:?}"),
        };
        if record["schema"] == "incident/1" {
            assert_eq!(ticket.priority, priority, "the instance computes it from impact and urgency");
        }
    },
};

impl Desk for Now {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("x-sn-apikey") != "an-api-key" {
            return refuse(401, "Required to provide Auth information");
        }
        match ask.parts() {
            (_, parts) if parts.starts_with(&["api", "now", "table"]) => self.0.table_api(ask),
            _ => refuse(400, "Requested URI does not represent any resource"),
        }
    }

    fn tickets(&self) -> Vec<View> {
        let of = |table: &str| {
            let own = self.0.tables[table].iter().filter(|row| row.contains_key("correlation_id"));
            own.map(|row| self.view(table, row)).collect::<Vec<_>>()
        };
        [of("incident"), of("problem")].concat()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let rows = self.0.tables.get_mut("incident").unwrap();
        if act == Act::Delete {
            return rows.retain(|row| row["sys_id"] != ticket);
        }
        let row = rows.iter_mut().find(|row| row["sys_id"] == ticket).unwrap();
        let mut set = |field: &str, value: &str| {
            row.insert(field.to_owned(), value.to_owned());
        };
        set("sys_updated_by", "alice");
        match act {
            Act::Acknowledge => set("assigned_to", "user-alice"),
            Act::Assign(who) => set("assigned_to", &format!("user-{who}")),
            Act::Hold(_) => {
                set("state", "3");
                set("hold_reason", "4");
            }
            Act::Resolve(note) => {
                set("state", "6");
                set("close_notes", note);
            }
            Act::Close => set("state", "7"),
            Act::Cancel => set("state", "8"),
            Act::Reopen => set("state", "2"),
            Act::Delete => unreachable!("see above"),
        }
    }
}

impl Now {
    fn view(&self, table: &str, row: &Row) -> View {
        let get = |field: &str| row.get(field).cloned().unwrap_or_default();
        View {
            id: get("sys_id"),
            key: get("correlation_id"),
            kind: Some(if table == "problem" { RecordKind::Problem } else { RecordKind::Incident }),
            stage: match row["state"].as_str() {
                "1" | "101" => Stage::New,
                "3" => Stage::OnHold,
                "6" | "106" => Stage::Resolved,
                "7" => Stage::Closed,
                "8" | "107" => Stage::Cancelled,
                _ => Stage::InProgress,
            },
            comments: self.0.journal.get(&row["sys_id"]).cloned().unwrap_or_default(),
            parents: Some(get("problem_id")).filter(|p| !p.is_empty()).into_iter().collect(),
            assignee: get("assigned_to"),
            subject: get("short_description"),
            priority: get("priority"),
        }
    }
}

#[test]
fn servicenow_holds_the_truth_under_faults_and_crashes() {
    for seed in [1, 2] {
        suite(&PRODUCT, &Plan::seeded(seed));
    }
}

#[test]
fn servicenow_tells_what_people_did() {
    let act = |act, stage, assignee, note| Acted { act, stage, assignee, note };
    read_back(
        &PRODUCT,
        &[
            act(Act::Acknowledge, Stage::Acknowledged, Some("alice"), None),
            act(Act::Assign("bob"), Stage::Acknowledged, Some("bob"), None),
            act(Act::Hold("vendor"), Stage::OnHold, Some("bob"), Some("Awaiting Vendor")),
            act(Act::Reopen, Stage::InProgress, Some("bob"), None),
            act(Act::Resolve("disk grown"), Stage::Resolved, None, Some("disk grown")),
            act(Act::Close, Stage::Closed, None, Some("disk grown")),
            act(Act::Cancel, Stage::Cancelled, None, None),
        ],
    );
}

#[test]
fn servicenow_survives_a_lost_store_and_what_people_do() {
    adopts_after_a_lost_store(&PRODUCT);
    deleted_behind_our_back(&PRODUCT);
    closed_for_good(&PRODUCT);
}

/// An incident that a person cancelled comes back, and the link of a closed one can no longer be made:
/// nothing becomes a dead letter.
#[test]
fn servicenow_lives_with_what_is_read_only() {
    let mut world = World::new(&PRODUCT, 8);
    world.start();
    let (mut first, mut second, mut problem) = (Truth::incident(1), Truth::incident(2), Truth::problem(3));
    world.commit(vec![first.row(&world.plan), second.row(&world.plan), problem.row(&world.plan)]);
    world.settle();
    let id = |world: &World<Now>, truth: &Truth| world.remote_id(&truth.id()).expect("it has a ticket");
    let (one, two) = (id(&world, &first), id(&world, &second));
    world.server.desk().act(&one, Act::Cancel);
    world.server.desk().act(&two, Act::Close);
    for step in [Step::Update, Step::Resolve, Step::Reopen] {
        first.step(step);
        world.commit(vec![first.row(&world.plan)]);
        world.settle();
    }
    assert_ne!(id(&world, &first), one, "a successor");
    assert_eq!(world.tickets(&first.id()).iter().filter(|t| t.stage.is_open()).count(), 1);
    second.step(Step::Update);
    let link = Truth::link(&second, &problem);
    world.commit(vec![second.row(&world.plan), link.row(&world.plan)]);
    world.settle();
    for step in [Step::Resolve, Step::Update, Step::Reopen] {
        problem.step(step);
        world.commit(vec![problem.row(&world.plan)]);
        world.settle();
    }
    let problems = world.tickets(&problem.id());
    assert_eq!(problems.len(), 2, "the candidate that was cancelled has a successor\n{}", world.story());
}

#[test]
fn servicenow_is_proven_fit() {
    let case = |what, break_it, says, mend| Unfit::<Now> { what, break_it, says, mend };
    is_fit(
        &PRODUCT,
        &[
            case(
                "a search that is not filtered",
                |now| now.0.hidden = vec!["correlation_id"],
                &["searches of incident ignore correlation_id"],
                |now| now.0.hidden.clear(),
            ),
            case(
                "a table that may not be read",
                |now| now.0.unreadable = vec!["problem"],
                &["table problem cannot be read", "roles"],
                |now| now.0.unreadable.clear(),
            ),
            case(
                "work notes that are hidden",
                |now| now.0.hidden = vec!["work_notes"],
                &["field work_notes of incident", "itil"],
                |now| now.0.hidden.clear(),
            ),
            case(
                "rows that may not be made",
                |now| now.0.no_insert = true,
                &["may not make rows of incident", "itil"],
                |now| now.0.no_insert = false,
            ),
            case(
                "a mandatory field",
                |now| now.0.demanded = vec!["caller_id"],
                &["mandatory: caller_id", "set.incident.<field>"],
                |now| now.0.demanded.clear(),
            ),
        ],
    );
}
