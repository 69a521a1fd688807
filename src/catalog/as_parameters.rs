//! The grammar of the parameter text of an ActivID AS audit record.
//!
//! Reads the text form (`ATC="AT_SYSLOG" USN="null"Action=primaryAuthenticateUP`) and the JSON form
//! (a flat object), and writes the text form. It keeps order and repeats, because both carry
//! meaning: `GRC` twice is old and new, `ATA` and `ATV` alternate. It does not know which codes or
//! actions exist, gives no value a type and drops no secret: that is the work of
//! `catalog::as_audit`, its only caller.
//!
//! The vendor escapes nothing, so a quote inside a value looks like the one that ends it. The rule:
//! **a quote ends its value when the end of the text follows, or `WORD=`, with any number of blanks
//! in between.** It looks at nothing but what follows the quote, and so takes linear time.
//!
//! Source: the samples of the vendor's page "Audit Events"; for the JSON form, its pages on syslog
//! and on pushed audit records.

use serde_json::{Deserializer, Value};
use std::{error, fmt};

/// Not a parameter: it repeats the event's action.
const ACTION: &str = "Action";
/// The vendor's codes have three letters; a site's own may be longer.
const CODE_MAX: usize = 64;

/// Parameters of one record, listed or parsed. Each becomes an attribute of some 100 bytes.
pub const MOST: usize = 512;

/// One code and its value. `quoted` is false for the bare values of the text form
/// (`KEY=HID-IA-4T.AUDIT.1`) only.
#[derive(Clone, PartialEq, Eq)]
pub struct Parameter {
    pub code: String,
    /// Verbatim, with its blanks. May be a secret.
    pub value: String,
    pub quoted: bool,
}

impl fmt::Debug for Parameter {
    /// Without the value: a session transfer code must not reach a log line through `{:?}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=<{} bytes>", self.code, self.value.len())
    }
}

/// What a parameter text says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The `Action`, where the text has one; without blanks around it.
    pub action: Option<String>,
    /// Everything but `Action`, in order, repeats kept.
    pub parameters: Vec<Parameter>,
    /// The text can well be read in another way. That is so in exactly two cases:
    ///
    /// 1. A quoted value contains a quote, and there are two or more quoted values. As one quote of
    ///    this text is no delimiter, the closing quote of an earlier value may be none either, and
    ///    that value may reach up to a later one.
    /// 2. A bare value contains `Action=`: two pairs may have been glued together.
    ///
    /// A text whose quotes are all delimiters is taken at its word. JSON is never ambiguous.
    pub ambiguous: bool,
}

impl Parsed {
    /// Adds one pair. `at` is the offset of its code.
    fn take(&mut self, code: &str, value: &str, quoted: bool, at: usize) -> Result<(), ParseError> {
        let action = value.trim_ascii();
        if code != ACTION {
            self.parameters.push(Parameter { code: code.to_owned(), value: value.to_owned(), quoted });
        } else if action.is_empty() || self.action.as_ref().is_some_and(|first| first != action) {
            return Err(expected(at, "a single action that is not empty"));
        } else {
            self.action = Some(action.to_owned());
        }
        Ok(())
    }
}

/// Where a text stops being a parameter text. Holds nothing of the text, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// In bytes from the start of the text; at most its length.
    pub offset: usize,
    pub expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.offset)
    }
}

impl error::Error for ParseError {}

fn expected(offset: usize, expected: &'static str) -> ParseError {
    ParseError { offset, expected }
}

/// Reads a parameter text of either form. A text of blanks only has no parameters.
///
/// The text form is `CODE="value"` and `CODE=bare` pairs with optional blanks between them, where
/// `Action` may stand anywhere. The form is JSON when the first character but blanks is `{`.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    let start = skip_blanks(text, 0);
    match text[start..].bytes().next() {
        Some(b'{') => parse_json(text, start + 1),
        _ => parse_pairs(text, start),
    }
}

