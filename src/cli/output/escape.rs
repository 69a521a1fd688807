//! Makes text of events harmless for a terminal and for a spreadsheet.
//!
//! Does: escape control and direction characters; mark cells that a spreadsheet would run.
//! Does not: JSON, which `json.rs` escapes in its own way. Called by: everything that prints text of a
//! server.
use std::{borrow::Cow, fmt::Write as _};

/// True for what could drive a terminal or reorder what is read: C0, DEL, C1, and the bidirectional
/// controls U+202A..202E and U+2066..2069.
pub const fn is_unsafe(letter: char) -> bool {
    letter.is_ascii_control()
        || matches!(letter, '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with every unsafe character as `\u{..}`, on one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_unsafe(letter) {
            // Writing to a String cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

/// The text as a CSV cell: visible, and with a leading ' where a spreadsheet would take it for a formula.
pub fn cell(text: &str) -> Cow<'_, str> {
    let visible = visible(text);
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{visible}"))
    } else {
        visible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_cannot_drive_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{7f}"), "a\\u{1b}[2Jb\\u{a}\\u{7f}");
        assert_eq!(visible("\u{9b}31m"), "\\u{9b}31m");
        assert_eq!(visible("x\u{202e}y\u{2066}"), "x\\u{202e}y\\u{2066}");
    }

    #[test]
    fn ordinary_text_is_borrowed() {
        assert!(matches!(visible("Zoë 日本 \\u"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_spreadsheet_runs_nothing() {
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("-1"), "'-1");
        assert_eq!(cell("\t=1"), "'\\u{9}=1");
        assert_eq!(cell("a=b"), "a=b");
    }
}
