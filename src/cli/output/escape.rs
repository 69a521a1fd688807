//! Makes text of events harmless for a terminal and for a spreadsheet.
//!
//! Does: escape control and direction characters; mark cells that a spreadsheet would run.
//! Does not: JSON, which `json.rs` escapes in its own way. Called by: everything that prints text of a
//! server.
use std::{borrow::Cow, fmt::Write as _};

/// True for what could drive a terminal or reorder what is read: C0, DEL, C1, the bidirectional marks
/// (U+061C, U+200E, U+200F), embeddings and isolates (U+202A..202E, U+2066..2069), and the separators of lines
/// and paragraphs (U+2028, U+2029).
pub const fn is_unsafe(letter: char) -> bool {
    letter.is_ascii_control()
        || matches!(
            letter,
            '\u{80}'..='\u{9f}'
                | '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// The text with every unsafe character as `\u{..}`, on one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

fn escaped(text: &str, unsafe_here: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if unsafe_here(letter) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// The text as a CSV cell: with a leading ' where a spreadsheet would take it for a formula. Line feeds stay, as
/// the quotes around a cell allow; every other unsafe character is escaped.
pub fn cell(text: &str) -> Cow<'_, str> {
    let safe = escaped(text, |letter| letter != '\n' && is_unsafe(letter));
    // The wide forms are what a spreadsheet with a Japanese or Chinese input method takes for the plain ones.
    let formula = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(formula) { Cow::Owned(format!("'{safe}")) } else { safe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_drive_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{7f}"), "a\\u{1b}[2Jb\\u{a}\\u{7f}");
        assert_eq!(visible("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(visible("x\u{202e}y\u{2066}"), "x\\u{202e}y\\u{2066}");
        assert_eq!(visible("x\u{200f}y\u{61c}\u{2028}"), "x\\u{200f}y\\u{61c}\\u{2028}");
    }

    #[test]
    fn ordinary_text_is_borrowed() {
        assert!(matches!(visible("Zoë 日本 \\u"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cell_keeps_its_lines_and_nothing_else_that_is_unsafe() {
        assert_eq!(cell("a\nb\r\u{1b}"), "a\nb\\u{d}\\u{1b}");
    }

    #[test]
    fn a_spreadsheet_runs_nothing() {
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("-1"), "'-1");
        assert_eq!(cell("+1"), "'+1");
        assert_eq!(cell("@SUM(1)"), "'@SUM(1)");
        assert_eq!(cell("\t=1"), "'\\u{9}=1");
        assert_eq!(cell("\r=1"), "'\\u{d}=1");
        assert_eq!(cell("\n=1"), "'\n=1");
        assert_eq!(cell("＝1"), "'＝1");
        assert_eq!(cell("a=b"), "a=b");
    }
}
