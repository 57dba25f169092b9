//! A server that behaves as Zammad is documented and written (tickets, articles, links and search controllers
//! of zammad/zammad), and the suite against it.

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::{self, Act, Acted, Answer, Ask, Desk, Plan, Product, Unfit, View};

/// Our own user.
const OURS: &str = "sexton@example.org";

#[derive(Clone)]
struct Ticket {
    id: u64,
    /// Columns of the table, names instead of ids.
    row: Json,
    /// (subject, body, by)
    articles: Vec<(String, String, String)>,
    at: std::time::Duration,
}

struct Zammad {
    tickets: Vec<Ticket>,
    next: u64,
    /// (type, source, target), ids of tickets.
    links: Vec<(String, u64, u64)>,
    groups: Vec<&'static str>,
    states: Vec<&'static str>,
    /// Columns that may be written beside the fixed ones.
    columns: Vec<&'static str>,
    agent: bool,
}

fn stock() -> Zammad {
    Zammad {
        tickets: Vec::new(),
        next: 1,
        links: Vec::new(),
        groups: vec!["Users"],
        states: vec!["new", "open", "pending reminder", "pending close", "closed", "merged"],
        columns: vec!["note", "type"],
        agent: true,
    }
}

const PRIORITIES: [&str; 3] = ["1 low", "2 normal", "3 high"];

const PRODUCT: Product<Zammad> = Product {
    kind: "zammad",
    desk: stock,
    options: |base| vec![("url", base.text(base.url)), ("token", base.secret("zammad-token"))],
    comments: true,
    links: true,
    check: |ticket, record| {
        let expected = if record["priority"] == "P2" { "3 high" } else { "2 normal" };
        assert_eq!(ticket.priority, expected, "{}", record["number"]);
    },
};

