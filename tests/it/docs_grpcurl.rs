//! Every command of docs/grpcurl.md does what the page says, on both stores, in the page's order.
use crate::{
    documents::{Block, blocks, shell},
    harness::{KINDS, TestStore, server::Server},
};

const PAGE: &str = "docs/grpcurl.md";

#[test]
fn every_command_answers_as_the_page_says() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        for (command, expected) in commands() {
            let (output, text) = shell(&command.text, &server);
            let place = format!("{PAGE}:{} on {kind:?}:\n{}", command.line, command.text);
            let error_expected = expected.text.starts_with("ERROR:");
            assert_eq!(output.status.success(), !error_expected, "{place}\n{text}");
            if let Some(missing) = first_missing(&expected.text, &text) {
                panic!("{place}\nthe answer does not hold, in this order, {missing:?}:\n{text}");
            }
        }
    }
}

#[test]
fn the_page_has_every_call() {
    let commands: String = commands().into_iter().map(|(command, _)| command.text).collect();
    let contract = chancery::proto::DESCRIPTORS;
    let contract: prost_types::FileDescriptorSet =
        prost::Message::decode(contract).expect("the contract's descriptors");
    for file in contract.file {
        for service in &file.service {
            for method in &service.method {
                let call = format!("{}.{}/{}", file.package(), service.name(), method.name());
                assert!(commands.contains(&call), "{PAGE} does not call {call}");
            }
        }
    }
}

/// Each command with the answer below it.
fn commands() -> Vec<(Block, Block)> {
    let mut commands = Vec::new();
    let mut blocks = blocks(PAGE).into_iter();
    while let Some(command) = blocks.next() {
        let place = format!("{PAGE}:{}", command.line);
        assert_eq!(command.language, "sh", "{place}: an answer without a command");
        let answer = blocks.next().unwrap_or_else(|| panic!("{place}: a command without an answer"));
        assert!(matches!(answer.language.as_str(), "json" | "text"), "{place}: a command without an answer");
        assert!(!answer.text.trim().is_empty(), "{place}: the answer is empty");
        commands.push((command, answer));
    }
    assert!(!commands.is_empty(), "{PAGE} has no command");
    commands
}

/// The first line of the page's answer that the real one lacks after the lines before it. `...` stands
/// for any number of lines.
fn first_missing<'a>(expected: &'a str, answer: &str) -> Option<&'a str> {
    let mut answer = answer.lines().map(str::trim);
    expected
        .lines()
        .map(str::trim)
        .filter(|line| *line != "...")
        .find(|line| !answer.any(|each| each == *line))
}
