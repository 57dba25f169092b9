//! Tokens to a syntax tree, by recursive descent along the grammar of docs/rules.md.
//!
//! The parser knows no names and no types. Nesting is bounded twice: `level` bounds the parser's own
//! recursion, and [`Expr::new`] bounds the tree, so that neither `((((…` nor `1 + 1 + 1 + …` can exhaust the
//! stack.

use std::ops::Range;

use super::CondError;
use super::expr::{DEPTH, Expr, Math, Node, Relation};
use super::lex::{Kind, Token, tokens};
use crate::engine::signal::Base;

/// Longest source of a condition in bytes.
pub const SOURCE: usize = 16 * 1024;

/// Parses a whole source.
///
/// # Errors
/// The first mistake, with the bytes to underline.
pub fn parse(source: &str) -> Result<Expr, CondError> {
    if source.len() > SOURCE {
        return Err(CondError::new(0..source.len(), format!("longer than {} KiB", SOURCE / 1024)));
    }
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens: &tokens, at: 0, level: 0 };
    if parser.peek() == &Kind::End {
        return Err(CondError::new(0..source.len(), "the condition is empty")
            .help("write a comparison such as fs.used > 90%"));
    }
    let expr = parser.cond()?;
    match parser.peek() {
        Kind::End => Ok(expr),
        _ => Err(parser.unexpected(OPERATOR)),
    }
}

/// What is wanted behind a value.
const OPERATOR: &str = "an operator or the end";
const KEYWORDS: [&str; 6] = ["and", "or", "not", "in", "true", "false"];

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    level: u16,
}

