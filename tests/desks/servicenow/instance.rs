//! What a ServiceNow instance does with queries and writes, as far as it is documented.
//!
//! Everything is text. Conditions on unknown fields are dropped; rights act after the query, the count before
//! them; fields that are unknown or hidden are left out of answers and ignored in writes; long texts are cut
//! without a word; data policies, business rules and access controls answer 403 alike.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::world::{Answer, Ask};

/// A row: field to value.
pub type Row = BTreeMap<String, String>;

/// The fields that can be read and written, with the most characters each keeps.
const FIELDS: &[(&str, usize)] = &[
    ("short_description", 160),
    ("description", 4000),
    ("state", 40),
    ("problem_state", 40),
    ("impact", 40),
    ("urgency", 40),
    ("priority", 40),
    ("category", 40),
    ("correlation_id", 100),
    ("correlation_display", 100),
    ("cmdb_ci", 32),
    ("assignment_group", 32),
    ("assigned_to", 32),
    ("caller_id", 32),
    ("contact_type", 40),
    ("close_code", 40),
    ("close_notes", 4000),
    ("resolution_code", 40),
    ("hold_reason", 40),
    ("problem_id", 32),
    ("parent_incident", 32),
    ("work_notes", usize::MAX),
    ("active", 40),
    ("number", 40),
    ("sys_id", 32),
    ("sys_created_on", 40),
    ("sys_created_by", 40),
    ("sys_updated_by", 40),
];

/// An instance.
pub struct Instance {
    /// Rows by table, oldest first.
    pub tables: BTreeMap<&'static str, Vec<Row>>,
    /// Work notes by sys_id, oldest first.
    pub journal: BTreeMap<String, Vec<String>>,
    /// Fields that are not there, or hidden from the account.
    pub hidden: Vec<&'static str>,
    /// Tables that the account may not read.
    pub unreadable: Vec<&'static str>,
    /// It may not insert.
    pub no_insert: bool,
    /// What a data policy demands of a new incident beside.
    pub demanded: Vec<&'static str>,
    made: usize,
}