fn parse_pairs(text: &str, mut at: usize) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let (mut quoted_values, mut quote_inside, mut action_inside) = (0, false, false);
    while at < text.len() {
        let code = code_at(text, at).ok_or(expected(at, "a parameter (CODE=\"value\")"))?;
        let value_at = at + code.len() + 1;
        let quoted = text[value_at..].starts_with('"');
        let (value, end) = if quoted {
            let value = quoted_value(text, value_at + 1)?;
            quoted_values += 1;
            quote_inside |= value.contains('"');
            (value, value_at + value.len() + 2)
        } else {
            let value = bare_value(text, value_at)?;
            action_inside |= value.contains("Action=");
            (value, value_at + value.len())
        };
        parsed.take(code, value, quoted, at)?;
        at = skip_blanks(text, end);
    }
    parsed.ambiguous = (quote_inside && quoted_values > 1) || action_inside;
    Ok(parsed)
}

/// The code of the pair that begins at `at`, if one does. A word holds no quote, so looking for one
/// behind every quote still visits a byte once.
fn code_at(text: &str, at: usize) -> Option<&str> {
    let rest = &text[at..];
    let code = &rest[..rest.find(|c| !is_word(c))?];
    (is_code(code) && rest[code.len()..].starts_with('=')).then_some(code)
}

fn is_code(text: &str) -> bool {
    let letter = text.starts_with(|first: char| first.is_ascii_alphabetic());
    letter && text.len() <= CODE_MAX && text.chars().all(is_word)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The value that begins at `start`, behind its opening quote.
fn quoted_value(text: &str, start: usize) -> Result<&str, ParseError> {
    for (length, _) in text[start..].match_indices('"') {
        let next = skip_blanks(text, start + length + 1);
        if next == text.len() || code_at(text, next).is_some() {
            return Ok(&text[start..start + length]);
        }
    }
    Err(expected(start - 1, "a value with a closing quote"))
}

fn bare_value(text: &str, start: usize) -> Result<&str, ParseError> {
    let rest = &text[start..];
    let end = rest.find(|c: char| c == '"' || c.is_ascii_whitespace());
    let value = &rest[..end.unwrap_or(rest.len())];
    match rest[value.len()..].bytes().next() {
        _ if value.is_empty() => Err(expected(start, "a value")),
        Some(b'"') => Err(expected(start + value.len(), "a blank, not a quote")),
        _ => Ok(value),
    }
}

fn skip_blanks(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.len() - rest.trim_ascii_start().len()
}

/// Reads the JSON form from behind its `{`.
///
/// Key by key, with the library reading each text and checking each number: its maps would lose
/// repeats, its floats the digits of a 28-digit id, and its errors have no byte offset.
fn parse_json(text: &str, start: usize) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut at = skip_blanks(text, start);
    while !text[at..].starts_with('}') {
        if !parsed.parameters.is_empty() || parsed.action.is_some() {
            at = skip(text, at, ",")?;
        }
        let (code, end) = json_text(text, at)?;
        if !is_code(&code) {
            return Err(expected(at, "a code of letters, digits and _"));
        }
        let value_at = skip(text, end, ":")?;
        let (value, end) = json_scalar(text, value_at)?;
        parsed.take(&code, &value, true, at)?;
        at = skip_blanks(text, end);
    }
    match skip_blanks(text, at + 1) {
        end if end < text.len() => Err(expected(end, "nothing behind the JSON object")),
        _ => Ok(parsed),
    }
}

/// Skips `mark` and the blanks on both sides of it.
fn skip(text: &str, at: usize, mark: &'static str) -> Result<usize, ParseError> {
    let at = skip_blanks(text, at);
    let rest = text[at..].strip_prefix(mark).ok_or(expected(at, mark))?;
    Ok(skip_blanks(text, text.len() - rest.len()))
}

/// The JSON text at `at`, decoded, and the offset behind it.
fn json_text(text: &str, at: usize) -> Result<(String, usize), ParseError> {
    let mut texts = Deserializer::from_str(&text[at..]).into_iter();
    match texts.next() {
        Some(Ok(value)) => Ok((value, at + texts.byte_offset())),
        _ => Err(expected(at, "a JSON text")),
    }
}

