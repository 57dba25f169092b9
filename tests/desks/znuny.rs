//! A server that behaves as Znuny's generic interface is written (operations of znuny/Znuny), and the suite
//! against it: on a stock installation, and with a dynamic field for the keys.

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};

use crate::world::{self, Act, Acted, Answer, Ask, Base, Desk, Plan, Product, Unfit, View};

const OURS: u64 = 7;
const ALICE: u64 = 9;

#[derive(Clone)]
struct Ticket {
    row: Json,
    /// (subject, body, by)
    articles: Vec<(String, String, u64)>,
    fields: Vec<(String, String)>,
}

impl Ticket {
    fn id(&self) -> String {
        self.row["TicketID"].to_string()
    }
}

struct Znuny {
    tickets: Vec<Ticket>,
    next: u64,
    queues: Vec<&'static str>,
    /// Dynamic fields of tickets.
    fields: Vec<&'static str>,
    password: &'static str,
}

const STATES: [(&str, &str); 6] = [
    ("new", "new"),
    ("open", "open"),
    ("pending reminder", "pending reminder"),
    ("closed successful", "closed"),
    ("closed unsuccessful", "closed"),
    ("merged", "merged"),
];
const PRIORITIES: [&str; 5] = ["1 very low", "2 low", "3 normal", "4 high", "5 very high"];

fn stock() -> Znuny {
    Znuny {
        tickets: Vec::new(),
        next: 1,
        queues: vec!["Postmaster", "Raw", "Junk", "Misc"],
        fields: Vec::new(),
        password: "znuny-secret",
    }
}

fn login(base: &Base) -> Vec<(&'static str, sexton::engine::option::OptionValue)> {
    vec![
        ("url", base.text(&format!("{}/znuny/nph-genericinterface.pl/Webservice/sexton", base.url))),
        ("user", base.text("sexton")),
        ("password", base.secret("znuny-secret")),
    ]
}

const STOCK: Product<Znuny> = Product {
    kind: "znuny",
    desk: stock,
    options: login,
    comments: true,
    links: true,
    check: |ticket, record| {
        let expected = if record["priority"] == "P2" { "4 high" } else { "2 low" };
        assert_eq!(ticket.priority, expected, "{}", record["number"]);
    },
};

/// With dynamic fields for the keys and the problem.
const KEYED: Product<Znuny> = Product {
    desk: || Znuny { fields: vec!["SextonKey", "SextonProblem"], ..stock() },
    options: |base| {
        let map = base.map(&[("field.key", "SextonKey"), ("field.problem", "SextonProblem")]);
        login(base).into_iter().chain([("map", map)]).collect()
    },
    ..STOCK
};

type Refusal = (&'static str, &'static str);

impl Desk for Znuny {
    fn handle(&mut self, ask: &Ask) -> Answer {
        let route = ask.path.split("/Webservice/sexton").nth(1).unwrap_or_default();
        let body = ask.json();
        let operation = route.trim_start_matches('/');
        if ask.method != "POST" || !body.is_object() {
            return Answer::text(500, "HTTP::REST Error while determine Operation for request URI");
        }
        if body["UserLogin"] != "sexton" || body["Password"] != self.password {
            return error(operation, ("AuthFail", "User could not be authenticated!"));
        }
        let result = match operation {
            "TicketCreate" => self.create(&body),
            "TicketUpdate" => self.update(&body, OURS),
            "TicketGet" => self.get(&body),
            "TicketSearch" => Ok(self.search(&body)),
            _ => return Answer::text(500, "HTTP::REST Error while determine Operation for request URI"),
        };
        match result {
            Ok(json) => Answer::json(200, json),
            Err(refusal) => error(operation, refusal),
        }
    }

