//! Extracts the event types from the text of the vendor's list of Token Server audit events.
//!
//! The list itself is not part of this repository, only its names are: `tests/seeds/token_server.txt`. With the list at
//! hand, this file makes that one again, so that the catalog is compared with the vendor and not with itself.
//!
//! It says nothing about what a type means. The test of the catalog's completeness calls it.

/// The event types in the order of the list, in the underscore form.
///
/// A type stands on a line of its own, `NAME sentence`. Headings and the line `Event Description` above each table begin
/// with an ordinary word and are passed over. One name of the list is torn by a stray blank after an underscore; no name
/// ends with an underscore, so such a word is joined with the next.
pub fn extract(text: &str) -> Vec<String> {
    text.lines().filter_map(name).collect()
}

/// One name per line, with a newline after the last: the form of the file under `tests/seeds/`.
pub fn to_lines(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

/// The name at the beginning of a line; `None` when the line is empty, a heading, or has no sentence after the name.
fn name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let mut name = words.next().filter(|word| is_name(word))?.to_owned();
    if name.ends_with('_') {
        name.push_str(words.next().filter(|word| is_name(word))?);
    }
    words.next().map(|_| name)
}

/// Capitals, digits and at least one underscore. Every type has an underscore; `API` and `SMS` in a sentence have none.
fn is_name(word: &str) -> bool {
    word.contains('_') && word.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

#[test]
fn a_name_is_the_first_word_of_its_line() {
    let text = "Audit events\n\nEvent Description\nDOOR_OPENED A door.\nDOOR_SHUT Via the API\n";
    assert_eq!(to_lines(&extract(text)), "DOOR_OPENED\nDOOR_SHUT\n");
}

#[test]
fn a_name_torn_by_a_blank_is_joined() {
    assert_eq!(extract("DOOR_ LOCK_BROKEN Of iron"), ["DOOR_LOCK_BROKEN"]);
}
