//! What a person sees: tables that fit the terminal, colours, bars and sparklines; and none of it elsewhere.
use crate::harness::{
    Kind, TestStore,
    cli::{Ran, run},
    log::filled,
    server::Server,
    terminal::run_on_terminal,
};

fn seen(server: &Server, arguments: &[&str], columns: u16) -> Ran {
    let ran = run_on_terminal(&mut server.cli(arguments), columns);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

/// Characters of a line, without colours.
fn width(line: &str) -> usize {
    uncoloured(line).chars().count()
}

fn uncoloured(text: &str) -> String {
    regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern").replace_all(text, "").into_owned()
}

/// Lines of a table that are events.
fn rows(ran: &Ran) -> Vec<String> {
    ran.out.lines().filter(|line| line.starts_with("20")).map(uncoloured).collect()
}

#[test]
fn a_table_fits_the_terminal_and_never_cuts_time_position_and_outcome() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, stored) = filled(&store);
    for columns in [60, 80, 120, 250] {
        let ran = seen(&server, &["query"], columns);
        let widest = ran.out.lines().map(width).max().expect("a line");
        assert!(widest <= usize::from(columns), "{widest} of {columns}:\n{}", ran.out);
        let rows = rows(&ran);
        assert_eq!(rows.len(), stored.len(), "one line per event");
        for (row, event) in rows.iter().zip(&stored) {
            let at = event.occurred_at.as_ref().expect("a time");
            let at = jiff::Timestamp::new(at.seconds, at.nanos).expect("a time");
            assert!(row.starts_with(&at.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()), "{row}");
            let words: Vec<_> = row.split_whitespace().collect();
            assert_eq!(words[2], event.position.expect("a position").to_string(), "{row}");
            let outcome = ["?", "started", "success", "failure", "denied", "unknown"][event.outcome as usize];
            assert!(words.contains(&outcome), "{row}");
        }
        let header = ran.out.lines().next().expect("a header");
        assert_eq!(header.ends_with("  …"), columns < 120, "what is left out is told: {header}");
        assert!(columns > 120 || rows.iter().any(|row| row.contains('…')), "what is cut has a mark");
    }
    // Nothing is cut where nobody's terminal is too narrow.
    let whole = run(&mut server.cli(&["query", "-o", "table"]), "");
    assert!(!whole.out.contains('…') && whole.out.lines().map(width).max() > Some(250));
}

#[test]
fn colours_are_for_terminals_only_and_never_with_no_color() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, _) = filled(&store);
    for command in [&["query", "-o", "table"][..], &["count", "--by", "outcome"]] {
        let ran = seen(&server, command, 120);
        assert!(ran.out.contains("\u{1b}[31mfailure\u{1b}[0m"), "{}", ran.out);
        assert!(ran.out.contains("\u{1b}[33mdenied\u{1b}[0m"), "{}", ran.out);
        assert!(!ran.err.contains('\u{1b}'));
        let plain = run_on_terminal(server.cli(command).env("NO_COLOR", "1"), 120);
        assert_eq!(plain.out, uncoloured(&ran.out));
        assert!(!run(&mut server.cli(command), "").out.contains('\u{1b}'), "{command:?}");
    }
}

#[test]
fn counts_by_group_have_a_bar_each_that_is_as_long_as_the_count_is_high() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, stored) = filled(&store);
    let ran = seen(&server, &["count", "--by", "family"], 100);
    assert_eq!(ran.err, format!("total {}\n", stored.len()));
    let rows: Vec<(u64, usize)> = ran
        .out
        .lines()
        .skip(1)
        .map(|line| {
            assert!(line.chars().count() <= 100, "{line}");
            let words: Vec<_> = line.split_whitespace().collect();
            (words[1].parse().expect("a count"), words[2].chars().count())
        })
        .collect();
    assert_eq!(rows.iter().map(|(count, _)| count).sum::<u64>(), stored.len() as u64);
    let (most, longest) = *rows.iter().max().expect("a row");
    assert_eq!(longest, 100 - "cms-notification".len() - "count".len() - 4, "the highest fills the line");
    for (count, length) in rows {
        let exact = count * longest as u64 / most;
        assert!((exact..=exact + 1).contains(&(length as u64)), "{count}: {length}");
    }
    // Elsewhere there is none.
    assert!(!run(&mut server.cli(&["count", "--by", "family"]), "").out.contains('█'));
}

#[test]
fn counts_by_time_show_the_empty_buckets_too() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, _) = filled(&store);
    let flags = ["count", "--bucket", "1d", "--since", "2026-01-03", "--until", "2026-01-14"];
    let ran = seen(&server, &flags, 80);
    let rows: Vec<Vec<_>> = ran.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let days: Vec<_> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(days, (3..=13).map(|day| format!("2026-01-{day:02}")).collect::<Vec<_>>());
    assert!(rows.iter().any(|row| row[2] == "0" && row.len() == 3), "{}", ran.out);
    assert!(
        rows.iter().all(|row| row[2] == "0" || row.len() == 4),
        "whatever is not 0 has a bar: {}",
        ran.out
    );
    let total: u64 = rows.iter().map(|row| row[2].parse::<u64>().expect("a count")).sum();
    assert_eq!(ran.err, format!("total {total}\n"));
    // Elsewhere the rows are those of the answer.
    let plain = run(&mut server.cli(&flags), "");
    assert!(plain.out.lines().count() < ran.out.lines().count(), "{}", plain.out);
}

#[test]
fn counts_by_group_and_time_have_a_sparkline_each() {
    let store = TestStore::new(Kind::Sqlite);
    let (server, stored) = filled(&store);
    for columns in [60, 100] {
        let ran = seen(&server, &["count", "--by", "outcome", "--bucket", "1h"], columns);
        let lines: Vec<_> = ran.out.lines().map(uncoloured).collect();
        assert!(lines[0].contains(" each"), "{}", lines[0]);
        assert_eq!(lines.len(), 6, "a header and five outcomes: {}", ran.out);
        let mut total = 0;
        for line in &lines[1..] {
            assert!(line.chars().count() <= usize::from(columns), "{line}");
            assert!(line.contains(['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']), "{line}");
            total += line.split_whitespace().nth(1).and_then(|it| it.parse::<usize>().ok()).expect("a count");
        }
        assert_eq!(total, stored.len());
    }
}
