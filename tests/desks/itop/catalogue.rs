//! OQL, as far as it is asked, and the classes around tickets.

use serde_json::{Value as Json, json};

use super::{Itop, Outcome, Trouble, wrong};

/// The class that a foreign key leads to.
pub fn target(attribute: &str) -> &'static str {
    match attribute {
        "org_id" => "Organization",
        "team_id" => "Team",
        "service_id" => "Service",
        "parent_problem_id" => "Problem",
        _ => "Person",
    }
}

impl Itop {
    /// The objects of that class that a key finds: a number, or OQL.
    pub(super) fn query(&self, class: &str, key: &Json) -> Outcome<Vec<(u64, Json)>> {
        let oql = match (key.as_u64(), key.as_str()) {
            (Some(id), _) => format!("SELECT {class} WHERE id = {id}"),
            (None, Some(oql)) => oql.to_owned(),
            _ => return wrong("Wrong format for key"),
        };
        let named = oql.strip_prefix("SELECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        assert_eq!(named, class, "OQL and class must agree: {oql}");
        let mut rows = self.rows(class)?;
        let Some((_, condition)) = oql.split_once(" WHERE ") else { return Ok(rows) };
        rows.retain(|(id, row)| {
            condition.split(" OR ").any(|any| any.split(" AND ").all(|t| self.holds(t, *id, row)))
        });
        Ok(rows)
    }

    fn rows(&self, class: &str) -> Outcome<Vec<(u64, Json)>> {
        Ok(match class {
            "Organization" => vec![(1, json!({"name": "Demo"})), (2, json!({"name": "ACME"}))],
            "Person" => vec![(3, json!({"name": "alice"})), (5, json!({"name": "Sexton"}))],
            "Team" => vec![(6, json!({"name": "Operations"}))],
            "Service" => {
                let status = |name: &str| if name.starts_with("Old") { "obsolete" } else { "production" };
                let row = |name: &str| json!({"name": name, "status": status(name)});
                self.services.iter().map(|(id, name)| (*id, row(name))).collect()
            }
            "FunctionalCI" => {
                let row =
                    |(id, name, class): &(u64, &str, &str)| (*id, json!({"name": name, "finalclass": class}));
                self.cis.iter().map(row).collect()
            }
            class if self.classes.contains(&class) => {
                let tickets = self.tickets.iter().filter(|(_, t)| t["finalclass"] == class);
                tickets.map(|(id, t)| (*id, t.clone())).collect()
            }
            _ => return Err(Trouble(100, format!("class: '{class}' is not a valid class"))),
        })
    }

    fn holds(&self, term: &str, id: u64, row: &Json) -> bool {
        let me = if self.person { 5 } else { 0 };
        match term {
            "p.id = :current_contact_id" => me == 5 && id == 2,
            "l.person_id = :current_contact_id" => me == 5 && id == 6 && self.member,
            "c.org_id = 2" => self.contracts.contains(&id),
            "status = 'production'" => row["status"] != "obsolete",
            "id = :current_contact_id" => id == me,
            _ => match term.split_once(' ').unwrap() {
                ("id", rest) => match rest.strip_prefix("IN (") {
                    Some(list) => list.trim_end_matches(')').split(',').any(|n| n == id.to_string()),
                    None => rest == format!("= {id}"),
                },
                ("status", rest) => {
                    let list = rest.strip_prefix("NOT IN (").expect("a list").trim_end_matches(')');
                    !list.split(',').any(|s| s.trim_matches('\'') == row["status"])
                }
                (attribute, rest) => {
                    let value = row[attribute].as_str().unwrap_or_default();
                    match rest.strip_prefix("LIKE ") {
                        Some(like) => value.contains(like.trim_matches('\'').trim_matches('%')),
                        None => value == rest.strip_prefix("= ").expect("a comparison").trim_matches('\''),
                    }
                }
            },
        }
    }
}
