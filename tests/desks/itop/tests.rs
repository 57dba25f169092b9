//! iTop under the suite.

use serde_json::Value as Json;
use sexton::engine::effect::Stage;

use super::Itop;
use crate::world::records::{Step, Truth};
use crate::world::{
    Act, Acted, Desk, Plan, Product, Unfit, View, World, adopts_after_a_lost_store, closed_for_good,
    deleted_behind_our_back, is_fit, read_back, suite,
};

const ITOP: Product<Itop> = Product {
    kind: "itop",
    desk: || Itop { weak: 9, ..Itop::default() },
    options: |base| {
        vec![
            ("url", base.text(&format!("{}/itop", base.url))),
            ("user", base.text("sexton")),
            ("password", base.secret("pass & word")),
            ("auth", base.text("form")),
        ]
    },
    comments: true,
    links: true,
    check,
};

/// PHP 8, simple ticket management, a token, a database that never fails.
const SIMPLE: Product<Itop> = Product {
    desk: || Itop {
        strict: false,
        services: Vec::new(),
        classes: vec!["UserRequest", "Problem"],
        ..Itop::default()
    },
    options: |base| {
        vec![
            ("url", base.text(&format!("{}/itop/", base.url))),
            ("token", base.secret("auth-token")),
            ("map", base.map(&[("org", "2")])),
        ]
    },
    ..ITOP
};

fn check(ticket: &View, record: &Json) {
    assert_eq!(ticket.priority, format!("{}/{}", record["urgency"], record["impact"]), "{}", ticket.subject);
}

#[test]
fn every_record_has_one_ticket_whatever_happens() {
    suite(&ITOP, &Plan::seeded(21));
    suite(&SIMPLE, &Plan::seeded(22));
}

#[test]
fn what_people_do_is_read_back() {
    let acted = |act, stage, assignee, note| Acted { act, stage, assignee, note };
    read_back(
        &ITOP,
        &[
            acted(Act::Assign("alice"), Stage::InProgress, Some("alice"), None),
            acted(Act::Hold("awaiting a disk"), Stage::OnHold, Some("alice"), Some("awaiting a disk")),
            acted(Act::Reopen, Stage::InProgress, Some("alice"), None),
            acted(Act::Resolve("logs rotated"), Stage::Resolved, None, Some("logs rotated")),
            acted(Act::Close, Stage::Closed, None, Some("logs rotated")),
        ],
    );
}

#[test]
fn tickets_of_a_lost_store_are_adopted() {
    adopts_after_a_lost_store(&SIMPLE);
}

#[test]
fn deleted_and_closed_tickets_get_successors() {
    deleted_behind_our_back(&SIMPLE);
    closed_for_good(&SIMPLE);
}

#[test]
fn a_ticket_names_its_machine_origin_and_how_it_ended() {
    let mut world = World::new(&Product { desk: Itop::default, ..ITOP }, 1);
    world.start();
    let mut incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    incident.step(Step::Resolve);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    let desk = world.server.desk();
    let ticket = &desk.tickets[&1];
    assert_eq!(ticket["functionalcis_list"][0]["functionalci_id"], 31, "the server, not the application");
    let text = |name: &str| ticket[name].as_str().unwrap().to_owned();
    assert_eq!([text("org_id"), text("caller_id"), text("origin")], ["2", "5", "monitoring"]);
    assert_eq!([text("team_id"), text("agent_id"), text("service_id")], ["6", "5", "9"]);
    assert_eq!(
        [text("status"), text("solution"), text("resolution_code")],
        ["resolved", "fs.used 60 % < 80 %", "other"]
    );
    assert_eq!(text("ref"), "I-000001", "the reference stays iTop's");
}

#[test]
fn a_resolve_that_itop_lacks_a_service_for_waits_until_there_is_one() {
    let bare = || Itop { services: Vec::new(), member: false, ..Itop::default() };
    let mut world = World::new(&Product { desk: bare, ..ITOP }, 1);
    world.start();
    let mut incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    incident.step(Step::Resolve);
    world.commit(vec![incident.row(&world.plan)]);
    world.until("it was refused", |w| {
        let rows = format!("{:?}", w.rows());
        rows.contains("service_id") && rows.contains("set what it misses as map")
    });
    assert!(world.rows().iter().all(|r| r.state != "parked"), "nobody has to requeue it");
    assert_eq!(world.status().0, "up", "the others go on");
    world.server.desk().services = vec![(9, "Hosting")];
    world.settle();
    let ticket = &world.server.desk().tickets()[0];
    assert_eq!(ticket.stage, Stage::Resolved);
    let said: usize = ticket.comments.iter().map(|c| c.matches("-2-r]").count()).sum();
    assert_eq!(said, 1, "and is told once: {:?}", ticket.comments);
}

#[test]
fn of_several_services_the_one_of_the_record_or_of_a_contract_is_taken() {
    let services = || vec![(7, "Old telephones"), (8, "Workplace"), (9, "Hosting"), (10, "Databases")];
    for (contracts, named, wanted) in [
        (vec![], None, "8"),
        (vec![10, 9], None, "9"),
        (vec![9], Some("Databases"), "10"),
        (vec![10], Some("nobody knows it"), "10"),
    ] {
        let mut world = World::new(&Product { desk: Itop::default, ..ITOP }, 1);
        (world.server.desk().services, world.server.desk().contracts) = (services(), contracts);
        world.start();
        let mut incident = Truth::incident(1);
        incident.body["service"] = named.map_or(Json::Null, Json::from);
        world.commit(vec![incident.row(&world.plan)]);
        world.settle();
        incident.step(Step::Resolve);
        world.commit(vec![incident.row(&world.plan)]);
        world.settle();
        assert_eq!(world.server.desk().tickets[&1]["service_id"], wanted, "{named:?}");
    }
}

#[test]
fn an_unfit_installation_is_told_in_a_sentence() {
    is_fit(
        &Product { desk: Itop::default, ..ITOP },
        &[
            Unfit {
                what: "the profile for web services",
                break_it: |i| i.rest = false,
                says: &["REST Services User"],
                mend: |i| i.rest = true,
            },
            Unfit {
                what: "an account without a person",
                break_it: |i| i.person = false,
                says: &["map org must find one organisation", "tie the account to a person"],
                mend: |i| i.person = true,
            },
            Unfit {
                what: "a data model of its own",
                break_it: |i| i.classes = vec!["Trouble"],
                says: &[
                    "'UserRequest' is not a valid class",
                    "name the class of your incidents as map class.incident",
                ],
                mend: |i| i.classes = vec!["Incident"],
            },
            Unfit {
                what: "an attribute that is demanded",
                break_it: |i| i.demanded = Some("servicesubcategory_id"),
                says: &["servicesubcategory_id", "incident.<attribute>"],
                mend: |i| i.demanded = None,
            },
        ],
    );
}
