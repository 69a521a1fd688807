//! What the terminal allows: its width, and colours.
//!
//! Does: ask standard output and the environment once. Does not: decide what stands out; `table.rs` does.
//! Called by: `output::Sink`, `count`.
use std::{env, ffi::OsStr, io, io::IsTerminal as _};

use terminal_size::{Width, terminal_size_of};

/// Below this a table is unreadable whatever is cut, so nothing is. Pseudo terminals of scripts often say 0.
const NARROWEST_TERMINAL: u16 = 40;

/// How a table may look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Characters per line; absent when the output is no terminal or does not know, and nothing is cut.
    pub width: Option<u16>,
    /// Whether words may be coloured.
    pub colour: bool,
}

impl Look {
    /// Of standard output.
    pub fn stdout() -> Self {
        let width = terminal_size_of(io::stdout()).map(|(Width(width), _)| width);
        Self {
            width: width.filter(|width| *width >= NARROWEST_TERMINAL),
            colour: colour(
                io::stdout().is_terminal(),
                env::var_os("NO_COLOR").as_deref(),
                env::var_os("TERM").as_deref(),
            ),
        }
    }
}

/// Colours are for terminals that know them. NO_COLOR counts with any value but the empty one
/// (<https://no-color.org>).
fn colour(terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_for_those_who_want_them() {
        let text = |text| Some(OsStr::new(text));
        assert!(colour(true, None, text("xterm")));
        assert!(colour(true, text(""), None));
        assert!(!colour(true, text("0"), text("xterm")));
        assert!(!colour(true, None, text("dumb")));
        assert!(!colour(false, None, text("xterm")));
    }
}
