//! Bodies, paths and headers by template.
//!
//! Jinja syntax by minijinja, with a limit on the work of one rendering. What a template writes is escaped
//! for the place it stands in: as JSON values, as XML, as parts of an address. A name that does not exist is
//! a mistake, not an empty text.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde_json::Value as Json;

use super::super::request::encode;
use super::super::wanted::cut;

/// Steps of one rendering at most: some thousand lines of output.
const FUEL: u64 = 100_000;
/// Nested blocks at most.
const DEPTH: usize = 64;
/// The most bytes of what a template renders.
pub const RENDERED_BYTES: usize = 1024 * 1024;

/// How values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    Plain,
    /// As JSON values, with their quotes.
    Json,
    /// For XML and HTML.
    Markup,
    /// For a path, a query, a form: all but letters, digits and `-._~` percent-encoded.
    Address,
}

impl Escape {
    /// By the content type of a body.
    pub fn of(content_type: &str) -> Self {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Address,
            json if json.ends_with("json") => Self::Json,
            xml if xml.ends_with("xml") || xml.ends_with("html") => Self::Markup,
            _ => Self::Plain,
        }
    }

    fn engine(self) -> AutoEscape {
        match self {
            Self::Plain => AutoEscape::None,
            Self::Json => AutoEscape::Json,
            Self::Markup => AutoEscape::Html,
            Self::Address => AutoEscape::Custom("address".into()),
        }
    }
}

/// Renders the template; `name` is how messages call it.
///
/// # Errors
/// A sentence with the name, the line and what is wrong there.
pub fn render(name: &str, source: &str, escape: Escape, context: &Json) -> Result<String, String> {
    let environment = environment(escape);
    let context = Value::from(Serde(context));
    let rendered = environment.render_named_str(name, source, context).map_err(|e| sentence(name, &e))?;
    if rendered.len() > RENDERED_BYTES {
        return Err(format!("{name} renders more than {RENDERED_BYTES} bytes"));
    }
    if escape == Escape::Json {
        let json: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&rendered);
        json.map_err(|e| format!("{name} renders no JSON (values bring their own quotes): {e}"))?;
    }
    Ok(rendered)
}

fn environment<'a>(escape: Escape) -> Environment<'a> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(move |_| escape.engine());
    environment.set_formatter(write);
    environment.add_filter("urlencode", |text: String| encode(&text));
    environment.add_filter("cut", |text: String, chars: usize| cut(&text, chars));
    environment
}

/// Writes a value; into an address only what is known.
fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return minijinja::escape_formatter(out, state, value);
    }
    if value.is_undefined() || value.is_none() {
        return Err(Error::new(ErrorKind::UndefinedError, "nothing is known to stand here"));
    }
    let text = value.to_string();
    let text = if value.is_safe() { text } else { encode(&text) };
    out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "too long"))
}

fn sentence(name: &str, error: &Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    let place = error.line().filter(|line| *line > 0).map(|line| format!(", line {line}"));
    // The piece of the template that the message is about says more than the message.
    let piece = error.range().zip(error.template_source()).and_then(|(range, source)| source.get(range));
    let piece = piece.filter(|p| p.len() <= 80 && !p.contains('\n')).map(|p| format!(" (at `{}`)", p.trim()));
    format!("{name}{}: {what}{}", place.unwrap_or_default(), piece.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_escaped_for_their_place() {
        let context = json!({"t": "a \"b\" <c>/ü", "n": 3, "none": null});
        for (source, escape, expected) in [
            ("{{ t }}", Escape::Plain, Ok("a \"b\" <c>/ü")),
            (
                r#"{"t": {{ t }}, "n": {{ n }}, "z": {{ none }}}"#,
                Escape::Json,
                Ok(r#"{"t": "a \"b\" <c>/ü", "n": 3, "z": null}"#),
            ),
            ("{{ t }}", Escape::Markup, Ok("a &quot;b&quot; &lt;c&gt;&#x2f;ü")),
            ("/x/{{ t }}/{{ n }}", Escape::Address, Ok("/x/a%20%22b%22%20%3Cc%3E%2F%C3%BC/3")),
            ("/{{ 'a/b' | safe }}", Escape::Address, Ok("/a/b")),
            ("{{ t | cut(3) }}", Escape::Plain, Ok("a …")),
            ("{{ t | urlencode }}", Escape::Plain, Ok("a%20%22b%22%20%3Cc%3E%2F%C3%BC")),
            ("/{{ none }}", Escape::Address, Err("line 1: undefined value: nothing is known")),
            ("x\n{{ missing }}", Escape::Plain, Err("the template, line 2: undefined value")),
            ("{% if missing %}x{% else %}y{% endif %}", Escape::Plain, Ok("y")),
            ("x\n\n{{ t | nosuch }}", Escape::Plain, Err("the template, line 3: unknown filter")),
            ("{% if %}", Escape::Plain, Err("the template, line 1: syntax error")),
            (r#"{"t": "{{ t }}"}"#, Escape::Json, Err("values bring their own quotes")),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                Escape::Plain,
                Err("out of fuel"),
            ),
            ("{{ 'x' * 2000000 }}", Escape::Plain, Err("")),
        ] {
            let got = render("the template", source, escape, &context);
            match (&got, expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{source}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{source}: {error}"),
                _ => panic!("{source}: {got:?}"),
            }
        }
    }

    #[test]
    fn the_content_type_decides() {
        for (content_type, escape) in [
            ("application/json", Escape::Json),
            ("application/vnd.api+json; charset=utf-8", Escape::Json),
            ("text/xml", Escape::Markup),
            ("application/soap+xml", Escape::Markup),
            ("Application/X-WWW-Form-Urlencoded", Escape::Address),
            ("text/plain", Escape::Plain),
            ("", Escape::Plain),
        ] {
            assert_eq!(Escape::of(content_type), escape, "{content_type}");
        }
    }
}
