//! Jira Cloud as documented: platform REST API 3, a service project made from the template for IT.
//!
//! Traps: the search lags, and shows labels only; an issue that may not be seen is 404; rich text must be a
//! document; a status is only reached over the ways that lead out of the last one; `resolution` is refused
//! where the screen has none; a link to a type that the site has not is 404; comments append.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use sexton::engine::effect::{RecordKind, Stage};
use sexton::engine::moment::SECOND;
use sexton::engine::option::OptionValue;

use crate::world::{
    Act, Acted, Answer, Ask, Desk, Plan, Product, Unfit, View, adopts_after_a_lost_store, closed_for_good,
    deleted_behind_our_back, is_fit, read_back, suite,
};

/// The search shows an issue this long after it was written.
const LAG: Duration = Duration::from_millis(400);

struct Issue {
    number: u64,
    fields: Json,
    status: &'static str,
    comments: Vec<String>,
    parents: Vec<String>,
    resolution: Option<String>,
    assignee: String,
    /// What the search knows: it was last written then.
    indexed_at: Duration,
}

/// One site with the project OPS.
struct Jira {
    issues: Vec<Issue>,
    made: u64,
    browse: bool,
    labels: bool,
    required: bool,
    types: [&'static str; 2],
    links: Vec<&'static str>,
    priorities: bool,
}

impl Default for Jira {
    fn default() -> Self {
        Self {
            issues: Vec::new(),
            made: 0,
            browse: true,
            labels: true,
            required: false,
            types: ["[System] Incident", "[System] Problem"],
            links: vec!["Relates", "Problem/Incident"],
            priorities: true,
        }
    }
}

const PRODUCT: Product<Jira> = Product {
    kind: "jira",
    desk: Jira::default,
    options: |base| {
        vec![
            ("url", base.text(base.url)),
            ("project", base.text("OPS")),
            ("api", base.text("3")),
            ("search_lag", OptionValue::Duration(SECOND)),
            ("user", base.text("sexton@example.org")),
            ("password", base.secret("api-token")),
        ]
    },
    comments: true,
    links: true,
    check: |ticket, record| {
        let names = [("P1", "Highest"), ("P2", "High"), ("P3", "Medium"), ("P4", "Low"), ("P5", "Lowest")];
        let wanted = names.iter().find(|(ours, _)| record["priority"] == *ours).unwrap().1;
        assert_eq!(ticket.priority, wanted, "{}", ticket.subject);
    },
};

/// A status with its category and the ways out of it.
fn status(name: &str) -> (&'static str, &'static [(&'static str, &'static str, &'static str)]) {
    match name {
        "Open" => ("new", &[("11", "Start work", "Work in progress"), ("61", "Cancel", "Canceled")]),
        "Work in progress" => (
            "indeterminate",
            &[("21", "Pend", "Pending"), ("31", "Resolve", "Completed"), ("61", "Cancel", "Canceled")],
        ),
        "Pending" => {
            ("indeterminate", &[("11", "Start work", "Work in progress"), ("31", "Resolve", "Completed")])
        }
        "Completed" => ("done", &[("41", "Reopen", "Work in progress"), ("51", "Close", "Closed")]),
        "Closed" | "Canceled" => ("done", &[]),
        other => panic!("no status {other}"),
    }
}

fn refuse(status: u16, errors: Json) -> Answer {
    Answer::json(status, json!({"errorMessages": [], "errors": errors}))
}

fn sorry(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"errorMessages": [message], "errors": {}}))
}

/// The text of a document; `None` when it is none.
fn plain(document: &Json) -> Option<String> {
    if document["type"] != "doc" || document["version"] != 1 {
        return None;
    }
    let mut text = String::new();
    for block in document["content"].as_array()? {
        for node in block["content"].as_array()? {
            match node["type"].as_str()? {
                "hardBreak" => text.push('\n'),
                _ => text.push_str(node["text"].as_str().filter(|t| !t.is_empty())?),
            }
        }
        text.push('\n');
    }
    Some(text)
}

impl Desk for Jira {
    fn handle(&mut self, ask: &Ask) -> Answer {
        // sexton@example.org:api-token
        if ask.header("authorization") != "Basic c2V4dG9uQGV4YW1wbGUub3JnOmFwaS10b2tlbg==" {
            return sorry(401, "Client must be authenticated to access this resource.");
        }
        let (method, parts) = ask.parts();
        let ["rest", "api", "3", rest @ ..] = &parts[..] else { return Answer::text(404, "<html>") };
        match (method, rest) {
            ("POST", ["search", "jql"]) => self.search(ask),
            ("POST", ["issue", "bulkfetch"]) => self.bulk(ask),
            ("POST", ["issue"]) => self.create(ask),
            ("POST", ["issueLink"]) => self.link(&ask.json()),
            ("GET", ["project", "OPS"]) if self.browse => Answer::json(200, json!({"key": "OPS"})),
            ("GET", ["project", key]) => sorry(404, &format!("No project could be found with key '{key}'.")),
            ("GET", ["issue", "createmeta", "OPS", "issuetypes", rest @ ..]) => self.meta(rest),
            (_, ["issue", key, rest @ ..]) => self.issue(ask, key, rest),
            _ => sorry(404, "null for uri"),
        }
    }

