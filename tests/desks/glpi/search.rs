//! The search engine of GLPI, as far as the API shows it.

use serde_json::{Value as Json, json};

use super::{Glpi, denied, error, int};
use crate::world::{Answer, Ask};

impl Glpi {
    /// `GET /search/<itemtype>`: criteria joined by AND, anchors in `contains`, ranges.
    pub(super) fn search(&self, itemtype: &str, ask: &Ask) -> Answer {
        let right = if itemtype == "Computer" { 1 } else { 1024 };
        if !self.has(&itemtype.to_lowercase(), right) {
            return denied();
        }
        let rows: Vec<(u64, Json)> = match itemtype {
            "Computer" => self.computers.iter().map(|(id, name)| (*id, json!({"name": name}))).collect(),
            _ => {
                let items = self.items.iter().filter(|((t, _), i)| t == itemtype && i["is_deleted"] == 0);
                items.map(|((_, id), item)| (*id, item.clone())).collect()
            }
        };
        let mut hits = rows;
        for n in 0.. {
            let part = |name: &str| ask.param(&format!("criteria[{n}][{name}]"));
            if part("field").is_empty() {
                break;
            }
            let column = match (part("field"), itemtype) {
                ("1", _) => "name",
                ("12", "Ticket" | "Problem") => "status",
                ("21", "Ticket" | "Problem") => "content",
                ("87", "Ticket") if self.version >= 11 => "externalid",
                _ => return error(400, "ERROR", "Bad field ID in search criteria; view documentation"),
            };
            hits.retain(|(_, row)| holds(&row[column], part("searchtype"), part("value")));
        }
        let (from, to) = ask.param("range").split_once('-').expect("a range");
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        let total = hits.len();
        let shown: Vec<Json> = hits
            .iter()
            .skip(from)
            .take(to - from + 1)
            .map(|(id, row)| json!({"1": row["name"], "2": id}))
            .collect();
        let mut body = json!({"totalcount": total, "count": shown.len(), "sort": [2], "order": ["ASC"]});
        if !shown.is_empty() {
            body["data"] = json!(shown);
        }
        Answer::json(if shown.len() < total { 206 } else { 200 }, body)
    }
}

fn holds(value: &Json, by: &str, wanted: &str) -> bool {
    match (by, wanted) {
        ("equals", "notold") => !matches!(int(value), 5 | 6),
        ("contains", wanted) => {
            let value = value.as_str().unwrap_or_default().to_lowercase();
            let wanted = wanted.to_lowercase();
            match (wanted.strip_prefix('^'), wanted.strip_suffix('$')) {
                (Some(_), Some(_)) => value == wanted.trim_matches(['^', '$']),
                (Some(begin), None) => value.starts_with(begin),
                (None, Some(end)) => value.ends_with(end),
                (None, None) => value.contains(&wanted),
            }
        }
        _ => panic!("cannot compare by {by}"),
    }
}
