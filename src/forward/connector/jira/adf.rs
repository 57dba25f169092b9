//! Plain text as Atlassian Document Format, which API 3 wants wherever text has more than one line
//! (developer.atlassian.com, "Atlassian Document Format").

use serde_json::{Value as Json, json};

/// The longest text of a field in characters; Jira refuses longer ones.
pub const TEXT_CHARS: usize = 32_000;

/// Blocks of text, divided by empty lines, become paragraphs; a block with an indented line or aligned
/// columns becomes a code block, so that evidence keeps its shape.
pub fn document(plain: &str) -> Json {
    let blocks = plain.split("\n\n").filter(|block| !block.trim().is_empty());
    let content: Vec<Json> = blocks.map(block).collect();
    json!({"type": "doc", "version": 1, "content": content})
}

fn block(text: &str) -> Json {
    let text = text.trim_matches('\n');
    if text.lines().any(|line| line.contains("  ")) {
        return json!({"type": "codeBlock", "content": [{"type": "text", "text": text}]});
    }
    let mut content = Vec::new();
    for line in text.lines() {
        if !content.is_empty() {
            content.push(json!({"type": "hardBreak"}));
        }
        // An empty text node is refused.
        if !line.is_empty() {
            content.push(json!({"type": "text", "text": line}));
        }
    }
    json!({"type": "paragraph", "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_breaks_and_tables() {
        let document = document("one\ntwo\n\n\n\nHost     web-01\nRule     x\n\nthree");
        let kinds: Vec<&str> =
            document["content"].as_array().unwrap().iter().map(|b| b["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["paragraph", "codeBlock", "paragraph"]);
        assert_eq!(document["content"][0]["content"][1], json!({"type": "hardBreak"}));
        assert_eq!(document["content"][1]["content"][0]["text"], "Host     web-01\nRule     x");
        assert_eq!(super::document("")["content"], json!([]));
    }
}
