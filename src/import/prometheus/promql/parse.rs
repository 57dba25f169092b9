//! Tokens to a tree, by the precedence of PromQL: `or`, `and unless`, comparisons, `+ -`, `* / % atan2`, `^`.

use super::lex::{Kind as Lexed, Token, tokens};
use super::{Aggregate, Binary, DEPTH, Expr, Kind, Matcher, Matching, SOURCE, Selector, Wrong};

const AGGREGATORS: [&str; 14] = [
    "sum",
    "min",
    "max",
    "avg",
    "group",
    "stddev",
    "stdvar",
    "count",
    "count_values",
    "bottomk",
    "topk",
    "quantile",
    "limitk",
    "limit_ratio",
];

/// Parses a whole expression.
///
/// # Errors
/// The first mistake.
pub fn parse(source: &str) -> Result<Expr, Wrong> {
    if source.len() > SOURCE {
        return Err(Wrong { at: 0, why: format!("longer than {} KiB", SOURCE / 1024) });
    }
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens, at: 0, level: 0 };
    let expr = parser.binary(0)?;
    if parser.peek() == &Lexed::End { Ok(expr) } else { Err(parser.wrong("an operator or the end")) }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    level: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Lexed {
        &self.token().kind
    }

    fn start(&self) -> usize {
        self.token().span.start
    }

    /// Where the last token that was taken ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |i| self.tokens[i].span.end)
    }

    fn step(&mut self) -> Lexed {
        let kind = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Lexed::Sign(s) if *s == sign);
        if found {
            self.step();
        }
        found
    }

    fn word(&self) -> Option<String> {
        if let Lexed::Name(name) = self.peek() { Some(name.to_ascii_lowercase()) } else { None }
    }

    fn wrong(&self, wanted: &str) -> Wrong {
        let found = match self.peek() {
            Lexed::End => "the end".to_owned(),
            Lexed::Sign(s) => format!("`{s}`"),
            Lexed::Name(n) => format!("`{n}`"),
            Lexed::Number(n) => format!("`{n}`"),
            Lexed::Text(_) => "a text".to_owned(),
            Lexed::Duration(_) => "a duration".to_owned(),
        };
        Wrong { at: self.start(), why: format!("{wanted} is wanted here, not {found}") }
    }

    fn want(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.takes(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}`"))) }
    }

    /// The operator at hand with how tightly it binds.
    fn operator(&self) -> Option<(String, u8)> {
        let op = match self.peek() {
            Lexed::Sign(s) => (*s).to_owned(),
            Lexed::Name(_) => self.word()?,
            _ => return None,
        };
        let level = match op.as_str() {
            "or" => 1,
            "and" | "unless" => 2,
            "==" | "!=" | "<" | "<=" | ">" | ">=" => 3,
            "+" | "-" => 4,
            "*" | "/" | "%" | "atan2" => 5,
            "^" => 6,
            _ => return None,
        };
        Some((op, level))
    }

    fn binary(&mut self, least: u8) -> Result<Expr, Wrong> {
        self.level += 1;
        if self.level > DEPTH {
            return Err(Wrong { at: self.start(), why: format!("nested more than {DEPTH} levels deep") });
        }
        let mut left = self.unary()?;
        let mut chain = 0;
        while let Some((op, level)) = self.operator().filter(|(_, level)| *level > least) {
            chain += 1;
            if chain > DEPTH {
                return Err(Wrong { at: self.start(), why: format!("more than {DEPTH} operands in a row") });
            }
            self.step();
            let is_bool = self.word().is_some_and(|w| w == "bool");
            if is_bool {
                self.step();
            }
            let matching = self.matching()?;
            // `^` binds to the right, all others to the left.
            let right = self.binary(if op == "^" { level - 1 } else { level })?;
            let span = left.span.start..right.span.end;
            let binary = Binary { op, is_bool, matching, left, right };
            left = Expr { kind: Kind::Binary(Box::new(binary)), span };
        }
        self.level -= 1;
        Ok(left)
    }

    /// `on (…) group_left (…)`: which series meet.
    fn matching(&mut self) -> Result<Matching, Wrong> {
        let mut matching = Matching::All;
        for words in [["on", "ignoring"], ["group_left", "group_right"]] {
            let Some(word) = self.word().filter(|w| words.contains(&w.as_str())) else { continue };
            self.step();
            let is_list = matches!(self.peek(), Lexed::Sign("("));
            let labels = if is_list { self.labels()? } else { Vec::new() };
            match word.as_str() {
                "on" => matching = Matching::On(labels),
                "ignoring" => matching = Matching::Ignoring(labels),
                _ => {}
            }
        }
        Ok(matching)
    }

    fn labels(&mut self) -> Result<Vec<String>, Wrong> {
        self.want("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.step() {
                Lexed::Name(name) | Lexed::Text(name) => labels.push(name),
                _ => return Err(self.wrong("a label")),
            }
            if !self.takes(",") && !matches!(self.peek(), Lexed::Sign(")")) {
                return Err(self.wrong("`,` or `)`"));
            }
        }
        Ok(labels)
    }

    fn unary(&mut self) -> Result<Expr, Wrong> {
        let start = self.start();
        if self.takes("-") {
            // `-x ^ 2` is -(x ^ 2); everything else binds less.
            let inner = self.binary(5)?;
            let span = start..inner.span.end;
            return Ok(Expr { kind: Kind::Negative(Box::new(inner)), span });
        }
        if self.takes("+") {
            return self.binary(5);
        }
        let mut expr = self.atom()?;
        loop {
            if self.takes("[") {
                expr = self.range(expr)?;
            } else if self.word().is_some_and(|w| w == "offset") {
                self.step();
                self.takes("-");
                match self.step() {
                    Lexed::Duration(_) | Lexed::Number(_) => {}
                    _ => return Err(self.wrong("a duration")),
                }
                expr = Expr { span: start..self.end(), kind: Kind::Moved };
            } else if self.takes("@") {
                self.binary(6)?;
                expr = Expr { span: start..self.end(), kind: Kind::Moved };
            } else {
                return Ok(expr);
            }
        }
    }

    /// Behind `[`.
    fn range(&mut self, of: Expr) -> Result<Expr, Wrong> {
        let ns = match self.step() {
            Lexed::Duration(ns) => ns,
            Lexed::Number(s) if s > 0.0 && s < 9e9 => (s * 1e9) as i64,
            _ => return Err(self.wrong("a duration")),
        };
        let is_subquery = self.takes(":");
        if is_subquery && matches!(self.peek(), Lexed::Duration(_) | Lexed::Number(_)) {
            self.step();
        }
        self.want("]")?;
        let span = of.span.start..self.end();
        match of.kind {
            Kind::Selector(s) if !is_subquery && s.range.is_none() => {
                Ok(Expr { kind: Kind::Selector(Selector { range: Some(ns), ..s }), span })
            }
            kind => Ok(Expr { kind: Kind::Subquery(Box::new(Expr { kind, span: of.span }), ns), span }),
        }
    }

    fn atom(&mut self) -> Result<Expr, Wrong> {
        let start = self.start();
        let kind = match self.peek().clone() {
            Lexed::Number(value) => {
                self.step();
                Kind::Number(value)
            }
            // `time() - x > 5m`, since Prometheus 2.54.
            Lexed::Duration(ns) => {
                self.step();
                Kind::Number(ns as f64 / 1e9)
            }
            Lexed::Text(_) => {
                self.step();
                Kind::Text
            }
            Lexed::Sign("(") => {
                self.step();
                let inner = self.binary(0)?;
                self.want(")")?;
                return Ok(Expr { kind: inner.kind, span: start..self.end() });
            }
            Lexed::Sign("{") => Kind::Selector(self.selector(String::new())?),
            Lexed::Name(name) => self.named(&name)?,
            _ => return Err(self.wrong("a metric, function or number")),
        };
        Ok(Expr { kind, span: start..self.end() })
    }

    fn named(&mut self, name: &str) -> Result<Kind, Wrong> {
        self.step();
        let lower = name.to_ascii_lowercase();
        let opens = matches!(self.peek(), Lexed::Sign("("));
        let groups = self.word().is_some_and(|w| w == "by" || w == "without");
        if AGGREGATORS.contains(&lower.as_str()) && (opens || groups) {
            return self.aggregate(lower);
        }
        if opens {
            return Ok(Kind::Call(lower, self.arguments()?));
        }
        match lower.as_str() {
            "inf" => return Ok(Kind::Number(f64::INFINITY)),
            "nan" => return Ok(Kind::Number(f64::NAN)),
            _ => {}
        }
        Ok(Kind::Selector(self.selector(name.to_owned())?))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Wrong> {
        self.want("(")?;
        let mut args = Vec::new();
        while !self.takes(")") {
            args.push(self.binary(0)?);
            if !self.takes(",") && !matches!(self.peek(), Lexed::Sign(")")) {
                return Err(self.wrong("`,` or `)`"));
            }
        }
        Ok(args)
    }

    fn aggregate(&mut self, op: String) -> Result<Kind, Wrong> {
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let (without, labels) = grouping.unwrap_or_default();
        let Some(inner) = args.pop() else { return Err(self.wrong("an expression")) };
        Ok(Kind::Aggregate(Box::new(Aggregate { op, inner, without, labels })))
    }

    fn grouping(&mut self) -> Result<Option<(bool, Vec<String>)>, Wrong> {
        let without = match self.word().as_deref() {
            Some("by") => false,
            Some("without") => true,
            _ => return Ok(None),
        };
        self.step();
        Ok(Some((without, self.labels()?)))
    }

    fn selector(&mut self, name: String) -> Result<Selector, Wrong> {
        let mut selector = Selector { name, ..Selector::default() };
        if !self.takes("{") {
            return Ok(selector);
        }
        while !self.takes("}") {
            let start = self.start();
            let label = match self.step() {
                Lexed::Name(label) | Lexed::Text(label) => label,
                _ => return Err(self.wrong("a label")),
            };
            let op = match self.peek() {
                Lexed::Sign(op @ ("=" | "!=" | "=~" | "!~")) => *op,
                // `{"metric.name"}`
                _ if selector.name.is_empty() => {
                    selector.name = label;
                    self.takes(",");
                    continue;
                }
                _ => return Err(self.wrong("`=`, `!=`, `=~` or `!~`")),
            };
            self.step();
            let Lexed::Text(value) = self.step() else { return Err(self.wrong("a quoted text")) };
            let (is_negative, is_regex) = (op.starts_with('!'), op.ends_with('~'));
            let span = start..self.end();
            if label == "__name__" && op == "=" {
                selector.name = value;
            } else {
                selector.matchers.push(Matcher { label, is_negative, is_regex, value, span });
            }
            if !self.takes(",") && !matches!(self.peek(), Lexed::Sign("}")) {
                return Err(self.wrong("`,` or `}`"));
            }
        }
        Ok(selector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree with brackets everywhere.
    fn shown(e: &Expr) -> String {
        match &e.kind {
            Kind::Number(n) => n.to_string(),
            Kind::Text => "text".to_owned(),
            Kind::Selector(s) => {
                let m: Vec<_> = s
                    .matchers
                    .iter()
                    .map(|m| {
                        format!(
                            "{}{}{}{}",
                            m.label,
                            if m.is_negative { "!" } else { "" },
                            if m.is_regex { "~" } else { "=" },
                            m.value
                        )
                    })
                    .collect();
                format!(
                    "{}{{{}}}{}",
                    s.name,
                    m.join(","),
                    s.range.map(|r| format!("[{}]", r / 1_000_000_000)).unwrap_or_default()
                )
            }
            Kind::Subquery(e, r) => format!("{}[{}:]", shown(e), r / 1_000_000_000),
            Kind::Moved => "moved".to_owned(),
            Kind::Call(n, a) => format!("{n}({})", a.iter().map(shown).collect::<Vec<_>>().join(",")),
            Kind::Aggregate(a) => {
                format!("{} {}{:?}({})", a.op, if a.without { "-" } else { "" }, a.labels, shown(&a.inner))
            }
            Kind::Negative(e) => format!("-{}", shown(e)),
            Kind::Binary(b) => format!("({} {} {})", shown(&b.left), b.op, shown(&b.right)),
        }
    }

    #[test]
    fn expressions_are_read_as_prometheus_reads_them() {
        for (text, tree) in [
            ("a + b * c ^ 2 ^ 3", "(a{} + (b{} * (c{} ^ (2 ^ 3))))"),
            ("a > 1 and b < 2 or c", "(((a{} > 1) and (b{} < 2)) or c{})"),
            ("a unless on(x) b", "(a{} unless b{})"),
            ("a - b - c", "((a{} - b{}) - c{})"),
            ("-a ^ 2 * 3", "(-(a{} ^ 2) * 3)"),
            ("rate(x{m=\"idle\",d!~'a|b'}[5m])", "rate(x{m=idle,d!~a|b}[300])"),
            ("sum by (a, b) (x)", "sum [\"a\", \"b\"](x{})"),
            ("sum(x) WITHOUT (a)", "sum -[\"a\"](x{})"),
            ("a * ON(i) GROUP_LEFT (n) b{}", "(a{} * b{})"),
            ("max_over_time(rate(x[1m])[1h:30s])", "max_over_time(rate(x{}[60])[3600:])"),
            ("x offset 1d", "moved"),
            ("{__name__=\"up\", job=\"a\"}", "up{job=a}"),
            ("a:b:c > bool 1e3 # why", "(a:b:c{} > 1000)"),
            ("0x10 + .5 + 1_000", "((16 + 0.5) + 1000)"),
            ("time() - x > 1h30m", "((time() - x{}) > 5400)"),
            ("count(x)", "count [](x{})"),
            ("sum", "sum{}"),
        ] {
            assert_eq!(parse(text).map(|e| shown(&e)).unwrap_or_else(|e| e.why), tree, "{text}");
        }
    }

    #[test]
    fn nonsense_has_a_place_and_no_panic() {
        for text in [
            "",
            "(",
            "a >",
            "a{",
            "a{b}",
            "a{b=c}",
            "rate(x[5q])",
            "a[",
            "1 2",
            "\"x",
            "a{b=\"\\",
            "sum by",
            "é",
            "a @",
            "x offset",
            "a[1h:",
            "0x",
            ".",
            "99999999999999999999y[1y]",
            "[5m]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&"-".repeat(10_000)).is_err());
        assert!(parse(&vec!["a"; 10_000].join("+")).is_err());
        assert!(parse(&"a".repeat(100_000)).is_err());
    }
}
