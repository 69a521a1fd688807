//! Every question of docs/queries.md is answered by its call and by its command, with exactly the events that it
//! is about, and the command shows on a terminal what the page says.
use std::collections::BTreeMap;

use chancery::proto::v1::{Event, Outcome};
use serde_json::Value;

use crate::{
    documents::{blocks, read, shell, shell_command},
    harness::{KINDS, TestStore, block_on, log::read_all, server::Server, terminal::run_on_terminal},
};

const PAGE: &str = "docs/queries.md";
/// Columns of the terminal on which the page's answers were seen.
const COLUMNS: u16 = 120;

/// What a question is about.
enum About {
    /// Events, oldest first.
    Events(fn(&Event) -> bool),
    /// The newest ones.
    Newest(usize),
    /// Counts, in the order of this key, of the events that have one.
    Counts(fn(&Event) -> Option<(i64, String)>),
    /// The filter as the server reads it.
    Explained,
}

/// The questions in the page's order.
fn questions() -> Vec<About> {
    use About::{Counts, Events, Explained, Newest};
    vec![
        Events(|it| it.device == "00005392B1A4F0071C2E"),
        Events(|it| it.actor == "badge-office-02" && within(it, "2026-02-02", "2026-02-09")),
        Counts(|it| {
            let login = ["Authentication", "User Portal authentication", "REST API"];
            let counts = login.contains(&it.category.as_str()) && failed(it);
            (counts && within(it, "2026-09-08", "2026-09-09")).then(|| (hour(it), String::new()))
        }),
        Events(|it| it.name.contains("Unlock") && (347..=348).contains(&position(it))),
        Events(|it| it.outcome() == Outcome::Denied),
        Events(|it| it.correlation_id == "ticket-56002"),
        Newest(20),
        Events(|it| position(it) >= 340),
        Events(|it| failed(it) && within(it, "2026-10-01", "2099-01-01")),
        Events(|it| within(it, "2000-01-01", "2026-01-06")),
        Events(|it| it.producer == "as-1" && within(it, "2026-10-01", "2099-01-01")),
        Events(|it| it.code == "20018"),
        Counts(|it| (it.family == 1).then(|| (0, format!("{} {}", it.code, it.name)))),
        Counts(|it| {
            let day = within(it, "2026-09-08", "2026-09-09");
            day.then(|| (hour(it), it.outcome.to_string()))
        }),
        Events(|it| {
            let attributes = it.attributes.iter().map(|each| each.value.as_str());
            let texts = attributes.chain([it.actor.as_str(), it.subject.as_str()]);
            texts.into_iter().any(|text| text.to_lowercase().contains("okafor"))
        }),
        Events(|it| it.name == "CertRevoke" && it.outcome() == Outcome::Success),
        Events(|it| it.outcome() != Outcome::Started && within(it, "2026-02-03", "2026-02-04")),
        Events(|it| [2, 3].contains(&it.family) && it.subject.starts_with("j.larsen")),
        Events(|it| it.warnings.iter().any(|warning| warning.reason == "UNKNOWN_CODE_ACCEPTED")),
        Explained,
    ]
}

fn position(event: &Event) -> u64 {
    event.position.expect("a position")
}

fn seconds(event: &Event) -> i64 {
    event.occurred_at.as_ref().expect("a time").seconds
}

fn hour(event: &Event) -> i64 {
    seconds(event).div_euclid(3600)
}

fn failed(event: &Event) -> bool {
    [Outcome::Failure, Outcome::Denied].contains(&event.outcome())
}

fn within(event: &Event, since: &str, until: &str) -> bool {
    let day = |text: &str| format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().expect("a day").as_second();
    (day(since)..day(until)).contains(&seconds(event))
}

/// A question of the page.
struct Question {
    title: String,
    call: String,
    command: String,
    answer: String,
}