    fn tickets(&self) -> Vec<View> {
        self.issues.iter().map(view).collect()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        if act == Act::Delete {
            self.issues.retain(|i| key(i) != ticket);
            return;
        }
        let issue = self.find(ticket).expect("the issue is there");
        match act {
            Act::Acknowledge | Act::Reopen => issue.status = "Work in progress",
            Act::Assign(name) => issue.assignee = name.to_owned(),
            Act::Hold(_) => issue.status = "Pending",
            Act::Resolve(why) => {
                issue.status = "Completed";
                issue.resolution = Some(why.to_owned());
            }
            Act::Close => issue.status = "Closed",
            Act::Cancel => issue.status = "Canceled",
            Act::Delete => unreachable!("above"),
        }
    }
}

fn key(issue: &Issue) -> String {
    format!("OPS-{}", issue.number)
}

fn labels(issue: &Issue) -> Vec<String> {
    let list = issue.fields["labels"].as_array().cloned().unwrap_or_default();
    list.iter().map(|l| l.as_str().unwrap().to_owned()).collect()
}

fn view(issue: &Issue) -> View {
    let record = |l: &&String| l.starts_with("sx-") && !l.starts_with("sx-a-");
    View {
        id: key(issue),
        key: labels(issue).iter().find(record).cloned().unwrap_or_default(),
        kind: Some(match issue.fields["issuetype"]["name"].as_str() {
            Some("[System] Problem") => RecordKind::Problem,
            _ => RecordKind::Incident,
        }),
        stage: match issue.status {
            "Open" => Stage::New,
            "Work in progress" => Stage::InProgress,
            "Pending" => Stage::OnHold,
            "Completed" => Stage::Resolved,
            "Closed" => Stage::Closed,
            _ => Stage::Cancelled,
        },
        comments: issue.comments.clone(),
        parents: issue.parents.clone(),
        assignee: issue.assignee.clone(),
        subject: issue.fields["summary"].as_str().unwrap().to_owned(),
        priority: issue.fields["priority"]["name"].as_str().unwrap_or_default().to_owned(),
    }
}

fn shown(issue: &Issue, ways: bool) -> Json {
    let (category, out) = status(issue.status);
    let named = |name: &str| json!({"name": name, "statusCategory": {"key": status(name).0}});
    let resolution = issue.resolution.as_ref().map(|r| json!({"name": r}));
    let assignee = Some(&issue.assignee).filter(|a| !a.is_empty()).map(|a| json!({"displayName": a}));
    let mut json = json!({"id": (10_000 + issue.number).to_string(), "key": key(issue), "fields": {
        "summary": issue.fields["summary"], "labels": issue.fields["labels"],
        "priority": issue.fields["priority"], "assignee": assignee, "resolution": resolution,
        "status": {"name": issue.status, "statusCategory": {"key": category}},
    }});
    if ways {
        let way = |(id, name, to): &(&str, &str, &str)| {
            let fields = if *id == "31" { json!({"resolution": {"required": true}}) } else { json!({}) };
            json!({"id": id, "name": name, "to": named(to), "fields": fields})
        };
        json["transitions"] = out.iter().map(way).collect();
    }
    json
}