    fn tickets(&self) -> Vec<View> {
        self.tickets.iter().map(|t| self.view(t)).collect()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        let (state, note) = match act {
            Act::Acknowledge | Act::Reopen => (Some("open"), None),
            Act::Assign(who) => {
                let row = &mut self.find(ticket).expect("is there").row;
                (row["Owner"], row["OwnerID"], row["ChangeBy"]) = (json!(who), json!(ALICE), json!(ALICE));
                (Some("open"), None)
            }
            Act::Hold(why) => (Some("pending reminder"), Some(why)),
            Act::Resolve(why) => (Some("closed successful"), Some(why)),
            Act::Close => (Some("closed successful"), None),
            Act::Cancel => (Some("closed unsuccessful"), None),
            Act::Delete => {
                self.tickets.retain(|t| t.id() != ticket);
                return;
            }
        };
        let mut body = json!({"TicketID": ticket, "Ticket": {"State": state, "PendingTime": {"Diff": 60}}});
        if let Some(note) = note {
            body["Article"] = json!({"Subject": "note", "Body": note, "ContentType": "text/plain"});
        }
        self.update(&body, ALICE).expect("a person can");
    }
}

impl Znuny {
    fn view(&self, ticket: &Ticket) -> View {
        let text = |name: &str| ticket.row[name].as_str().unwrap_or_default().to_owned();
        let stage = match text("State").as_str() {
            "new" => Stage::New,
            "open" => Stage::InProgress,
            "closed successful" => Stage::Resolved,
            "pending reminder" => Stage::OnHold,
            _ => Stage::Cancelled,
        };
        let field = |name: &str| ticket.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let title = text("Title");
        let in_title = title.rsplit_once('[').map(|(_, rest)| rest.trim_end_matches(']').to_owned());
        let key = field("SextonKey").or(in_title).unwrap_or_default();
        let by_note =
            ticket.articles.iter().filter_map(|(subject, ..)| subject.strip_prefix("Problem Ticket#"));
        let numbers = by_note.map(|rest| rest.split(' ').next().unwrap_or_default().to_owned());
        let numbers: Vec<String> = numbers.chain(field("SextonProblem")).collect();
        let id = |number: &String| {
            let tied = self.tickets.iter().find(|t| t.row["TicketNumber"] == **number);
            tied.map(Ticket::id)
        };
        View {
            id: ticket.id(),
            key: key.split(' ').next().unwrap_or_default().to_owned(),
            kind: None::<RecordKind>,
            stage,
            comments: ticket.articles.iter().skip(1).map(|(s, b, _)| format!("{s}\n{b}")).collect(),
            parents: numbers.iter().filter_map(id).collect(),
            assignee: text("Owner"),
            subject: title,
            priority: text("Priority"),
        }
    }

    fn find(&mut self, id: &str) -> Option<&mut Ticket> {
        self.tickets.iter_mut().find(|t| t.id() == id)
    }

    fn create(&mut self, body: &Json) -> Result<Json, Refusal> {
        let wanted = &body["Ticket"];
        for needed in ["Title", "CustomerUser", "Queue", "State", "Priority"] {
            if wanted[needed].as_str().unwrap_or_default().is_empty() {
                return Err(("MissingParameter", "Ticket parameter is missing!"));
            }
        }
        if !self.queues.iter().any(|q| wanted["Queue"] == *q) {
            return Err(("InvalidParameter", "Ticket->QueueID or Ticket->Queue parameter is invalid!"));
        }
        if !wanted["Type"].is_null() {
            return Err(("InvalidParameter", "Ticket->TypeID or Ticket->Type parameter is invalid!"));
        }
        if body["Article"]["Body"].is_null() || body["Article"]["ContentType"].is_null() {
            return Err(("MissingParameter", "Article->Body parameter is missing!"));
        }
        let id = self.next;
        let row = json!({"TicketID": id, "TicketNumber": format!("20261122{id:04}"), "Title": wanted["Title"],
            "OwnerID": 1, "Owner": "root@localhost", "CreateBy": OURS, "Queue": wanted["Queue"]});
        let mut ticket = Ticket { row, articles: Vec::new(), fields: Vec::new() };
        self.write(&mut ticket, body, OURS)?;
        self.set_fields(&mut ticket, body)?;
        self.next += 1;
        let made = json!({"TicketID": id, "TicketNumber": ticket.row["TicketNumber"], "ArticleID": 1});
        self.tickets.push(ticket);
        Ok(made)
    }

