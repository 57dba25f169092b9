//! GLPI under the suite, in both versions.

use serde_json::{Value as Json, json};
use sexton::engine::effect::Stage;

use super::{Glpi, RULE_URGENCY, RULED};
use crate::world::records::{Step, Truth};
use crate::world::{
    Act, Acted, Desk, Plan, Product, Unfit, View, World, adopts_after_a_lost_store, closed_for_good,
    deleted_behind_our_back, is_fit, read_back, suite,
};

const ELEVEN: Product<Glpi> = Product {
    kind: "glpi",
    desk: Glpi::default,
    options: |base| {
        vec![
            ("url", base.text(&format!("{}/apirest.php", base.url))),
            ("token", base.secret("user-token")),
            ("app_token", base.secret("app-token")),
        ]
    },
    comments: true,
    links: true,
    check,
};

const TEN: Product<Glpi> = Product { desk: ten, ..ELEVEN };

const V2: Product<Glpi> = Product {
    options: |base| {
        vec![
            ("url", base.text(&format!("{}/api.php/v2", base.url))),
            ("oauth_client", base.text("client")),
            ("oauth_secret", base.secret("client-secret")),
            ("user", base.text("sexton")),
            ("password", base.secret("password")),
        ]
    },
    ..ELEVEN
};

/// Behind a web server that follows the address of what was made.
const MISLED: Product<Glpi> = Product { desk: misled, ..V2 };

fn misled() -> Glpi {
    let mut glpi = Glpi::default();
    glpi.v2.misleads = 2;
    glpi
}

fn ten() -> Glpi {
    Glpi { version: 10, ..Glpi::default() }
}

/// The weight follows the host, and a rule's urgency stands as long as the host has not changed its own.
fn check(ticket: &View, record: &Json) {
    let level = |name: &str| match record[name].as_u64().unwrap() {
        1 => 5,
        2 => 3,
        _ => 2,
    };
    let worsened =
        record["timeline"].as_array().unwrap().iter().any(|e| e["kind"] == "step" || e["kind"] == "reopened");
    let ruled = ticket.subject.contains(RULED) && record["schema"] == "incident/1";
    let weighs = |urgency: i64| format!("{urgency}/{}", level("impact"));
    // What was worse before the ticket was made came with it, and the rule had the last word.
    let may = match (ruled, worsened) {
        (true, false) => vec![weighs(RULE_URGENCY)],
        (true, true) => vec![weighs(RULE_URGENCY), weighs(level("urgency"))],
        (false, _) => vec![weighs(level("urgency"))],
    };
    assert!(may.contains(&ticket.priority), "{}: {} is none of {may:?}", ticket.subject, ticket.priority);
}

#[test]
fn every_record_has_one_ticket_whatever_happens() {
    for (product, seed) in [(&ELEVEN, 11), (&TEN, 12), (&V2, 13), (&MISLED, 14)] {
        suite(product, &Plan::seeded(seed));
    }
}

#[test]
fn one_session_serves_many_tickets_and_is_opened_anew_when_it_has_run_out() {
    let mut world = World::new(&ELEVEN, 1);
    world.start();
    for n in 1..=12 {
        world.commit(vec![Truth::incident(n).row(&world.plan)]);
        world.settle();
    }
    world.commit(vec![Truth::problem(13).row(&world.plan)]);
    world.settle();
    let desk = world.server.desk();
    assert_eq!((desk.tickets().len(), desk.opened), (13, 2));
    let tied =
        |kind: &str| desk.assets.iter().filter(|((k, _), computer)| k == kind && *computer == 42).count();
    assert_eq!((tied("Ticket"), tied("Problem")), (12, 1), "tied to the computer of that name");
}

#[test]
fn what_people_do_is_read_back() {
    let acted = |act, stage, assignee, note| Acted { act, stage, assignee, note };
    for product in [&ELEVEN, &TEN, &V2] {
        read_back(
            product,
            &[
                acted(Act::Assign("alice"), Stage::InProgress, Some("alice"), None),
                acted(Act::Hold("awaiting a disk"), Stage::OnHold, Some("alice"), None),
                acted(Act::Reopen, Stage::InProgress, Some("alice"), None),
                acted(
                    Act::Resolve("logs & more rotated"),
                    Stage::Resolved,
                    None,
                    Some("logs & more rotated"),
                ),
                acted(Act::Close, Stage::Closed, None, Some("rotated")),
            ],
        );
    }
}

