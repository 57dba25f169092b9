//! Markup for products that take their texts as HTML.

/// Plain text as HTML that looks the same: columns and line breaks are kept, nothing in it is markup.
pub fn html(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + plain.len() / 16 + 11);
    out.push_str("<pre>");
    for c in plain.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out.push_str("</pre>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(html("a <b>&\"c\"\n  d"), "<pre>a &lt;b&gt;&amp;&quot;c&quot;\n  d</pre>");
    }
}
