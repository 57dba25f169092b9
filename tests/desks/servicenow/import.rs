//! Import Sets: staging tables with the transform maps of the documentation.

use serde_json::{Value as Json, json};

use super::Now;
use super::instance::{Instance, Row, refuse};
use crate::world::{Act, Answer, Ask, Desk, Plan, Product, Unfit, View, is_fit, suite};

/// An instance with staging tables.
struct Import {
    now: Now,
    /// The answer does not tell what became of a row: the staging table may not be read.
    mute: bool,
    /// There are no staging tables.
    bare: bool,
}

const PRODUCT: Product<Import> = Product {
    kind: "servicenow-import",
    desk: || Import { now: Now(Instance::stock()), mute: false, bare: false },
    options: |base| {
        let (user, password) = (base.text("sexton"), base.secret("swordfish"));
        vec![("url", base.text(base.url)), ("user", user), ("password", password)]
    },
    comments: true,
    links: true,
    check: |_, _| {},
};

impl Desk for Import {
    fn handle(&mut self, ask: &Ask) -> Answer {
        if ask.header("authorization") != "Basic c2V4dG9uOnN3b3JkZmlzaA==" {
            return refuse(401, "Required to provide Auth information");
        }
        let (method, parts) = ask.parts();
        let table = match parts[..] {
            _ if self.bare => return refuse(400, "Invalid table"),
            ["api", "now", _, "u_sexton_incident"] => "incident",
            ["api", "now", _, "u_sexton_problem"] => "problem",
            _ => return refuse(400, "Invalid table"),
        };
        match (method, parts[2]) {
            ("GET", "table") => Answer::json(200, json!({"result": []})),
            ("POST", "import") => self.import(table, &ask.json()),
            _ => refuse(405, "Method not supported"),
        }
    }

    fn tickets(&self) -> Vec<View> {
        self.now.tickets()
    }

    fn act(&mut self, ticket: &str, act: Act) {
        self.now.act(ticket, act);
    }
}

impl Import {
    fn import(&mut self, table: &'static str, row: &Json) -> Answer {
        let result = match self.transform(table, row) {
            Ok((status, target)) => json!({"transform_map": "sexton", "table": table, "status": status,
                "sys_id": target["sys_id"], "display_value": target["number"]}),
            Err(message) => {
                json!({"transform_map": "sexton", "table": table, "status": "error", "status_message": message})
            }
        };
        if self.mute {
            return Answer::json(201, json!({"import_set": "ISET1", "staging_table": "u", "result": []}));
        }
        Answer::json(201, json!({"import_set": "ISET1", "staging_table": "u", "result": [result]}))
    }

    /// The transform map: coalesce on the key, empty columns change nothing, closed rows are left alone, a
    /// note is written once per marker.
    fn transform(&mut self, table: &'static str, row: &Json) -> Result<(&'static str, Row), String> {
        let key = row["u_correlation_id"].as_str().ok_or("no coalesce value")?;
        let has = |r: &&Row| r.get("correlation_id").is_some_and(|k| k == key);
        let known = self.now.0.tables[table].iter().find(has).cloned();
        if let Some(closed) = known.clone().filter(is_closed) {
            return Ok(("ignored", closed));
        }
        let mut body = json!({});
        for (column, value) in row.as_object().unwrap() {
            let field = match (column.as_str(), table) {
                ("u_marker", _) => continue,
                ("u_problem", _) => {
                    let problems = &self.now.0.tables["problem"];
                    let of = |p: &&Row| p.get("correlation_id").map(String::as_str) == value.as_str();
                    let problem = problems.iter().find(of).ok_or("no such problem")?;
                    body["problem_id"] = json!(problem["sys_id"]);
                    continue;
                }
                ("u_state", "problem") => "problem_state",
                ("u_close_code", "problem") => "resolution_code",
                ("u_ci", _) => continue,
                (other, _) => other.strip_prefix("u_").ok_or("no such column")?,
            };
            body[field] = value.clone();
        }
        let marker = row["u_marker"].as_str().unwrap_or("\0");
        let notes = known.as_ref().and_then(|r| self.now.0.journal.get(&r["sys_id"]));
        if notes.is_some_and(|notes| notes.iter().any(|n| n.contains(marker))) {
            body.as_object_mut().unwrap().remove("work_notes");
        }
        let status = if known.is_some() { "updated" } else { "inserted" };
        let before = known.clone().unwrap_or_else(|| self.now.0.new_row(table));
        let after = self.now.0.write(table, before, &body);
        let after = after.map_err(|a| String::from_utf8_lossy(&a.body).into_owned())?;
        match known {
            Some(_) => self.now.0.put(table, after.clone()),
            None => self.now.0.tables.get_mut(table).unwrap().push(after.clone()),
        }
        Ok((status, after))
    }
}

fn is_closed(row: &Row) -> bool {
    ["7", "8", "107"].contains(&row["state"].as_str())
}

#[test]
fn imports_hold_the_truth_under_faults_and_crashes() {
    suite(&PRODUCT, &Plan::seeded(3));
}

#[test]
fn imports_are_proven_fit() {
    let missing = Unfit::<Import> {
        what: "no staging table",
        break_it: |import| import.bare = true,
        says: &["table u_sexton_incident cannot be read", "Invalid table"],
        mend: |import| import.bare = false,
    };
    is_fit(&PRODUCT, &[missing]);
}

#[test]
fn a_row_of_which_nothing_is_told_is_staged_again() {
    let mut world = crate::world::World::new(&PRODUCT, 6);
    world.server.desk().mute = true;
    world.start();
    let incident = crate::world::records::Truth::incident(1);
    world.commit(vec![incident.row(&world.plan)]);
    world.until("it is told", |w| w.status().1.contains("grant read access"));
    world.server.desk().mute = false;
    world.settle();
    assert_eq!(world.tickets(&incident.id()).len(), 1, "coalesced");
}