#[test]
fn tickets_of_a_lost_store_are_adopted() {
    adopts_after_a_lost_store(&ELEVEN);
    adopts_after_a_lost_store(&TEN);
    adopts_after_a_lost_store(&V2);
}

#[test]
fn deleted_and_closed_tickets_get_successors() {
    deleted_behind_our_back(&ELEVEN);
    closed_for_good(&ELEVEN);
    closed_for_good(&TEN);
    deleted_behind_our_back(&V2);
    closed_for_good(&V2);
    closed_for_good(&MISLED);
}

#[test]
fn an_unfit_installation_is_told_in_a_sentence() {
    is_fit(
        &ELEVEN,
        &[
            Unfit {
                what: "another application token",
                break_it: |g| g.app_token = "other".into(),
                says: &["ERROR_WRONG_APP_TOKEN_PARAMETER"],
                mend: |g| g.app_token = "app-token".into(),
            },
            Unfit {
                what: "no right to comment",
                break_it: |g| g.profile["followup"] = json!(1),
                says: &["Monitoring", "Followups > Add to all items"],
                mend: |g| g.profile["followup"] = json!(4096 | 1),
            },
            Unfit {
                what: "no right to create",
                break_it: |g| g.profile["ticket"] = json!("1026"),
                says: &["Tickets > Create"],
                mend: |g| g.profile["ticket"] = json!("1030"),
            },
            Unfit {
                what: "a template that demands a category",
                break_it: |g| g.mandatory = Some("itilcategories_id"),
                says: &["Mandatory fields are not filled", "incident.<field>"],
                mend: |g| g.mandatory = None,
            },
        ],
    );
}

#[test]
fn an_installation_that_is_unfit_for_the_api_v2_is_told_in_a_sentence() {
    is_fit(
        &V2,
        &[
            Unfit {
                what: "another password",
                break_it: |g| g.v2.password = "other".into(),
                says: &[
                    "no access token: invalid_grant",
                    "logged in by oauth_client client",
                    "password from file",
                ],
                mend: |g| g.v2.password = "password".into(),
            },
            Unfit {
                what: "a client without the scope",
                break_it: |g| g.v2.scope = false,
                says: &["the scope 'api' is not allowed to the OAuth client"],
                mend: |g| g.v2.scope = true,
            },
            Unfit {
                what: "the simplified interface",
                break_it: |g| g.profile["interface"] = json!("helpdesk"),
                says: &["Monitoring", "standard interface"],
                mend: |g| g.profile["interface"] = json!("central"),
            },
            Unfit {
                what: "no right to see tickets",
                break_it: |g| g.profile["ticket"] = json!(6),
                says: &["Monitoring", "See all tickets"],
                mend: |g| g.profile["ticket"] = json!(4 | 2 | 1024),
            },
            Unfit {
                what: "no right to create",
                break_it: |g| g.profile["ticket"] = json!(1026),
                says: &["GLPI takes no new Ticket", "permission"],
                mend: |g| g.profile["ticket"] = json!(1030),
            },
            Unfit {
                what: "a template that demands a category",
                break_it: |g| g.mandatory = Some("itilcategories_id"),
                says: &["Mandatory fields are not filled", "incident.<field>"],
                mend: |g| g.mandatory = None,
            },
        ],
    );
}

#[test]
fn a_followup_leaves_what_people_decided_and_the_token_is_got_once() {
    let mut world = World::new(&V2, 1);
    world.start();
    let mut incident = Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.settle();
    let ticket = world.remote_id(&incident.id()).expect("it has a ticket");
    for (act, stage) in [(Act::Hold("a disk"), Stage::OnHold), (Act::Resolve("it runs"), Stage::Resolved)] {
        world.server.desk().act(&ticket, act);
        incident.step(Step::Update);
        world.commit(vec![incident.row(&world.plan)]);
        world.settle();
        let tickets = world.server.desk().tickets();
        assert_eq!(tickets[0].stage, stage, "{}", world.story());
    }
    let said = world.server.desk().tickets()[0].comments.len();
    assert_eq!((said, world.server.desk().opened), (3, 1), "two followups and the person's solution");
}