    fn update(&mut self, body: &Json, by: u64) -> Result<Json, Refusal> {
        let id = body["TicketID"].as_str().unwrap_or_default().to_owned();
        let denied = ("AccessDenied", "User does not have access to the ticket!");
        let mut ticket = self.find(&id).ok_or(denied)?.clone();
        if body["Ticket"].as_object().is_some_and(|t| t.is_empty()) {
            return Err(("InvalidParameter", "Ticket parameter is not valid!"));
        }
        self.write(&mut ticket, body, by)?;
        if body["Article"].is_null() {
            self.set_fields(&mut ticket, body)?;
        }
        let told = json!({"TicketID": id, "TicketNumber": ticket.row["TicketNumber"]});
        *self.find(&id).expect("was there") = ticket;
        Ok(told)
    }

    fn write(&self, ticket: &mut Ticket, body: &Json, by: u64) -> Result<(), Refusal> {
        let wanted = &body["Ticket"];
        if let Some(state) = wanted["State"].as_str() {
            let known = STATES.iter().find(|(name, _)| *name == state);
            let (_, kind) = known.ok_or(("InvalidParameter", "Ticket->State parameter is invalid!"))?;
            if kind.starts_with("pending") && wanted["PendingTime"].is_null() {
                return Err(("MissingParameter", "Ticket->PendingTime parameter is missing!"));
            }
            (ticket.row["State"], ticket.row["StateType"]) = (json!(state), json!(kind));
        }
        if let Some(priority) = wanted["Priority"].as_str() {
            if !PRIORITIES.contains(&priority) {
                return Err(("InvalidParameter", "Ticket->Priority parameter is invalid!"));
            }
            ticket.row["Priority"] = json!(priority);
        }
        if let Some(text) = body["Article"]["Body"].as_str() {
            let subject = body["Article"]["Subject"].as_str().unwrap_or_default().to_owned();
            ticket.articles.push((subject, text.to_owned(), by));
        }
        ticket.row["ChangeBy"] = json!(by);
        Ok(())
    }

    fn set_fields(&self, ticket: &mut Ticket, body: &Json) -> Result<(), Refusal> {
        for field in body["DynamicField"].as_array().into_iter().flatten() {
            let name = field["Name"].as_str().unwrap_or_default();
            if !self.fields.contains(&name) {
                return Err(("InvalidParameter", "DynamicField->Name parameter is invalid!"));
            }
            ticket.fields.retain(|(n, _)| n != name);
            ticket.fields.push((name.to_owned(), field["Value"].as_str().unwrap_or_default().to_owned()));
        }
        Ok(())
    }

    fn get(&mut self, body: &Json) -> Result<Json, Refusal> {
        let ids = body["TicketID"].as_str().unwrap_or_default().to_owned();
        let limit = body["ArticleLimit"].as_u64().unwrap_or(1000) as usize;
        let mut shown = Vec::new();
        for id in ids.split(',') {
            let denied = ("AccessDenied", "User does not have access to the ticket!");
            let ticket = self.find(id).ok_or(denied)?;
            let mut row = ticket.row.clone();
            if body["DynamicFields"] == 1 {
                let field = |(n, v): &(String, String)| json!({"Name": n, "Value": v});
                row["DynamicField"] = ticket.fields.iter().map(field).collect();
            }
            if body["AllArticles"] == 1 {
                let article =
                    |a: &(String, String, u64)| json!({"Subject": a.0, "Body": a.1, "CreateBy": a.2});
                row["Article"] = ticket.articles.iter().rev().take(limit).map(article).collect();
            }
            shown.push(row);
        }
        Ok(json!({ "Ticket": shown }))
    }

