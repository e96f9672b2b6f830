//! The text of a rule to its [`Expression`]. PURE.

use crate::schema::cel::{Expression, Literal, Operator};

/// Deeper nesting is not read, nor a longer chain of operators: it is as deep as it is long.
const MAX_DEPTH: usize = 64;

/// The parsed rule, unless it is written in CEL that is not read here.
#[must_use]
pub fn parse(text: &str) -> Option<Expression> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let expression = parser.ternary()?;
    parser.tokens.is_empty().then_some(expression)
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Double(f64),
    Sign(&'static str),
}

/// Longer signs first.
const SIGNS: [&str; 20] =
    ["||", "&&", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "?", ":", ".", ",", "(", ")", "[", "]", "in"];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '\'' | '"' => {
                let (token, len) = string(rest, first)?;
                out.push(Token::Text(token));
                len
            }
            '0'..='9' => {
                let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                let number = &rest[..len];
                out.push(match number.parse() {
                    Ok(int) => Token::Int(int),
                    Err(_) => Token::Double(number.parse().ok()?),
                });
                len
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                out.push(if &rest[..len] == "in" { Token::Sign("in") } else { Token::Name(rest[..len].to_owned()) });
                len
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign))?;
                out.push(Token::Sign(sign));
                sign.len()
            }
        };
        rest = rest[len..].trim_start();
    }
    Some(out)
}

/// A quoted string and how long it was written.
fn string(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            _ if c == quote => return Some((out, at + 1)),
            '\\' => out.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                c @ ('\\' | '\'' | '"' | '`' | '?') => c,
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    None
}

struct Parser<'t> {
    tokens: &'t [Token],
    depth: usize,
}

impl Parser<'_> {
    fn take(&mut self, sign: &str) -> Option<()> {
        let (first, rest) = self.tokens.split_first()?;
        matches!(first, Token::Sign(own) if *own == sign).then(|| self.tokens = rest)
    }

    fn deeper(&mut self) -> Option<()> {
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn ternary(&mut self) -> Option<Expression> {
        let before = self.depth;
        self.deeper()?;
        let condition = self.binary(0)?;
        let out = if self.take("?").is_some() {
            let yes = self.ternary()?;
            self.take(":")?;
            Expression::If(Box::new(condition), Box::new(yes), Box::new(self.ternary()?))
        } else {
            condition
        };
        self.depth = before;
        Some(out)
    }

    /// Operators from the loosest to the tightest; all are left-associative.
    fn binary(&mut self, level: usize) -> Option<Expression> {
        const LEVELS: [&[(&str, Operator)]; 4] = [
            &[("||", Operator::Or)],
            &[("&&", Operator::And)],
            &[
                ("==", Operator::Equal),
                ("!=", Operator::Unequal),
                ("<=", Operator::LessOrEqual),
                (">=", Operator::GreaterOrEqual),
                ("<", Operator::Less),
                (">", Operator::Greater),
                ("in", Operator::In),
            ],
            &[("+", Operator::Plus), ("-", Operator::Minus)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.take(sign).is_some()) {
            self.deeper()?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(self.binary(level + 1)?));
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Expression> {
        let before = self.depth;
        self.deeper()?;
        let out = if self.take("!").is_some() {
            Expression::Not(Box::new(self.unary()?))
        } else if self.take("-").is_some() {
            Expression::Minus(Box::new(self.unary()?))
        } else {
            self.postfix()?
        };
        self.depth = before;
        Some(out)
    }

    fn postfix(&mut self) -> Option<Expression> {
        let mut base = self.primary()?;
        loop {
            self.deeper()?;
            if self.take(".").is_some() {
                let name = self.name()?;
                base = match self.take("(") {
                    Some(()) => Expression::Call(Some(Box::new(base)), name, self.list(")")?),
                    None => Expression::Field(Box::new(base), name),
                };
            } else if self.take("[").is_some() {
                let index = self.ternary()?;
                self.take("]")?;
                base = Expression::Index(Box::new(base), Box::new(index));
            } else {
                return Some(base);
            }
        }
    }

    fn primary(&mut self) -> Option<Expression> {
        if self.take("(").is_some() {
            let inner = self.ternary()?;
            self.take(")")?;
            return Some(inner);
        }
        if self.take("[").is_some() {
            return Some(Expression::List(self.list("]")?));
        }
        let (first, rest) = self.tokens.split_first()?;
        let literal = match first {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Int(value) => Literal::Int(*value),
            Token::Double(value) => Literal::Double(*value),
            Token::Name(name) => match name.as_str() {
                "true" => Literal::Bool(true),
                "false" => Literal::Bool(false),
                "null" => Literal::Null,
                _ => {
                    self.tokens = rest;
                    return Some(match self.take("(") {
                        Some(()) => Expression::Call(None, name.clone(), self.list(")")?),
                        None => Expression::Name(name.clone()),
                    });
                }
            },
            Token::Sign(_) => return None,
        };
        self.tokens = rest;
        Some(Expression::Literal(literal))
    }

    fn name(&mut self) -> Option<String> {
        let (Token::Name(name), rest) = self.tokens.split_first()? else { return None };
        self.tokens = rest;
        Some(name.clone())
    }

    fn list(&mut self, close: &str) -> Option<Vec<Expression>> {
        let mut out = Vec::new();
        while self.take(close).is_none() {
            if !out.is_empty() {
                self.take(",")?;
            }
            out.push(self.ternary()?);
        }
        Some(out)
    }
}