/// The JSON value at `at`, as text, and the offset behind it. Arrays and objects are refused.
fn json_scalar(text: &str, at: usize) -> Result<(String, usize), ParseError> {
    let rest = &text[at..];
    if rest.starts_with('"') {
        return json_text(text, at);
    }
    let end = rest.find(|c: char| c == ',' || c == '}' || c.is_ascii_whitespace());
    let token = &rest[..end.unwrap_or(rest.len())];
    match serde_json::from_str(token) {
        Err(_) | Ok(Value::Array(_) | Value::Object(_)) => Err(expected(at, "a flat JSON value")),
        Ok(_) => Ok((token.to_owned(), at + token.len())),
    }
}

/// Writes the text form as the vendor does, `Action` last, with one blank between any two pairs.
///
/// A value that cannot stand bare is quoted even where `quoted` is false. What was read from the
/// text form reads back as the same pairs, and is ambiguous only if it was: the quotes of an action go. A value from JSON may not: it can hold what ends one (`" X=`).
pub fn render<'a>(
    action: Option<&'a str>,
    parameters: impl Iterator<Item = (&'a str, &'a str, bool)>,
) -> String {
    let mut text = String::new();
    for (code, value, quoted) in parameters.chain(action.map(|action| (ACTION, action, false))) {
        let bare = !quoted && bare_value(value, 0) == Ok(value);
        let quote = if bare { "" } else { "\"" };
        let blank = if text.is_empty() { "" } else { " " };
        for part in [blank, code, "=", quote, value, quote] {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of `table` is a text, ` -> `, and what it reads as: `action|CODE=value|CODE~bare|`
    /// with a final `?` when ambiguous, or `!` and the offset of the error.
    fn check(table: &str) {
        for line in table.lines().filter(|line| line.contains(" -> ")) {
            let (text, want) = line.trim_start().split_once(" -> ").unwrap_or_default();
            assert_eq!(outline(text), want, "{text:?}");
        }
    }

    fn outline(text: &str) -> String {
        let parsed = match parse(text) {
            Err(error) => return format!("!{}", error.offset),
            Ok(parsed) => parsed,
        };
        let mut out = parsed.action.unwrap_or_default() + "|";
        for pair in parsed.parameters {
            let sign = if pair.quoted { "=" } else { "~" };
            out = out + &pair.code + sign + &pair.value + "|";
        }
        out + if parsed.ambiguous { "?" } else { "" }
    }

    #[test]
    fn the_vendor_s_forms_are_read() {
        assert_eq!([outline(""), outline(" \t\r\n")], ["|", "|"]);
        let certificate = format!("ATV=\"{}\" DSD=\"1\"", "MII/+=".repeat(350));
        assert!(parse(&certificate).is_ok_and(|parsed| parsed.parameters[0].value.len() == 2100));
        check(
            r#"
            Action=logout -> logout|
            DID="1" CID="2"Action=add -> add|DID=1|CID=2|
            KEY=HID-IA-4T.AUDIT.1 Action=auditKeys -> auditKeys|KEY~HID-IA-4T.AUDIT.1|
            param=NOTMatched -> |param~NOTMatched|
            Action=a DID="1"  CID="2 " -> a|DID=1|CID=2 |
            DID="1"Action=a CID="2"Action=a -> a|DID=1|CID=2|
            Action=" a "GRC="x"GRC="x" -> a|GRC=x|GRC=x|
            ARP="" USN="null" -> |ARP=|USN=null|
            ROC="Size 2 [0]=RL_A [1]=R_1" Action=b -> b|ROC=Size 2 [0]=RL_A [1]=R_1|
            FAC="No adapter:<Domain: BANK>"Action=x -> x|FAC=No adapter:<Domain: BANK>|"#,
        );
    }

    #[test]
    fn a_quote_inside_a_value_is_ambiguous_only_beside_another_quoted_value() {
        check(
            r#"
            FAC="say "hi"" -> |FAC=say "hi"|
            FAC="say "hi""Action=x -> x|FAC=say "hi"|
            FAC="5" pipe" DID="1" -> |FAC=5" pipe|DID=1|?
            FAC="a "B" C="1" d" E="2" -> |FAC=a "B|C=1" d|E=2|?
            ATV="{"a":"b"}"Action=x -> x|ATV={"a":"b"}|
            KEY=kAction=auditKeys -> |KEY~kAction=auditKeys|?
            A=""" -> |A="|"#,
        );
    }

    #[test]
    fn what_is_no_parameter_text_is_refused_at_its_offset() {
        let long = format!("{}=1", "A".repeat(CODE_MAX));
        assert!(parse(&long).is_ok());
        assert_eq!(outline(&format!("A{long}")), "!0");
        check(
            r#"
            9A=1 -> !0
            A= -> !2
            A= B=1 -> !2
            A="x -> !2
            A="x" garbage -> !2
            A=b"c" -> !3
            A=1 "x" -> !4
            Action=a Action=b -> !9
            A="1" Action="" -> !6
            Action=é A=é é=1 -> !15"#,
        );
    }

    #[test]
    fn json_is_read_in_order_with_repeats() {
        check(
            r#"
            {} -> |
            {"ATC":"x ","Action":" a ","ARP":"","ATC":"\u0041\/"} -> a|ATC=x |ARP=|ATC=A/|
            {"A" : 1234567890123456789012345678} -> |A=1234567890123456789012345678|
            { "B":-1.50e3 , "B":true,"B":null} -> |B=-1.50e3|B=true|B=null|
            {"A":"x\" B=1"} -> |A=x" B=1|
            {"Action":"a","Action":"b"} -> !14
            {"A":{"B":"c"}} -> !5
            {"a b":1} -> !1
            {"A":1,} -> !7
            {"A":1 "B":2} -> !7
            {"A":1 -> !6
            {"A":01} -> !5
            {"A":"\ud800"} -> !5
            {A:1} -> !1
            {, -> !1
            {}x -> !2"#,
        );
    }

    /// 256 KiB a text: a second for all of them, where one quadratic scan takes minutes.
    #[test]
    fn hostile_texts_take_linear_time() {
        let units = r#"" "A A=" A A=1\t "\t\t {"A":[ "A":1, é"#.split(' ');
        for unit in units.map(|unit| unit.replace("\\t", "\t")) {
            for start in ["", "A=\"", "A=\" \"", "{\"A\":\"", "{\"A\":1,", "{\"A\":"] {
                let _ = parse(&format!("{start}{}", unit.repeat((1 << 18) / unit.len())));
            }
        }
    }

    #[test]
    fn random_texts_never_panic_and_read_back_as_written() {
        const PIECES: [&str; 16] = [
            "\"", "\"", " ", "=", "A", "ATC=", "USN=\"", "\" B=", "Action=x", "{", "}", ":", ",", "\\", "1",
            "é",
        ];
        let (mut state, mut read) = (0x9E37_79B9_7F4A_7C15_u64, 0);
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        for _ in 0..50_000 {
            let pieces = random(12);
            let text: String = (0..pieces).map(|_| PIECES[random(PIECES.len())]).collect();
            match parse(&text) {
                Err(error) => assert!(text.get(error.offset..).is_some(), "{text:?}"),
                // A value from JSON may hold what the text form cannot say.
                Ok(_) if text.trim_ascii_start().starts_with('{') => {}
                Ok(one) => {
                    let pairs = one.parameters.iter();
                    let pairs = pairs.map(|p| (&*p.code, &*p.value, p.quoted));
                    let written = render(one.action.as_deref(), pairs);
                    assert_eq!(parse(&written), Ok(one), "{text:?}");
                    read += 1;
                }
            }
        }
        assert!(read > 1_000, "only {read} texts were readable");
    }
}