impl Desk for Zammad {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "Token token=zammad-token" {
            return refused(401, "Authentication required");
        }
        let (method, parts) = ask.parts();
        let ["api", "v1", rest @ ..] = &parts[..] else { return refused(404, "No route matches") };
        if !self.agent && rest != ["users", "me"] {
            return refused(403, "Not authorized");
        }
        let names = |names: &[&str]| names.iter().map(|n| json!({"name": n, "active": true})).collect();
        match (method, rest) {
            ("GET", ["users", "me"]) => Answer::json(200, json!({"id": 3, "login": OURS})),
            ("GET", ["ticket_states"]) => Answer::json(200, names(&self.states)),
            ("GET", ["ticket_priorities"]) => Answer::json(200, names(&PRIORITIES)),
            ("GET", ["tickets", "search"]) => self.search(ask),
            ("POST", ["tickets"]) => self.create(ask),
            ("GET", ["tickets", id]) => self.show(id),
            ("PUT", ["tickets", id]) => self.update(id, &ask.json(), OURS),
            ("GET", ["ticket_articles", "by_ticket", id]) => self.articles(id),
            ("GET", ["links"]) => self.list_links(ask),
            ("POST", ["links", "add"]) => self.add_link(&ask.json()),
            _ => refused(404, "No route matches"),
        }
    }

    fn tickets(&self) -> Vec<View> {
        self.tickets.iter().map(|t| self.view(t)).collect()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let body = match act {
            Act::Acknowledge | Act::Reopen => json!({"state": "open"}),
            Act::Assign(who) => json!({"owner": who, "state": "open"}),
            Act::Hold(why) => {
                json!({"state": "pending reminder", "pending_time": "2026-12-01", "article": {"body": why}})
            }
            Act::Resolve(why) => json!({"state": "closed", "article": {"body": why}}),
            Act::Close | Act::Cancel => json!({"state": "closed"}),
            Act::Delete => {
                self.tickets.retain(|t| t.id.to_string() != ticket);
                return;
            }
        };
        let answer = self.update(ticket, &body, "alice");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

impl Zammad {
    fn view(&self, ticket: &Ticket) -> View {
        let text = |name: &str| ticket.row[name].as_str().unwrap_or_default().to_owned();
        let stage = match text("state").as_str() {
            "new" => Stage::New,
            "open" => Stage::InProgress,
            "closed" => Stage::Resolved,
            "merged" => Stage::Cancelled,
            _ => Stage::OnHold,
        };
        let parents = self.links.iter().filter(|(kind, _, target)| kind == "parent" && *target == ticket.id);
        let later = ticket.articles.iter().skip(1);
        View {
            id: ticket.id.to_string(),
            key: text("note").split(' ').next().unwrap_or_default().to_owned(),
            kind: Some(if text("type") == "Problem" { RecordKind::Problem } else { RecordKind::Incident }),
            stage,
            comments: later.map(|(subject, body, _)| format!("{subject}\n{body}")).collect(),
            parents: parents.map(|(_, source, _)| source.to_string()).collect(),
            assignee: text("owner").replace('-', ""),
            subject: text("title"),
            priority: text("priority"),
        }
    }

    fn find(&mut self, id: &str) -> Option<&mut Ticket> {
        self.tickets.iter_mut().find(|t| t.id.to_string() == id)
    }

    fn show(&mut self, id: &str) -> Answer {
        match self.find(id) {
            Some(ticket) => Answer::json(200, ticket.row.clone()),
            None => refused(404, &format!("Couldn't find Ticket with 'id'={id}")),
        }
    }

    fn create(&mut self, ask: &Ask) -> Answer {
        let body = ask.json();
        let customer = body["customer_id"].as_str().unwrap_or_default();
        if !customer.starts_with("guess:") || !customer.contains('@') {
            return refused(422, "Invalid email of customer");
        }
        if body["article"]["body"].as_str().is_none() {
            return refused(422, "Need at least article: { body: \"some text\" }");
        }
        let id = self.next;
        let mut ticket = Ticket {
            id,
            row: json!({"id": id, "number": format!("3400{id}"), "owner": "-", "state": "new",
                "created_by": OURS, "updated_by": OURS, "note": null, "article_count": 0}),
            articles: Vec::new(),
            at: ask.at,
        };
        if let Err(refusal) = self.write(&mut ticket, &body, OURS) {
            return refusal;
        }
        self.next += 1;
        let row = ticket.row.clone();
        self.tickets.push(ticket);
        Answer::json(201, row)
    }

    fn update(&mut self, id: &str, body: &Json, by: &str) -> Answer {
        let Some(mut ticket) = self.find(id).cloned() else {
            return refused(404, &format!("Couldn't find Ticket with 'id'={id}"));
        };
        if let Err(refusal) = self.write(&mut ticket, body, by) {
            return refusal;
        }
        let row = ticket.row.clone();
        *self.find(id).expect("was there") = ticket;
        Answer::json(200, row)
    }

    /// Takes over what are columns; drops what is none without a word.
    fn write(&self, ticket: &mut Ticket, body: &Json, by: &str) -> Result<(), Answer> {
        let lookup = |name: &str, known: &[&str]| match body[name].as_str() {
            Some(value) if !known.contains(&value) => {
                Err(refused(422, &format!("No lookup value found for '{name}': \"{value}\"")))
            }
            _ => Ok(()),
        };
        lookup("group", &self.groups)?;
        lookup("state", &self.states)?;
        lookup("priority", &PRIORITIES)?;
        if body["state"].as_str().is_some_and(|s| s.starts_with("pending")) && body["pending_time"].is_null()
        {
            return Err(refused(422, "Missing required value for field 'pending_time'!"));
        }
        let fixed = ["title", "group", "state", "priority", "owner"];
        for (name, value) in body.as_object().into_iter().flatten() {
            if fixed.contains(&name.as_str()) || self.columns.contains(&name.as_str()) {
                ticket.row[name] = value.clone();
            }
        }
        if let Some(text) = body["article"]["body"].as_str() {
            let subject = body["article"]["subject"].as_str().unwrap_or_default();
            ticket.articles.push((subject.to_owned(), text.to_owned(), by.to_owned()));
            ticket.row["article_count"] = json!(ticket.articles.len());
        }
        ticket.row["updated_by"] = json!(by);
        Ok(())
    }

    fn articles(&mut self, id: &str) -> Answer {
        let Some(ticket) = self.find(id) else { return refused(404, "Couldn't find Ticket") };
        let article = |a: &(String, String, String)| json!({"subject": a.0, "body": a.1, "created_by": a.2});
        Answer::json(200, ticket.articles.iter().map(article).collect())
    }

    /// Conditions ask the database, a query the search index, which lags.
    fn search(&self, ask: &Ask) -> Answer {
        let mut hits: Vec<&Ticket> = self.tickets.iter().collect();
        let query = ask.param("query");
        if !query.is_empty() {
            let settled = |t: &&Ticket| ask.at.saturating_sub(t.at).as_secs() >= 5;
            hits.retain(|t| settled(t) && t.row.to_string().contains(query));
        }
        let operators = ask.query.iter().filter(|(n, _)| n.ends_with("][operator]"));
        for (name, operator) in operators {
            let attribute = name.trim_start_matches("condition[").trim_end_matches("][operator]");
            let value = ask.param(&format!("condition[{attribute}][value]")).to_lowercase();
            let Some((table, column)) = attribute.split_once('.') else {
                return refused(500, "invalid selector");
            };
            let known = ["number", "title", "state"].contains(&column) || self.columns.contains(&column);
            if table == "ticket" && !known {
                return refused(422, "Error ID x: Please contact your administrator.");
            }
            let fits = |text: &str| match operator.as_str() {
                "is" => text.to_lowercase() == value,
                "contains" => text.to_lowercase().contains(&value),
                _ => false,
            };
            hits.retain(|t| match (table, column) {
                ("article", "subject") => t.articles.iter().any(|(subject, ..)| fits(subject)),
                _ => t.row[column].as_str().is_some_and(fits),
            });
        }
        let limit = ask.param("limit").parse().unwrap_or(50);
        Answer::json(200, hits.into_iter().take(limit).map(|t| t.row.clone()).collect())
    }

    fn list_links(&self, ask: &Ask) -> Answer {
        let id: u64 = ask.param("link_object_value").parse().unwrap_or(0);
        let link = |kind: &str, id: u64| json!({"link_type": kind, "link_object": "Ticket", "link_object_value": id});
        let turned = |kind: &str| if kind == "parent" { "child" } else { "parent" }.to_owned();
        let mut list: Vec<Json> = Vec::new();
        for (kind, source, target) in &self.links {
            if *target == id {
                list.push(link(kind, *source));
            } else if *source == id {
                list.push(link(&turned(kind), *target));
            }
        }
        Answer::json(200, json!({"links": list, "assets": {}}))
    }

    fn add_link(&mut self, body: &Json) -> Answer {
        let number = body["link_object_source_number"].as_str().unwrap_or_default();
        let source = self.tickets.iter().find(|t| t.row["number"] == number).map(|t| t.id);
        let target = body["link_object_target_value"].as_u64();
        let target = target.filter(|id| self.tickets.iter().any(|t| t.id == *id));
        let (Some(source), Some(target)) = (source, target) else { return refused(403, "Not authorized") };
        let kind = body["link_type"].as_str().unwrap_or("normal").to_owned();
        // Nothing keeps the same link from being added twice.
        self.links.push((kind, source, target));
        Answer::json(201, json!({"id": self.links.len()}))
    }
}

fn refused(status: u16, why: &str) -> Answer {
    Answer::json(status, json!({"error": why, "error_human": why}))
}

#[test]
fn every_record_has_one_ticket_whatever_happens() {
    world::suite(&PRODUCT, &Plan::seeded(11));
}

#[test]
fn people_are_read_back() {
    let acted = |act, stage, assignee, note| Acted { act, stage, assignee, note };
    world::read_back(
        &PRODUCT,
        &[
            acted(Act::Acknowledge, Stage::Acknowledged, None, None),
            acted(Act::Assign("alice"), Stage::InProgress, Some("alice"), None),
            acted(Act::Hold("waiting for parts"), Stage::OnHold, Some("alice"), None),
            acted(Act::Resolve("disk replaced"), Stage::Resolved, None, Some("disk replaced")),
            acted(Act::Reopen, Stage::InProgress, Some("alice"), None),
        ],
    );
}

#[test]
fn a_lost_store_doubles_nothing() {
    world::adopts_after_a_lost_store(&PRODUCT);
}

#[test]
fn tickets_deleted_or_closed_by_people_do_no_harm() {
    world::deleted_behind_our_back(&PRODUCT);
    world::noticed_when_gone(&PRODUCT);
    world::closed_for_good(&PRODUCT);
}

#[test]
fn an_unfit_installation_is_told_in_a_sentence() {
    let case = |what, break_it, says, mend| Unfit { what, break_it, says, mend };
    world::is_fit(
        &PRODUCT,
        &[
            case(
                "no agent",
                |z| z.agent = false,
                &["sexton@example.org", "ticket.agent"],
                |z| z.agent = true,
            ),
            case(
                "a state has another name",
                |z| z.states[0] = "neu",
                &["'new'", "ticket states (neu"],
                |z| {
                    z.states[0] = "new";
                },
            ),
            case(
                "no column for the key",
                |z| z.columns.clear(),
                &["'note'", "field.key"],
                |z| {
                    z.columns = vec!["note", "type"];
                },
            ),
            case("no such group", |z| z.groups.clear(), &["'group'", "Users"], |z| z.groups.push("Users")),
        ],
    );
}