impl Instance {
    /// A stock instance with a CMDB of some rows.
    pub fn stock() -> Self {
        let row = |fields: &[(&str, &str)]| -> Row {
            fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let ci = |id: &str, name: &str| row(&[("sys_id", id), ("name", name)]);
        let choice = |v: &str| row(&[("name", "incident"), ("element", "close_code"), ("value", v)]);
        let stranger = row(&[
            ("sys_id", "f00"),
            ("number", "INC0000001"),
            ("short_description", "A printer"),
            ("state", "1"),
            ("active", "true"),
        ]);
        let tables = BTreeMap::from([
            ("incident", vec![stranger]),
            ("problem", Vec::new()),
            ("cmdb_ci", vec![ci("c1", "WEB-01"), ci("c2", "db-01"), ci("c3", "db-01")]),
            ("sys_choice", vec![choice("Known error"), choice("Solution provided")]),
            ("sys_user_group", vec![row(&[("sys_id", "g1"), ("name", "Linux")])]),
            ("sys_user", Vec::new()),
        ]);
        Self {
            tables,
            journal: BTreeMap::new(),
            hidden: Vec::new(),
            unreadable: Vec::new(),
            no_insert: false,
            demanded: Vec::new(),
            made: 0,
        }
    }

    /// `/api/now/table/…`.
    pub fn table_api(&mut self, ask: &Ask) -> Answer {
        let (method, parts) = ask.parts();
        let Some(table) = parts.get(3).and_then(|t| self.tables.keys().find(|k| *k == t)).copied() else {
            return refuse(400, "Invalid table");
        };
        match (method, parts.get(4)) {
            ("GET", _) if self.unreadable.contains(&table) => refuse(403, "User Not Authorized"),
            ("GET", None) => self.list(ask, table),
            ("GET", Some(id)) => match self.find(table, id) {
                Some(row) => Answer::json(200, json!({ "result": self.shown(ask, row) })),
                None => refuse(404, "No Record found"),
            },
            ("POST", None) => self.insert(ask, table),
            ("PATCH", Some(id)) => self.update(ask, table, id),
            _ => refuse(405, "Method not supported"),
        }
    }

    fn find(&self, table: &str, id: &str) -> Option<&Row> {
        self.tables[table].iter().find(|row| row["sys_id"] == id)
    }

    fn list(&self, ask: &Ask, table: &str) -> Answer {
        let parts: Vec<&str> = ask.param("sysparm_query").split('^').collect();
        let mut rows: Vec<&Row> = self.tables[table].iter().collect();
        for (i, part) in parts.iter().enumerate() {
            let or = parts.get(i + 1).and_then(|p| p.strip_prefix("OR")).filter(|p| !p.starts_with("DER"));
            if !part.is_empty() && !part.starts_with("OR") {
                rows.retain(|row| {
                    self.holds(table, row, part) || or.is_some_and(|o| self.holds(table, row, o))
                });
            }
        }
        if ask.param("sysparm_query").contains("ORDERBYDESC") {
            rows.reverse();
        }
        let limit: usize = ask.param("sysparm_limit").parse().unwrap_or(10_000);
        let shown: Vec<Json> = rows.iter().take(limit).map(|row| self.shown(ask, row)).collect();
        Answer::json(200, json!({ "result": shown })).with("X-Total-Count", &rows.len().to_string())
    }

    /// A condition that cannot be understood holds of everything.
    fn holds(&self, table: &str, row: &Row, part: &str) -> bool {
        let (field, list) = match (part.split_once('='), part.split_once("IN")) {
            (Some((field, value)), _) => (field, vec![value]),
            (None, Some((field, list))) => (field, list.split(',').collect()),
            _ => return true,
        };
        let known = !self.is_ticket(table) || FIELDS.iter().any(|(name, _)| *name == field);
        if !known || self.hidden.contains(&field) {
            return true;
        }
        let own = row.get(field).map_or("", String::as_str);
        list.iter().any(|value| value.eq_ignore_ascii_case(own))
    }

    fn is_ticket(&self, table: &str) -> bool {
        matches!(table, "incident" | "problem")
    }

    fn shown(&self, ask: &Ask, row: &Row) -> Json {
        let both = ask.param("sysparm_display_value") == "all";
        let mut out = json!({});
        for field in ask.param("sysparm_fields").split(',') {
            let known = row.contains_key(field) || FIELDS.iter().any(|(name, _)| *name == field);
            if !known || self.hidden.contains(&field) {
                continue;
            }
            let value = row.get(field).map_or("", String::as_str);
            out[field] = match (field, both) {
                ("work_notes", false) => json!(""),
                ("work_notes", true) => {
                    let notes = self.journal.get(&row["sys_id"]).map(Vec::as_slice).unwrap_or_default();
                    let all: Vec<&str> = notes.iter().rev().map(String::as_str).collect();
                    json!({"value": "", "display_value": all.join("\n\n")})
                }
                (_, false) => json!(value),
                (_, true) => json!({"value": value, "display_value": display(field, value)}),
            };
        }
        out
    }

    fn insert(&mut self, ask: &Ask, table: &'static str) -> Answer {
        if self.no_insert {
            return refuse(403, "ACL Exception Insert Failed due to security constraints");
        }
        let body = ask.json();
        let missing: Vec<&str> =
            self.demanded.iter().copied().filter(|f| body[*f].as_str().is_none()).collect();
        if !missing.is_empty() {
            let fields = missing.join(", ");
            return refuse(
                403,
                &format!("Data Policy Exception: The following fields are mandatory: {fields}"),
            );
        }
        let row = self.new_row(table);
        match self.write(table, row, &body) {
            Ok(row) => {
                let shown = self.shown(ask, &row);
                self.tables.get_mut(table).unwrap().push(row);
                Answer::json(201, json!({ "result": shown }))
            }
            Err(answer) => answer,
        }
    }

    /// A row as its defaults make it.
    pub fn new_row(&mut self, table: &str) -> Row {
        self.made += 1;
        let (prefix, state) = if table == "problem" { ("PRB", "101") } else { ("INC", "1") };
        let base = [
            ("sys_id", format!("{:032x}", self.made)),
            ("number", format!("{prefix}{:07}", self.made + 1000)),
            ("state", state.to_owned()),
            ("problem_state", if table == "problem" { state.to_owned() } else { String::new() }),
            ("impact", "3".to_owned()),
            ("urgency", "3".to_owned()),
            ("active", "true".to_owned()),
            ("sys_created_on", "2026-11-22 10:00:00".to_owned()),
            ("sys_created_by", "sexton".to_owned()),
        ];
        base.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
    }

    fn update(&mut self, ask: &Ask, table: &'static str, id: &str) -> Answer {
        let Some(row) = self.find(table, id).cloned() else { return refuse(404, "No Record found") };
        if matches!(row["state"].as_str(), "7" | "8" | "107") {
            return refuse(403, "ACL Exception Update Failed due to security constraints");
        }
        match self.write(table, row, &ask.json()) {
            Ok(row) => {
                let shown = self.shown(ask, &row);
                self.put(table, row);
                Answer::json(200, json!({ "result": shown }))
            }
            Err(answer) => answer,
        }
    }

    /// Puts a changed row in its place.
    pub fn put(&mut self, table: &'static str, row: Row) {
        let rows = self.tables.get_mut(table).unwrap();
        let place = rows.iter_mut().find(|r| r["sys_id"] == row["sys_id"]).unwrap();
        *place = row;
    }

    /// The row with those values in it, unless policies, rules or the state model refuse.
    pub fn write(&mut self, table: &str, before: Row, body: &Json) -> Result<Row, Answer> {
        let mut row = before.clone();
        for (field, value) in body.as_object().into_iter().flatten() {
            let known = FIELDS.iter().find(|(name, _)| name == field);
            let Some((_, most)) = known.filter(|_| !self.hidden.contains(&field.as_str())) else { continue };
            let value = value.as_str().expect("everything is text");
            if field != "work_notes" {
                row.insert(field.clone(), value.chars().take(*most).collect());
            }
        }
        let priority = match (row["impact"].as_str(), row["urgency"].as_str()) {
            ("1", "1") => "1",
            ("1", "2") | ("2", "1") => "2",
            ("1", "3") | ("2", "2") | ("3", "1") => "3",
            ("2", "3") | ("3", "2") => "4",
            _ => "5",
        };
        row.insert("priority".into(), priority.into());
        row.insert("sys_updated_by".into(), "sexton".into());
        if table == "problem" {
            // Of the two fields the older one rules; the newer one alone is overwritten without a word.
            let state = row["problem_state"].clone();
            row.insert("state".into(), state);
        }
        lacks(table, &before, &row).map_or(Ok(()), |fields| {
            Err(refuse(403, &format!("Data Policy Exception: The following fields are mandatory: {fields}")))
        })?;
        if table == "problem" && !may_go(&before["state"], &row["state"]) {
            let words = "Operation against file 'problem' was aborted by Business Rule 'Problem state model'";
            return Err(refuse(403, words));
        }
        let active = !matches!(row["state"].as_str(), "7" | "8" | "107");
        row.insert("active".into(), active.to_string());
        if let Some(note) = body["work_notes"].as_str().filter(|n| !n.is_empty()) {
            let line = format!("2026-11-22 11:00:00 - sexton (Work notes)\n{note}");
            self.journal.entry(row["sys_id"].clone()).or_default().push(line);
        }
        Ok(row)
    }
}

/// The fields that a data policy asks for in this state.
fn lacks(table: &str, before: &Row, row: &Row) -> Option<String> {
    if before.get("state") == row.get("state") {
        return None;
    }
    let wanted: &[&str] = match (table, row["state"].as_str()) {
        ("incident", "6" | "7") => &["close_code", "close_notes"],
        ("incident", "3") => &["hold_reason"],
        ("problem", "107") => &["resolution_code", "close_notes"],
        ("problem", "102" | "103" | "104" | "106") => &["assigned_to"],
        _ => &[],
    };
    let missing: Vec<&str> =
        wanted.iter().copied().filter(|f| row.get(*f).is_none_or(String::is_empty)).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// The ways of the problem state model.
fn may_go(from: &str, to: &str) -> bool {
    from == to
        || matches!(
            (from, to),
            ("101", "102" | "107")
                | ("102", "103" | "107")
                | ("103", "104" | "106" | "107")
                | ("104", "106" | "103")
                | ("106", "107" | "103")
        )
}

/// How people see a value.
fn display(field: &str, value: &str) -> String {
    match (field, value) {
        ("hold_reason", "5") => "Awaiting Change".to_owned(),
        ("hold_reason", "4") => "Awaiting Vendor".to_owned(),
        ("assigned_to", "") => String::new(),
        ("assigned_to", id) => id.strip_prefix("user-").unwrap_or(id).to_owned(),
        // Choice lists and times are shown by the user's language and zone: nobody may compare them.
        ("state" | "problem_state", state) => format!("Zustand {state}"),
        ("sys_created_on", _) => "22.11.2026 02:00:00".to_owned(),
        (_, value) => value.to_owned(),
    }
}

/// A refusal as the instance words it.
pub fn refuse(status: u16, detail: &str) -> Answer {
    let message = if detail.starts_with("Invalid table") { detail } else { "Operation Failed" };
    Answer::json(status, json!({"error": {"message": message, "detail": detail}, "status": "failure"}))
}