impl Jira {
    fn find(&mut self, key_: &str) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|i| key(i) == key_)
    }

    /// Understands what is asked of it: clauses joined by AND, newest or oldest first.
    fn search(&self, ask: &Ask) -> Answer {
        let json = ask.json();
        let jql = json["jql"].as_str().unwrap_or("");
        let (clauses, order) = jql.split_once(" ORDER BY ").unwrap_or((jql, ""));
        assert!(order.is_empty() || order == "created ASC", "{jql}");
        let mut hits: Vec<&Issue> = self.issues.iter().filter(|_| self.browse).collect();
        hits.retain(|i| i.indexed_at + LAG <= ask.at);
        for clause in clauses.split(" AND ") {
            match clause.split_once(' ').map(|(field, rest)| (field, rest.trim_matches(['=', ' ', '"']))) {
                Some(("project", "OPS")) => {}
                Some(("labels", label)) => hits.retain(|i| labels(i).iter().any(|l| l == label)),
                Some(("statusCategory", "!= Done")) => hits.retain(|i| status(i.status).0 != "done"),
                _ => return sorry(400, &format!("Error in the JQL Query: {clause}")),
            }
        }
        let most = json["maxResults"].as_u64().unwrap_or(50) as usize;
        let issues: Vec<Json> = hits.into_iter().take(most).map(|i| shown(i, false)).collect();
        Answer::json(200, json!({"issues": issues, "isLast": true}))
    }

    fn bulk(&self, ask: &Ask) -> Answer {
        let wanted = ask.json()["issueIdsOrKeys"].as_array().cloned().unwrap_or_default();
        assert!(wanted.len() <= 100);
        let of = |i: &&Issue| wanted.iter().any(|w| *w == key(i));
        let issues: Vec<Json> = self.issues.iter().filter(of).map(|i| shown(i, false)).collect();
        Answer::json(200, json!({"issues": issues, "issueErrors": []}))
    }

    fn create(&mut self, ask: &Ask) -> Answer {
        let json = ask.json();
        let mut fields = json["fields"].clone();
        let mut errors = BTreeMap::new();
        let mut wrong = |field: &str, why: &str| errors.insert(field.to_owned(), why.to_owned());
        if fields["project"]["key"] != "OPS" || !self.browse {
            wrong("project", "valid project is required");
        }
        if !self.types.iter().any(|t| fields["issuetype"]["name"] == *t) {
            wrong("issuetype", "Specify a valid issue type");
        }
        let summary = fields["summary"].as_str().unwrap_or("");
        if summary.is_empty() || summary.contains('\n') || summary.chars().count() > 255 {
            wrong("summary", "The summary is invalid because it contains newline characters or is too long.");
        }
        let spaced = |l: &Json| l.as_str().is_none_or(|l| l.contains(' ') || l.len() > 255);
        if fields["labels"].as_array().is_some_and(|l| l.iter().any(spaced)) {
            wrong("labels", "The label contains spaces which is invalid.");
        }
        if plain(&fields["description"]).is_none() {
            wrong("description", "Operation value must be an Atlassian Document");
        }
        if !self.priorities && fields.get("priority").is_some() {
            let why = "Field 'priority' cannot be set. It is not on the appropriate screen, or unknown.";
            wrong("priority", why);
        }
        if self.required && fields.get("customfield_10042").is_none() {
            wrong("customfield_10042", "Team is required.");
        }
        if !errors.is_empty() {
            return refuse(400, json!(errors));
        }
        if !self.labels {
            fields["labels"] = json!([]);
        }
        self.made += 1;
        let issue = Issue {
            number: self.made,
            fields,
            status: "Open",
            comments: Vec::new(),
            parents: Vec::new(),
            resolution: None,
            assignee: String::new(),
            indexed_at: ask.at,
        };
        let answer =
            json!({"id": (10_000 + issue.number).to_string(), "key": key(&issue), "self": "https://…"});
        self.issues.push(issue);
        Answer::json(201, answer)
    }

    fn link(&mut self, json: &Json) -> Answer {
        let name = json["type"]["name"].as_str().unwrap_or("");
        if !self.links.contains(&name) {
            return sorry(404, &format!("No issue link type with name '{name}' found."));
        }
        let end = |name: &str| json[name]["key"].as_str().unwrap_or("").to_owned();
        let (problem, incident) = (end("inwardIssue"), end("outwardIssue"));
        if self.find(&problem).is_none() {
            return sorry(404, "Issue does not exist or you do not have permission to see it.");
        }
        let Some(incident) = self.find(&incident) else { return sorry(404, "Issue does not exist") };
        if !incident.parents.contains(&problem) {
            incident.parents.push(problem);
        }
        Answer::text(201, "")
    }

    fn meta(&self, rest: &[&str]) -> Answer {
        let types =
            self.types.iter().enumerate().map(|(n, t)| json!({"id": (10 + n).to_string(), "name": t}));
        let field = |id: &str, required| json!({"fieldId": id, "name": id, "required": required, "hasDefaultValue": false});
        match rest {
            [] => Answer::json(200, json!({"issueTypes": types.collect::<Vec<_>>()})),
            ["10" | "11"] => {
                let mut fields =
                    vec![field("summary", true), field("issuetype", true), field("project", true)];
                fields.extend([field("description", false)]);
                fields.extend(self.labels.then(|| field("labels", false)));
                fields.extend(self.priorities.then(|| field("priority", false)));
                fields.extend(self.required.then(|| field("customfield_10042", true)));
                Answer::json(200, json!({"fields": fields}))
            }
            _ => sorry(404, "no such issue type"),
        }
    }

    fn issue(&mut self, ask: &Ask, key: &str, rest: &[&str]) -> Answer {
        let missing = sorry(404, "Issue does not exist or you do not have permission to see it.");
        if !self.browse {
            return missing;
        }
        let Some(issue) = self.find(key) else { return missing };
        match (ask.method.as_str(), rest) {
            ("GET", []) => Answer::json(200, shown(issue, ask.param("expand").contains("transitions"))),
            ("PUT", []) => {
                let json = ask.json();
                for (field, value) in json["fields"].as_object().into_iter().flatten() {
                    issue.fields[field] = value.clone();
                }
                for change in json["update"]["labels"].as_array().into_iter().flatten() {
                    let list = issue.fields["labels"].as_array_mut().unwrap();
                    list.retain(|l| change["remove"] != *l);
                    list.extend(change.get("add").cloned());
                }
                issue.indexed_at = ask.at;
                Answer::text(204, "")
            }
            ("GET", ["comment"]) => {
                let bodies = issue.comments.iter().rev().map(|c| {
                    json!({"body": {"type": "doc", "content": [{"content": [{"type": "text", "text": c}]}]}})
                });
                Answer::json(200, json!({"comments": bodies.take(50).collect::<Vec<_>>()}))
            }
            ("POST", ["comment"]) => match plain(&ask.json()["body"]) {
                Some(text) => {
                    issue.comments.push(text);
                    Answer::json(201, json!({"id": "1"}))
                }
                None => refuse(400, json!({"comment": "Comment body is not valid!"})),
            },
            ("POST", ["transitions"]) => {
                let json = ask.json();
                let way = status(issue.status).1.iter().find(|(id, ..)| json["transition"]["id"] == *id);
                let Some((id, _, to)) = way else {
                    return sorry(
                        400,
                        "It seems that you have tried to perform an illegal workflow operation.",
                    );
                };
                let resolution = &json["fields"]["resolution"]["name"];
                if *id != "31" && !resolution.is_null() {
                    return refuse(
                        400,
                        json!({"resolution": "Field 'resolution' cannot be set. It is not on the appropriate screen, or unknown."}),
                    );
                }
                if *id == "31" && resolution != "Done" {
                    return refuse(400, json!({"resolution": "Resolution is required."}));
                }
                issue.status = to;
                Answer::text(204, "")
            }
            _ => sorry(405, "method not allowed"),
        }
    }
}

