//! Reads the text of the vendor's page "Audit Events" of ActivID AS: what the catalog must hold.
//!
//! The page is a run of blocks under category headings (`Add Events`):
//!
//! ```text
//! Description |
//! API call |
//! Parameters |
//! ROC="RL_USERADM"Action=addRoleToUser |
//! ```
//!
//! Three blocks are irregular: one has an empty `Parameters` cell, one has its two cells swapped, and
//! one holds a free pair and no action. Shares no code with `src/catalog/as_parameters.rs`, which it
//! checks.

use std::collections::BTreeSet;

/// One block of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeedBlock {
    /// The heading without its `Events`.
    pub category: String,
    /// What the block's text names as its `Action`; `None` in two of the irregular blocks.
    pub action: Option<String>,
    /// The parameter text, verbatim; `None` where the cell is empty.
    pub raw: Option<String>,
}

impl SeedBlock {
    /// The event that the block is about. The two blocks without an action are told apart by their
    /// parameters: `addDevice` has none, `audit()` those of the application that calls it.
    pub fn event(&self) -> &str {
        match (&self.action, &self.raw) {
            (Some(action), _) => action,
            (None, Some(_)) => "audit",
            (None, None) => "addDevice",
        }
    }
}

/// All blocks, in the order of the page.
pub fn extract(text: &str) -> Vec<SeedBlock> {
    let mut blocks = Vec::new();
    let mut category = String::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_suffix(" Events") {
            category = heading.to_owned();
        }
        if line != "Description |" {
            continue;
        }
        let description = cell(&mut lines);
        let parameters = match lines.next_if_eq(&"Parameters |") {
            Some(_) => cell(&mut lines),
            None => String::new(),
        };
        let swapped = action(&description).is_some();
        let raw = Some(if swapped { description } else { parameters });
        let raw = raw.filter(|raw| !raw.is_empty());
        blocks.push(SeedBlock { category: category.clone(), action: raw.as_deref().and_then(action), raw });
    }
    blocks
}

/// The lines up to the next label or heading, without the bar that ends a cell.
fn cell<'a>(lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> String {
    let is_cell =
        |line: &&str| !["Description |", "Parameters |"].contains(line) && !line.ends_with(" Events");
    let mut parts = Vec::new();
    while let Some(line) = lines.next_if(is_cell) {
        parts.push(line.strip_suffix('|').unwrap_or(line).trim());
    }
    parts.join(" ").trim().to_owned()
}

/// The name behind the last `Action=`, where the text ends with one.
fn action(cell: &str) -> Option<String> {
    let (_, name) = cell.rsplit_once("Action=")?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric());
    is_name.then(|| name.to_owned())
}

/// The parameter texts, in the order of the page.
pub fn raw_lines(text: &str) -> Vec<String> {
    extract(text).into_iter().filter_map(|block| block.raw).collect()
}

/// The vendor's parameter codes. No value of the page holds a quote, so every second stretch between
/// quotes is outside of a value, and a code is the word before a `=` there. Only words in capitals
/// are codes: `Action` is reserved, and `param` is a free pair of the audit() call.
pub fn parameter_codes(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for raw in raw_lines(text) {
        for word in raw.split('"').step_by(2).flat_map(str::split_whitespace) {
            if let Some((code, _)) = word.split_once('=')
                && code.chars().all(|c| c.is_ascii_uppercase())
            {
                codes.insert(code.to_owned());
            }
        }
    }
    codes
}

/// One line for every block: category, tab, event.
pub fn to_tsv(text: &str) -> String {
    let line = |block: SeedBlock| format!("{}\t{}\n", block.category, block.event());
    extract(text).into_iter().map(line).collect()
}

#[test]
fn irregular_blocks_are_read() {
    let page = "Audit Events\nAdd Events\nDescription |\ninternal |\nParameters |\nDescription |\n|\n\
        Parameters |\nGRC=\"a b\" KEY=k Action=createUser |\nOther Events\nDescription |\n\
        Action=createDatasource |\nParameters |\nAPI call |\nDescription |\n|\nParameters |\nparam=x |";
    let tsv = "Add\taddDevice\nAdd\tcreateUser\nOther\tcreateDatasource\nOther\taudit\n";
    assert_eq!(to_tsv(page), tsv);
    let raw = ["GRC=\"a b\" KEY=k Action=createUser", "Action=createDatasource", "param=x"];
    assert_eq!(raw_lines(page), raw);
    let codes = ["GRC", "KEY"].map(str::to_owned);
    assert_eq!(parameter_codes(page), BTreeSet::from(codes));
}