    /// A condition on a field that is not there is no condition; without a hit there is no list either.
    fn search(&self, body: &Json) -> Json {
        let like = |pattern: &Json, text: &str| {
            let part = pattern.as_str().unwrap_or_default().trim_matches('*').to_lowercase();
            text.to_lowercase().contains(&part)
        };
        let mut hits: Vec<&Ticket> = self.tickets.iter().collect();
        if !body["Title"].is_null() {
            hits.retain(|t| like(&body["Title"], t.row["Title"].as_str().unwrap_or_default()));
        }
        for name in &self.fields {
            let pattern = &body[format!("DynamicField_{name}")]["Like"];
            if !pattern.is_null() {
                hits.retain(|t| t.fields.iter().any(|(n, v)| n == name && like(pattern, v)));
            }
        }
        let limit = body["Limit"].as_u64().unwrap_or(500) as usize;
        let ids: Vec<Json> = hits.into_iter().take(limit).map(|t| json!(t.id())).collect();
        if ids.is_empty() { json!({}) } else { json!({ "TicketID": ids }) }
    }
}

/// Znuny's errors come as a success.
fn error(operation: &str, (code, text): Refusal) -> Answer {
    let code = format!("{operation}.{code}");
    Answer::json(200, json!({"Error": {"ErrorCode": code, "ErrorMessage": format!("{operation}: {text}")}}))
}

#[test]
fn every_record_has_one_ticket_whatever_happens() {
    world::suite(&STOCK, &Plan::seeded(21));
}

#[test]
fn every_record_has_one_ticket_whatever_happens_with_a_field_for_the_key() {
    world::suite(&KEYED, &Plan::seeded(22));
}

#[test]
fn people_are_read_back() {
    let acted = |act, stage, assignee, note| Acted { act, stage, assignee, note };
    world::read_back(
        &STOCK,
        &[
            acted(Act::Acknowledge, Stage::Acknowledged, None, None),
            acted(Act::Assign("alice"), Stage::InProgress, Some("alice"), None),
            acted(Act::Hold("waiting for parts"), Stage::OnHold, Some("alice"), None),
            acted(Act::Resolve("disk replaced"), Stage::Resolved, None, Some("disk replaced")),
            acted(Act::Cancel, Stage::Cancelled, None, None),
            acted(Act::Reopen, Stage::InProgress, Some("alice"), None),
        ],
    );
}

#[test]
fn a_lost_store_doubles_nothing() {
    world::adopts_after_a_lost_store(&KEYED);
}

#[test]
fn tickets_deleted_or_closed_by_people_do_no_harm() {
    world::deleted_behind_our_back(&STOCK);
    world::noticed_when_gone(&STOCK);
    world::closed_for_good(&KEYED);
}

#[test]
fn an_unfit_installation_is_told_in_a_sentence() {
    let case = |what, break_it, says, mend| Unfit { what, break_it, says, mend };
    let alone = |z: &mut Znuny| {
        let body = json!({"Ticket": {"Title": "the printer is on fire", "Queue": "Raw", "State": "open",
            "Priority": "3 normal", "CustomerUser": "bob"}, "Article": {"Body": "help", "ContentType": "text/plain"}});
        z.create(&body).expect("a ticket of somebody else");
        z.fields.clear();
    };
    world::is_fit(
        &KEYED,
        &[
            case(
                "another password",
                |z| z.password = "changed",
                &["user 'sexton' is refused", "AuthFail"],
                |z| {
                    z.password = "znuny-secret";
                },
            ),
            case("no such queue", |z| z.queues.clear(), &["Ticket->Queue"], |z| z.queues.push("Raw")),
            case(
                "no such field, and tickets of others",
                alone,
                &["finds every ticket", "'SextonKey'"],
                |z| {
                    z.fields = vec!["SextonKey", "SextonProblem"];
                },
            ),
            case(
                "no such field",
                |z| z.fields.clear(),
                &["DynamicField->Name"],
                |z| {
                    z.fields = vec!["SextonKey", "SextonProblem"];
                },
            ),
        ],
    );
}
