//! YAML as a tree with lines, small and bounded.
//!
//! The parser of events is saphyr-parser: pure, without recursion of its own towards us. The tree is ours
//! because an alias is put in where it stands: [`MOST_NODES`] bounds what a handful of anchors can blow up
//! to, [`DEPTH`] how deep it nests. Texts are not interpreted: `yes` and `010` stay texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser};

use super::draft::Place;
use super::input::{File, Refused};

/// Most nodes of all documents of a file, aliases put in.
const MOST_NODES: usize = 500_000;
/// Deepest nesting.
const DEPTH: usize = 64;

/// A node with the line that it begins in.
#[derive(Clone, Debug)]
pub struct Node {
    /// From 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
    /// How many nodes it is made of, itself included.
    size: usize,
}

/// The kinds of node.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in order.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v)
    }

    /// Keys and values; none unless it is a map.
    pub fn entries(&self) -> &[(Node, Node)] {
        if let Kind::Map(entries) = &self.kind { entries } else { &[] }
    }

    /// The items of a list; none unless it is one.
    pub fn items(&self) -> &[Node] {
        if let Kind::List(items) = &self.kind { items } else { &[] }
    }

    /// The text, unless it is a list or map.
    pub fn text(&self) -> Option<&str> {
        if let Kind::Text(text) = &self.kind { Some(text) } else { None }
    }

    fn new(line: usize, kind: Kind) -> Self {
        let size = 1 + match &kind {
            Kind::Text(..) => 0,
            Kind::List(items) => items.iter().map(|n| n.size).sum(),
            Kind::Map(entries) => entries.iter().map(|(k, v)| k.size + v.size).sum(),
        };
        Self { line, kind, size }
    }
}

/// An open list or map.
struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    nodes: Vec<Node>,
}

/// The documents of a file.
///
/// # Errors
/// No YAML, too deep, too much.
pub fn documents(file: &File) -> Result<Vec<Node>, Refused> {
    let refuse = |line: usize, why: String| Refused::at(Place { file: file.name.clone(), line }, why);
    let (mut all, mut open, mut anchors) = (Vec::new(), Vec::<Open>::new(), BTreeMap::new());
    if let Some(line) = file.text.lines().position(|line| line.starts_with("{{")) {
        return Err(refuse(line + 1, "is a template: it must be rendered first".to_owned()));
    }
    let mut size = 0;
    for event in Parser::new_from_str(&file.text) {
        let (event, span) = event.map_err(|e| {
            if e.info().contains("recursion limit") {
                return refuse(e.marker().line(), too_deep());
            }
            let help = if file.text.contains("{{") { "; a template must be rendered first" } else { "" };
            refuse(e.marker().line(), format!("is no YAML: {}{help}", e.info()))
        })?;
        let line = span.start.line();
        let begin = |is_map, anchor| Open { line, anchor, is_map, nodes: Vec::new() };
        let done = match event {
            Event::SequenceStart(anchor, _) => {
                open.push(begin(false, anchor));
                None
            }
            Event::MappingStart(anchor, _) => {
                open.push(begin(true, anchor));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().map(|o| (o.anchor, close(o))),
            Event::Scalar(text, _, anchor, _) => {
                let text: Cow<'_, str> = text;
                Some((anchor, Node::new(line, Kind::Text(text.into_owned()))))
            }
            Event::Alias(anchor) => {
                let Some(node) = anchors.get(&anchor) else {
                    return Err(refuse(line, "an alias for something that is not complete yet".to_owned()));
                };
                let node: &Node = node;
                size += node.size;
                if size > MOST_NODES {
                    return Err(refuse(line, too_much()));
                }
                Some((0, node.clone()))
            }
            _ => None,
        };
        size += 1;
        if open.len() > DEPTH {
            return Err(refuse(line, too_deep()));
        }
        if size > MOST_NODES {
            return Err(refuse(line, too_much()));
        }
        let Some((anchor, node)) = done else { continue };
        if anchor > 0 {
            anchors.insert(anchor, node.clone());
            size += node.size;
        }
        match open.last_mut() {
            Some(parent) => parent.nodes.push(node),
            None => all.push(node),
        }
    }
    Ok(all)
}

fn too_deep() -> String {
    format!("is nested more than {DEPTH} levels deep")
}

fn too_much() -> String {
    format!("has more than {MOST_NODES} parts once every alias is put in")
}

/// A list or map; `<<` brings the keys of another map, those written here come first.
fn close(open: Open) -> Node {
    if !open.is_map {
        return Node::new(open.line, Kind::List(open.nodes));
    }
    let (mut entries, mut merged) = (Vec::new(), Vec::new());
    let mut nodes = open.nodes.into_iter();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        if key.text() == Some("<<") {
            let maps = if value.items().is_empty() { vec![value] } else { value.items().to_vec() };
            merged.extend(maps.into_iter().flat_map(|m| m.entries().to_vec()));
        } else {
            entries.push((key, value));
        }
    }
    for (key, value) in merged {
        if !entries.iter().any(|(k, _): &(Node, Node)| k.text() == key.text()) {
            entries.push((key, value));
        }
    }
    Node::new(open.line, Kind::Map(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Node>, String> {
        let file = File { name: "a.yaml".to_owned(), text: text.to_owned() };
        documents(&file).map_err(|e| e.to_string())
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let all = read("a: 1\nb:\n  - x\n  - |\n    y\n    z\n---\nc: 'w'\n").unwrap();
        assert_eq!(all.len(), 2);
        let list = all[0].get("b").unwrap().items();
        assert_eq!((list[0].text(), list[0].line), (Some("x"), 3));
        assert_eq!((list[1].text(), list[1].line), (Some("y\nz\n"), 5));
        assert_eq!(all[1].get("c").unwrap().line, 8);
    }

    #[test]
    fn aliases_and_merges_are_put_in() {
        let all = read("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nsame: *b\n").unwrap();
        let used = all[0].get("use").unwrap();
        assert_eq!(used.get("x").and_then(Node::text), Some("1"));
        assert_eq!(used.get("y").and_then(Node::text), Some("3"));
        assert_eq!(all[0].get("same").unwrap().entries().len(), 2);
    }

    #[test]
    fn what_is_no_yaml_or_too_much_is_refused_with_its_line() {
        let laughs: String = (0..12)
            .map(|i| match i {
                0 => "a0: &a0 [x]\n".to_owned(),
                i => format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 12].join(",")),
            })
            .collect();
        for (text, said) in [
            ("a: [1, 2\nb: 3\n".to_owned(), "is no YAML"),
            ("a: \"x\n".to_owned(), "is no YAML"),
            (laughs, "more than 500000 parts"),
            (format!("{}1{}", "[".repeat(5000), "]".repeat(5000)), "nested more than 64"),
            ("a: &a [*a]\n".to_owned(), "not complete yet"),
            ("{{ include \"x\" }}\n".to_owned(), "rendered first"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.starts_with("a.yaml:") && error.contains(said), "{error}");
        }
    }
}
