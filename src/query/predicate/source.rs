//! The text of an expression, read once more in step with its tree: where each name and value stands, and
//! which asterisks are escaped. The parser's tree tells neither.
//!
//! It follows the parser's own rules of what ends a word (its `is_text_char`), and is only asked for what the
//! tree says comes next, so the two cannot come apart; builds with debug assertions, the tests and fuzzers among
//! them, compare every word.
use std::ops::Range;

use super::{FilterFault, MAX_WHERE_BYTES, MAX_WHERE_DEPTH};

/// Refuses what could harm or puzzle the parser: too long, too deep, characters that cannot be seen.
pub fn check(text: &str) -> Result<(), FilterFault> {
    if text.len() > MAX_WHERE_BYTES {
        let description = format!("the expression has {} bytes; at most {MAX_WHERE_BYTES}", text.len());
        return Err(fault(MAX_WHERE_BYTES, description));
    }
    let (mut depth, mut quote, mut escape) = (0_usize, None, false);
    for (at, each) in text.char_indices() {
        match quote {
            _ if each == '\0' => return Err(fault(at, "a NUL character, which no event has")),
            Some(_) if escape => escape = false,
            Some(_) if each == '\\' => escape = true,
            Some(end) if each == end => quote = None,
            Some(_) => {}
            None if each.is_control() && !each.is_whitespace() => {
                return Err(fault(
                    at,
                    format!("a control character (U+{:04X}) outside quotes", u32::from(each)),
                ));
            }
            None => match each {
                '"' | '\'' => quote = Some(each),
                '(' if depth == MAX_WHERE_DEPTH => {
                    return Err(fault(at, format!("parentheses deeper than {MAX_WHERE_DEPTH} levels")));
                }
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    Ok(())
}

/// Why an expression is refused, at this byte.
pub fn fault(offset: usize, description: impl Into<String>) -> FilterFault {
    FilterFault::Where { offset, description: description.into() }
}

/// One word or quoted text.
pub struct Segment {
    pub span: Range<usize>,
    pub quoted: bool,
    /// Without quotes and escapes.
    pub text: String,
    /// Where it has asterisks that are not escaped, in the source.
    pub stars: Vec<usize>,
}

/// Segments with dots between them.
pub struct Path {
    pub span: Range<usize>,
    pub segments: Vec<Segment>,
}

/// How far the expression is read.
pub struct Source<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Source<'a> {
    /// At the beginning.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next name or value stands.
    pub fn offset(&mut self) -> usize {
        self.skip_joints();
        self.at
    }

    /// Reads on behind the `NOT` or `-` that comes next.
    pub fn negation(&mut self) {
        self.skip_joints();
        self.at += if self.rest().starts_with('-') { 1 } else { "NOT".len() };
    }

    /// Reads the name or text with which a term begins.
    pub fn term(&mut self) -> Path {
        self.skip_joints();
        self.path()
    }

    /// Where the operator stands that comes next. Reads on behind it.
    pub fn operator(&mut self) -> usize {
        self.skip_space();
        let at = self.at;
        let length = match self.rest().as_bytes() {
            [b'<' | b'>' | b'!', b'=', ..] => 2,
            _ => 1,
        };
        self.at += length;
        self.skip_space();
        at
    }

    /// Where the value begins that comes next.
    pub const fn value_offset(&self) -> usize {
        self.at
    }

    /// Reads the value behind an operator.
    pub fn path(&mut self) -> Path {
        let start = self.at;
        let mut segments = vec![self.segment()];
        while self.rest().starts_with('.') {
            self.at += 1;
            segments.push(self.segment());
        }
        Path { span: start..self.at, segments }
    }

    /// The source between two bytes.
    pub fn slice(&self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Space, parentheses, AND and OR. A word that only begins with one of them is a name.
    fn skip_joints(&mut self) {
        loop {
            self.skip_space();
            let rest = self.rest();
            let joint = ["AND", "OR"].into_iter().find(|joint| {
                rest.strip_prefix(joint).is_some_and(|after| after.starts_with(char::is_whitespace))
            });
            match joint {
                Some(joint) => self.at += joint.len(),
                None if rest.starts_with(['(', ')']) => self.at += 1,
                None => return,
            }
        }
    }

    fn segment(&mut self) -> Segment {
        let (start, rest) = (self.at, self.rest());
        let (mut text, mut stars) = (String::new(), Vec::new());
        let mut characters = rest.char_indices();
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
        if quote.is_some() {
            characters.next();
        }
        let mut length = rest.len();
        while let Some((at, each)) = characters.next() {
            match (quote, each) {
                (Some(end), each) if each == end => {
                    length = at + 1;
                    break;
                }
                (Some(_), '\\') => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => {}
                },
                (None, each) if !is_text(each) => {
                    length = at;
                    break;
                }
                (_, each) => {
                    if each == '*' {
                        stars.push(start + at);
                    }
                    text.push(each);
                }
            }
        }
        self.at += length;
        Segment { span: start..self.at, quoted: quote.is_some(), text, stars }
    }
}

/// Whether a character can stand in a word without quotes.
fn is_text(each: char) -> bool {
    !each.is_whitespace() && !matches!(each, '.' | '(' | ')' | ',' | '"' | '\'' | '=' | '<' | '>' | '!' | ':')
}
