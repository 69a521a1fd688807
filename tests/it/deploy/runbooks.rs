//! Every alert has its page for the night, and no page is of an alert that there is not.
use std::collections::BTreeSet;

use regex::Regex;

use super::alerts::{rules, unheard_of};
use crate::{
    documents::{blocks, code_words, read},
    harness::{root, server::chancery},
};

/// What every page has, in this order.
const PARTS: [&str; 4] = ["## At risk", "## Look first", "## Do", "## Escalate"];

fn pages() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("docs/runbooks")).expect("docs/runbooks").flatten();
    let names = entries.map(|entry| entry.file_name().into_string().expect("UTF-8"));
    names
        .filter_map(|name| Some(name.strip_suffix(".md")?.to_owned()))
        .filter(|name| name != "README")
        .collect()
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let alerts = rules("alert").into_iter().map(|rule| rule["alert"].as_str().expect("a name").to_owned());
    assert_eq!(pages(), alerts.collect());
    let contents = read("docs/runbooks/README.md");
    for page in pages() {
        assert!(contents.contains(&format!("({page}.md)")), "docs/runbooks/README.md does not list {page}");
        let text = read(&format!("docs/runbooks/{page}.md"));
        assert!(text.starts_with(&format!("# {page}\n")), "{page}");
        let places: Vec<_> = PARTS.iter().map(|part| text.find(&format!("\n{part}\n"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{page}: {places:?}");
        // For three o'clock in the morning.
        assert!(text.split_whitespace().count() <= 450, "{page} is too long");
    }
}

/// Commands, flags, metrics and pages that they name are there.
#[test]
fn what_the_runbooks_say_exists() {
    let command = Regex::new(r"^chancery ((?:[a-z]+ ?)+)").expect("a pattern");
    let flag = Regex::new(r" (--[a-z-]+)").expect("a pattern");
    let link = Regex::new(r"\]\(([^)#]+)(?:#[^)]*)?\)").expect("a pattern");
    for page in pages().into_iter().chain(["README".to_owned()]) {
        let document = format!("docs/runbooks/{page}.md");
        let text = read(&document);
        for found in link.captures_iter(&text) {
            let path = root().join("docs/runbooks").join(&found[1]);
            assert!(path.exists(), "{page}: {}", &found[1]);
        }
        let all = blocks(&document);
        for block in all.iter().filter(|block| block.language == "promql") {
            assert_eq!(unheard_of(&block.text), BTreeSet::new(), "{page}");
        }
        // What is between two fences looks quoted, too.
        let quoted = code_words(&text).filter(|words| !words.contains('\n')).map(str::to_owned);
        let lines: Vec<_> =
            all.iter().flat_map(|block| block.text.lines().map(str::to_owned)).chain(quoted).collect();
        for line in lines.iter().filter(|line| line.contains("chancery ")) {
            // A command may run inside a pod.
            let line = line.rsplit(" -- ").next().unwrap_or(line).trim();
            let Some(found) = command.captures(line) else { continue };
            let words: Vec<_> = found[1].split_whitespace().collect();
            let mut help = chancery();
            // The second word is a command of the first, or an argument.
            let output = help.args(&words[..words.len().min(2)]).arg("--help").output().expect("the help");
            let help = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{page}: {line}: {}", String::from_utf8_lossy(&output.stderr));
            for flag in flag.captures_iter(line.split(" | ").next().unwrap_or(line)) {
                assert!(help.contains(&flag[1]), "{page}: {line}: {}", &flag[1]);
            }
        }
    }
}

/// Of pods that a label chooses `kubectl logs` shows ten lines each, unless it is told how many.
#[test]
fn logs_of_chosen_pods_are_asked_for_by_their_number_of_lines() {
    let (mut folders, mut asked) = (vec![root().join("docs"), root().join("k8s")], 0);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a text");
            for command in text.split('`').flat_map(str::lines).filter(|line| line.contains("kubectl")) {
                let words: BTreeSet<_> = command.split_whitespace().collect();
                if words.contains("logs") && (words.contains("-l") || command.contains("--selector")) {
                    assert!(command.contains(" --tail="), "{}: {command}", path.display());
                    asked += 1;
                }
            }
        }
    }
    assert!(asked >= 10, "{asked}");
}
