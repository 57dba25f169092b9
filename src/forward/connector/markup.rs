//! Plain text as HTML, for products that take nothing else or show it better.
//!
//! Our texts are columns and plots drawn with characters: all of it stands in one font of equal width, breaks
//! stay where they are, and nothing in it is ever markup. Products sanitize what they get, so only tags
//! survive that all of them know: no attributes, no styles.

/// The text as HTML: paragraphs as they are, everything that is laid out in columns in `<pre>`. What stands
/// in the text never becomes a tag or an entity.
pub fn html(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + plain.len() / 8);
    for block in plain.split("\n\n").map(|b| b.trim_matches('\n')).filter(|b| !b.trim().is_empty()) {
        if is_laid_out(block) {
            out.push_str(&format!("<pre>{}</pre>\n", escape(block)));
        } else {
            out.push_str(&format!("<p>{}</p>\n", escape(block).replace('\n', "<br>\n")));
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The text with the five characters replaced that mean something in HTML, in content as in attributes.
pub fn escape(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The text of such HTML, as a product gives it back: to find a marker in it.
pub fn text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    let pairs =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    pairs.iter().fold(out, |text, (entity, character)| text.replace(entity, character))
}

/// Columns or a plot: a line that is indented or has a gap of two blanks in it.
fn is_laid_out(block: &str) -> bool {
    block.lines().any(|line| line.starts_with(' ') || line.trim_end().contains("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_text_becomes_markup() {
        let evil = "<script>alert('x')</script> & \"quoted\" &lt;b&gt;";
        let html = html(evil);
        assert_eq!(
            html,
            "<p>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot; &amp;lt;b&amp;gt;</p>"
        );
        assert_eq!(text(&html), evil, "and comes back as it was");
    }

    #[test]
    fn columns_and_plots_keep_their_shape() {
        let plain = "/data is 91 % full\n\nThe file system fills up.\nGrow it.\n\nHost        web-01\n\n\n\
                     fs.used over 30s\n  ▁▃ █\n";
        assert_eq!(
            html(plain),
            "<p>/data is 91 % full</p>\n<p>The file system fills up.<br>\nGrow it.</p>\n\
             <pre>Host        web-01</pre>\n<pre>fs.used over 30s\n  ▁▃ █</pre>"
        );
        assert_eq!(html(""), "");
        assert_eq!(html("\n\n \n\n"), "");
    }
}
