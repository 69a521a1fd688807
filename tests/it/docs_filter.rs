//! Every expression of docs/filter.md does what the page says, and the page has every field, operator and
//! limit.
use std::collections::BTreeSet;

use chancery::{
    proto::v1::QueryRequest,
    query::predicate::{
        EnumColumn, FilterFault, MAX_FILTER_VALUES, MAX_WHERE_BYTES, MAX_WHERE_DEPTH, MAX_WHERE_TERMS,
        NumberColumn, Predicate, TextColumn,
    },
};

use crate::{
    documents::{blocks, code_words, shell, table},
    harness::{
        KINDS, TestStore, block_on,
        calls::{accept, atomic, query},
        events,
        server::Server,
    },
};

const PAGE: &str = "docs/filter.md";

/// The one expression of a cell.
fn code(cell: &str) -> String {
    let words: Vec<_> = code_words(cell).collect();
    assert_eq!(words.len(), 1, "{PAGE}: {cell}");
    words[0].to_owned()
}

#[test]
fn every_example_finds_some_events_and_not_all() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for family in ["cms_audit", "cms_notification", "as_audit", "token_server"] {
                accept(&mut audit, atomic(events::examples(family))).await;
            }
            for row in table(PAGE, "## By example") {
                let expression = code(&row[0]);
                let request = QueryRequest { r#where: expression.clone(), ..QueryRequest::default() };
                let answer = query(&mut audit, request).await;
                let (found, all) = (answer.summary.returned, answer.summary.head_position);
                let every = expression.starts_with("received_at");
                assert!(found > 0 && (found < all) != every, "{PAGE}: {expression} finds {found} of {all}");
            }
        });
        for block in blocks(PAGE).iter().filter(|block| block.language == "sh") {
            let (output, text) = shell(&block.text, &server);
            let found = text.matches("\"outcome\": \"OUTCOME_FAILURE\"").count();
            assert!(output.status.success() && found == 2, "{PAGE}:{}\n{text}", block.line);
        }
    }
}

#[test]
fn each_expression_is_understood_as_the_page_says() {
    for row in table(PAGE, "## What binds to what") {
        let expression = code(&row[0]);
        match (Predicate::of(None, &expression), row[1].strip_prefix("refused: ")) {
            (Ok(predicate), None) => assert_eq!(predicate.to_string(), code(&row[1]), "{expression}"),
            (Err(FilterFault::Where { description, .. }), Some(said)) => {
                assert!(description.contains(said), "{expression}: {description}");
            }
            (other, _) => panic!("{expression}: {other:?}"),
        }
    }
    for row in table(PAGE, "## Errors") {
        let expression = code(&row[0]);
        let Err(FilterFault::Where { offset, description }) = Predicate::of(None, &expression) else {
            panic!("{PAGE}: {expression} is accepted");
        };
        assert_eq!(offset.to_string(), row[1], "{expression}: {description}");
        assert!(description.contains(&row[2]), "{expression}: {description}");
    }
}

#[test]
fn every_field_takes_the_operators_of_its_row_and_no_others() {
    let rows = table(PAGE, "## Fields");
    let listed: BTreeSet<_> = rows.iter().map(|row| code(&row[0])).collect();
    let mut known: BTreeSet<_> = TextColumn::ALL.iter().map(|column| column.name().to_owned()).collect();
    known.extend(EnumColumn::ALL.iter().map(|column| column.name().to_owned()));
    known.extend(NumberColumn::ALL.iter().map(|column| column.name().to_owned()));
    known.insert("attributes.NAME".to_owned());
    assert_eq!(listed, known);
    for row in &rows {
        let (field, kind) = (code(&row[0]), row[1].split([',', ':', ' ']).next().expect("a word"));
        let value = match kind {
            "text" => "x".to_owned(),
            "whole" => "5".to_owned(),
            "time" => "2026-05-28".to_owned(),
            names => names.trim_matches('`').to_lowercase(),
        };
        let told: BTreeSet<_> = code_words(&row[2]).collect();
        for operator in ["=", "!=", "<", "<=", ">", ">=", ":"] {
            let expression = format!("{field}{operator}{value}");
            let accepted = Predicate::of(None, &expression).is_ok();
            assert_eq!(accepted, told.contains(operator), "{PAGE}: {expression}");
        }
        assert!(Predicate::of(None, &format!("{field}:*")).is_ok(), "{field}:*");
    }
    for expression in
        code_words(&crate::documents::read(PAGE)).filter(|word| word.starts_with("attributes.\""))
    {
        assert!(Predicate::of(None, &format!("{expression}:*")).is_ok(), "{expression}");
    }
}

#[test]
fn the_limits_are_those_of_the_page() {
    let limits: Vec<_> = table(PAGE, "## Limits")
        .into_iter()
        .map(|row| row[1].replace(',', "").parse::<usize>().expect("a number"))
        .collect();
    assert_eq!(limits, [MAX_WHERE_BYTES, MAX_WHERE_TERMS, MAX_WHERE_DEPTH, MAX_FILTER_VALUES]);
}