impl Parser<'_> {
    /// The token at hand; the list always ends with `End`, which is never stepped over.
    fn token(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Kind {
        &self.token().kind
    }

    fn span(&self) -> Range<usize> {
        self.token().span.clone()
    }

    fn step(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Kind::Sign(s) if *s == sign);
        if found {
            self.step();
        }
        found
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tokens.get(self.at + ahead).map(|t| &t.kind), Some(Kind::Name(n)) if n == word)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.is_word(0, word);
        if found {
            self.step();
        }
        found
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, CondError>) -> Result<T, CondError> {
        if self.level >= DEPTH {
            let text = format!("this is nested more than {DEPTH} levels deep");
            return Err(CondError::new(self.span(), text));
        }
        self.level += 1;
        let result = inner(self);
        self.level -= 1;
        result
    }

    fn cond(&mut self) -> Result<Expr, CondError> {
        self.deeper(|p| p.joined("or", Parser::conj, Node::Or))
    }

    fn conj(&mut self) -> Result<Expr, CondError> {
        self.joined("and", Parser::neg, Node::And)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expr, CondError>,
        join: fn(Vec<Expr>) -> Node,
    ) -> Result<Expr, CondError> {
        let first = part(self)?;
        if !self.is_word(0, word) {
            return Ok(first);
        }
        let start = first.span.start;
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        let end = parts.last().map_or(start, |e| e.span.end);
        Expr::new(join(parts), start..end)
    }

    fn neg(&mut self) -> Result<Expr, CondError> {
        let start = self.span().start;
        if !self.word("not") {
            return self.compare();
        }
        let inner = self.deeper(Parser::neg)?;
        let span = start..inner.span.end;
        Expr::new(Node::Not(Box::new(inner)), span)
    }

    fn compare(&mut self) -> Result<Expr, CondError> {
        let left = self.sum()?;
        let start = left.span.start;
        if self.word("in") {
            return self.set(left, false);
        }
        if self.is_word(0, "not") && self.is_word(1, "in") {
            self.step();
            self.step();
            return self.set(left, true);
        }
        let Some(relation) = self.relation() else { return Ok(left) };
        let right = self.sum()?;
        let span = start..right.span.end;
        let next = self.span();
        if self.relation().is_some() {
            return Err(CondError::new(next, "comparisons cannot be chained")
                .help("join two comparisons with `and`: 1 < x and x < 5"));
        }
        Expr::new(Node::Compare(relation, Box::new(left), Box::new(right)), span)
    }

    fn relation(&mut self) -> Option<Relation> {
        let Kind::Sign(sign) = self.peek() else { return None };
        let relation = Relation::ALL.iter().find(|(_, s)| s == sign).map(|(r, _)| *r)?;
        self.step();
        Some(relation)
    }

    fn set(&mut self, left: Expr, not: bool) -> Result<Expr, CondError> {
        if !self.sign("[") {
            return Err(self.unexpected("`[` and the values allowed"));
        }
        let (set, end) = self.list("]")?;
        if set.is_empty() {
            return Err(CondError::new(left.span.start..end, "the list behind `in` is empty"));
        }
        let span = left.span.start..end;
        Expr::new(Node::In(Box::new(left), set, not), span)
    }

    /// Expressions up to the closing bracket, and where that ends.
    fn list(&mut self, close: &str) -> Result<(Vec<Expr>, usize), CondError> {
        let mut list = Vec::new();
        loop {
            let end = self.span().end;
            if self.sign(close) {
                return Ok((list, end));
            }
            if !list.is_empty() && !self.sign(",") {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
            list.push(self.cond()?);
        }
    }

    fn sum(&mut self) -> Result<Expr, CondError> {
        self.chain(&[("+", Math::Add), ("-", Math::Subtract)], Parser::term)
    }

    fn term(&mut self) -> Result<Expr, CondError> {
        self.chain(&[("*", Math::Multiply), ("/", Math::Divide)], Parser::unary)
    }

    fn chain(
        &mut self,
        operators: &[(&str, Math)],
        part: fn(&mut Self) -> Result<Expr, CondError>,
    ) -> Result<Expr, CondError> {
        let mut left = part(self)?;
        while let Some((_, op)) = operators.iter().find(|(sign, _)| self.sign(sign)) {
            let right = part(self)?;
            let span = left.span.start..right.span.end;
            left = Expr::new(Node::Math(*op, Box::new(left), Box::new(right)), span)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, CondError> {
        let start = self.span().start;
        if !self.sign("-") {
            return self.atom();
        }
        let inner = self.deeper(Parser::unary)?;
        let span = start..inner.span.end;
        Expr::new(Node::Neg(Box::new(inner)), span)
    }

    fn atom(&mut self) -> Result<Expr, CondError> {
        let span = self.span();
        let node = match self.peek().clone() {
            Kind::Number(value, ty) => Node::Number(value, ty),
            Kind::Text(text) => Node::Text(text),
            Kind::Name(name) if name == "true" || name == "false" => Node::Bool(name == "true"),
            Kind::Name(name) if KEYWORDS.contains(&name.as_str()) => return Err(self.unexpected("a value")),
            Kind::Name(name) => return self.named(name, span),
            Kind::Sign("(") => return self.bracket(span.start),
            _ => return Err(self.unexpected("a value")),
        };
        self.step();
        Expr::new(node, span)
    }

    fn bracket(&mut self, start: usize) -> Result<Expr, CondError> {
        self.step();
        let mut inner = self.cond()?;
        let end = self.span().end;
        if !self.sign(")") {
            return Err(self.unexpected("`)`"));
        }
        inner.span = start..end;
        Ok(inner)
    }

    fn named(&mut self, name: String, span: Range<usize>) -> Result<Expr, CondError> {
        self.step();
        if !self.sign("(") {
            return Expr::new(Node::Name(name), span);
        }
        let (args, end) = self.list(")")?;
        let whole = span.start..end;
        Expr::new(Node::Call(name, span, args), whole)
    }

    fn unexpected(&self, wanted: &str) -> CondError {
        let token = self.token();
        let found = match &token.kind {
            Kind::End => {
                return CondError::new(token.span.clone(), format!("{wanted} is missing at the end"));
            }
            Kind::Number(..) => "a number".to_owned(),
            Kind::Text(_) => "a string".to_owned(),
            Kind::Name(name) => format!("`{name}`"),
            Kind::Sign(sign) => format!("`{sign}`"),
        };
        let error = CondError::new(token.span.clone(), format!("expected {wanted}, found {found}"));
        match &token.kind {
            Kind::Name(name) if matches!(name.as_str(), "AND" | "OR" | "NOT" | "IN") => {
                error.help(format!("write `{}`", name.to_lowercase()))
            }
            Kind::Name(name) => match self.meant(name).filter(|_| wanted == OPERATOR) {
                Some(help) => error.help(help),
                None => error,
            },
            Kind::Sign("[") if wanted != "a value" => {
                error.help("a window is the last argument of its function: avg(cpu.busy, 5m)")
            }
            Kind::Sign("/") if wanted == "a value" => {
                error.help("a signal has one name everywhere, such as fs.used; `match` says of what")
            }
            _ => error,
        }
    }

    /// What a name in the place of an operator stands for.
    fn meant(&self, name: &str) -> Option<String> {
        if let Some(Kind::Number(value, ty)) = self.tokens.get(self.at.wrapping_sub(1)).map(|t| &t.kind)
            && ty.base == Base::Number
        {
            return Some(format!("no blank between a number and its unit: write {value}{name}"));
        }
        let operator = match name {
            "is" | "equals" | "eq" => "write `==`",
            "ne" => "write `!=`",
            "gt" | "above" | "over" => "write `>`",
            "ge" => "write `>=`",
            "lt" | "below" | "under" => "write `<`",
            "le" => "write `<=`",
            "between" => "write two comparisons: x > 80% and x < 90%",
            "like" | "matches" | "contains" => "texts are compared whole: == 'a', or in ['a', 'b']",
            "for" => "how long it must hold is a key of the rule: for = \"5m\"",
            _ => "operators: and or not in < <= > >= == != + - * /",
        };
        Some(operator.to_owned())
    }
}