#[test]
fn every_record_has_one_issue_whatever_happens() {
    suite(&PRODUCT, &Plan { episodes: 16, ..Plan::seeded(11) });
}

#[test]
fn sites_without_priority_and_without_the_link_type_are_served() {
    let desk = || Jira { priorities: false, links: vec!["Relates"], ..Jira::default() };
    let product = Product { desk, check: |ticket, _| assert_eq!(ticket.priority, ""), ..PRODUCT };
    suite(&product, &Plan { episodes: 4, faults: 0, crashes: 0, seed: 12 });
}

#[test]
fn what_people_do_comes_back() {
    let acted = |act, stage| Acted { act, stage, assignee: None, note: None };
    read_back(
        &PRODUCT,
        &[
            acted(Act::Acknowledge, Stage::InProgress),
            Acted { assignee: Some("alice"), ..acted(Act::Assign("alice"), Stage::InProgress) },
            acted(Act::Hold("vendor"), Stage::OnHold),
            Acted { note: Some("Fixed by hand"), ..acted(Act::Resolve("Fixed by hand"), Stage::Resolved) },
            acted(Act::Reopen, Stage::InProgress),
            acted(Act::Cancel, Stage::Cancelled),
        ],
    );
}

#[test]
fn a_lost_store_adopts_what_is_open() {
    adopts_after_a_lost_store(&PRODUCT);
}

#[test]
fn a_deleted_issue_is_made_anew_when_it_goes_on() {
    deleted_behind_our_back(&PRODUCT);
}

#[test]
fn an_issue_closed_for_good_gets_a_successor() {
    closed_for_good(&PRODUCT);
}

#[test]
fn a_site_that_is_not_fit_is_told_before_anything_is_sent() {
    is_fit(
        &PRODUCT,
        &[
            Unfit {
                what: "the project is hidden",
                break_it: |jira| jira.browse = false,
                says: &["project OPS", "Browse projects"],
                mend: |jira| jira.browse = true,
            },
            Unfit {
                what: "other names of issue types",
                break_it: |jira| jira.types = ["Incident", "Bug"],
                says: &["map type.incident", "Incident, Bug"],
                mend: |jira| jira.types = ["[System] Incident", "[System] Problem"],
            },
            Unfit {
                what: "a required field",
                break_it: |jira| jira.required = true,
                says: &["customfield_10042", "map set.customfield_10042"],
                mend: |jira| jira.required = false,
            },
            Unfit {
                what: "no labels",
                break_it: |jira| jira.labels = false,
                says: &["no labels"],
                mend: |jira| jira.labels = true,
            },
        ],
    );
}