impl Question {
    /// What the server must be able to do for it.
    fn needs(&self) -> Needs {
        match (self.command.contains("--explain"), self.command.contains("--where")) {
            (true, _) => Needs::Explain,
            (false, true) => Needs::Where,
            (false, false) => Needs::Filters,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Needs {
    Filters,
    Where,
    Explain,
}

/// The commands that fill the log, and the questions.
fn page() -> (Vec<String>, Vec<Question>) {
    let text = read(PAGE);
    let titles: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    let all = blocks(PAGE);
    let filling =
        all.iter().take_while(|it| it.text.starts_with("chancery append")).map(|it| it.text.clone());
    let filling: Vec<_> = filling.collect();
    let rest = &all[filling.len()..];
    assert_eq!(rest.len(), titles.len() * 3, "a call, a command and an answer each");
    let questions = rest.chunks(3).zip(titles).enumerate().map(|(at, (blocks, title))| {
        let [call, command, answer] = blocks else { unreachable!() };
        let languages = blocks.iter().map(|it| it.language.as_str());
        assert!(languages.eq(["sh", "sh", "text"]), "{title}");
        assert!(title.starts_with(&format!("{}. ", at + 1)) && title.ends_with('?'), "{title}");
        assert!(call.text.contains("grpcurl ") && command.text.contains("chancery "), "{title}");
        let [call, command, answer] = [call, command, answer].map(|it| it.text.clone());
        Question { title, call, command, answer }
    });
    (filling, questions.collect())
}

/// A server with the page's events, and these as stored.
fn world(store: &TestStore) -> (Server, Vec<Event>) {
    let server = Server::start_with(store, &["--accept-unknown", "token_server"]);
    for block in page().0 {
        let (output, text) = shell(&format!("set -e\n{block}"), &server);
        assert!(output.status.success(), "{block}\n{text}");
    }
    let events = block_on(async { read_all(&mut server.audit().await).await });
    assert!(events.len() > 300, "{} events", events.len());
    (server, events)
}

fn answered(needs: Needs, number: usize) {
    let abouts = questions();
    for kind in KINDS {
        let store = TestStore::new(kind);
        let (server, events) = world(&store);
        let questions = page().1;
        assert_eq!(questions.len(), abouts.len());
        let mut asked = 0;
        for (question, about) in questions.iter().zip(&abouts).filter(|(it, _)| it.needs() == needs) {
            check(&server, &events, question, about);
            asked += 1;
        }
        assert_eq!(asked, number, "{needs:?}");
    }
}

fn check(server: &Server, events: &[Event], question: &Question, about: &About) {
    let place = format!("{PAGE}, {}", question.title);
    let (output, called) = shell(&question.call, server);
    assert!(output.status.success(), "{place}\n{called}");
    let values = serde_json::Deserializer::from_str(&called).into_iter::<Value>();
    let called: Vec<Value> =
        values.map(|it| it.unwrap_or_else(|error| panic!("{place}: {error}\n{called}"))).collect();
    let (output, printed) = shell(&question.command, server);
    assert!(output.status.success(), "{place}\n{printed}");
    let called_positions: Vec<_> = called.iter().filter_map(|it| number(&it["event"])).collect();
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    let printed_positions: Vec<_> =
        lines.map(|line| number(&serde_json::from_str(line).expect("JSON")).expect("an event")).collect();
    let expected: Vec<u64> = match about {
        About::Events(wanted) => events.iter().filter(|it| wanted(it)).map(position).collect(),
        About::Newest(most) => events.iter().rev().take(*most).map(position).collect(),
        About::Counts(key) => {
            counts(events, *key, &called, &printed, &place);
            Vec::new()
        }
        About::Explained => {
            let summary = &called[0]["summary"];
            let filter = summary["filter"].as_str().expect("a filter");
            assert!(printed.contains(&format!("filter: {filter}\n")), "{place}\n{printed}");
            let plan = summary["plan"].as_str().expect("a plan");
            assert!(
                !plan.is_empty() && plan.lines().all(|line| printed.contains(line)),
                "{place}\n{printed}"
            );
            Vec::new()
        }
    };
    assert_eq!(called_positions, expected, "{place}: grpcurl");
    assert_eq!(printed_positions, expected, "{place}: chancery");
    if matches!(about, About::Events(_) | About::Newest(_)) {
        assert!(!expected.is_empty() && expected.len() < events.len(), "{place}: nothing to tell");
    }
    let seen = run_on_terminal(shell_command(&question.command, server).env("NO_COLOR", "1"), COLUMNS);
    assert_eq!(seen.code, 0, "{place}\n{seen:?}");
    let mut shown = seen.out.lines().map(str::trim_end);
    for line in question.answer.lines().filter(|line| *line != "...") {
        assert!(shown.any(|each| each == line), "{place}: not in this order, {line:?}:\n{}", seen.out);
    }
}

/// The position of an event as JSON; the first is 0, which has no field.
fn number(event: &Value) -> Option<u64> {
    let event = event.as_object()?;
    Some(event.get("position").map_or(0, |it| it.as_str().expect("text").parse().expect("a number")))
}

fn counts(
    events: &[Event],
    key: fn(&Event) -> Option<(i64, String)>,
    called: &[Value],
    printed: &str,
    place: &str,
) {
    let mut expected: BTreeMap<_, u64> = BTreeMap::new();
    for key in events.iter().filter_map(key) {
        *expected.entry(key).or_default() += 1;
    }
    let expected: Vec<_> = expected.into_values().collect();
    assert!(!expected.is_empty(), "{place}: nothing to count");
    let rows = called[0]["rows"].as_array().expect("rows").iter();
    let rows: Vec<u64> =
        rows.map(|it| it["count"].as_str().expect("text").parse().expect("a number")).collect();
    assert_eq!(rows, expected, "{place}: grpcurl");
    // Between the header and the total.
    let words = printed.lines().skip(1).take(expected.len()).map(|line| line.split_whitespace().last());
    let rows: Vec<u64> = words.map(|it| it.expect("a word").parse().expect("a count")).collect();
    assert_eq!(rows, expected, "{place}: chancery");
    assert!(printed.ends_with(&format!("total {}\n", expected.iter().sum::<u64>())), "{place}\n{printed}");
}

#[test]
fn questions_of_filters_are_answered_as_the_page_says() {
    answered(Needs::Filters, 15);
}

#[test]
fn questions_of_the_filter_language_are_answered_as_the_page_says() {
    answered(Needs::Where, 4);
}

#[test]
fn the_question_of_how_a_filter_is_read_is_answered_as_the_page_says() {
    answered(Needs::Explain, 1);
}

#[test]
fn there_are_twenty_questions_and_most_kinds_of_flags() {
    let questions = page().1;
    assert_eq!(questions.len(), 20);
    let commands: String = questions.into_iter().map(|it| it.command).collect();
    for flag in [
        "--actor",
        "--attribute",
        "--bucket",
        "--by",
        "--category",
        "--code",
        "--correlation-id",
        "--device",
        "--explain",
        "--failures",
        "--family",
        "--follow",
        "--for",
        "--limit",
        "--order",
        "--outcome",
        "--producer",
        "--received-since",
        "--since",
        "--text",
        "--until",
        "--where",
    ] {
        assert!(commands.contains(&format!("{flag} ")) || commands.contains(&format!("{flag}\n")), "{flag}");
    }
}
