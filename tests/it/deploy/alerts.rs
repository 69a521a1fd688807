//! The alerts: promtool accepts and tests them, each in both directions, and they ask for what is exported.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Command, Stdio},
};

use regex::Regex;
use serde_json::{Value, json};

use super::render::{list, production, yaml};
use crate::{
    documents::{code_words, read, tool},
    harness::{
        Kind, TestStore, block_on,
        calls::{accept, atomic},
        events,
        metrics::metrics,
        root,
        server::Server,
    },
};

/// The groups of rules, of all the objects that Kubernetes gets.
fn groups() -> impl Iterator<Item = &'static Value> {
    production().of("PrometheusRule").flat_map(|object| list(&object["spec"]["groups"]))
}

/// The rules that have this key, `alert` or `record`.
pub fn rules(key: &str) -> Vec<&'static Value> {
    groups().flat_map(|group| list(&group["rules"])).filter(|rule| rule[key].is_string()).collect()
}

/// Names, without the parts of histograms, that docs/metrics.md lists, beside those of Prometheus itself.
pub fn exported() -> BTreeSet<String> {
    let row = Regex::new(r"(?m)^\| `([a-z_]+)` \|").expect("a pattern");
    let listed = read("docs/metrics.md");
    let listed: BTreeSet<_> = row.captures_iter(&listed).map(|found| found[1].to_owned()).collect();
    assert!(listed.len() > 30, "{listed:?}");
    listed
}

/// What an expression asks for that neither a server exports nor a rule records.
pub fn unheard_of(expression: &str) -> BTreeSet<String> {
    let (exported, ours) =
        (exported(), Regex::new(r"\b(?:chancery|rpc|db|process|tokio)_[a-z_]+").expect("a pattern"));
    let records: BTreeSet<_> =
        rules("record").iter().map(|rule| rule["record"].to_string().replace('"', "")).collect();
    let recorded = Regex::new(r"chancery:[a-z_:0-9]+").expect("a pattern");
    let parts = Regex::new("_(bucket|count|sum)$").expect("a pattern");
    // Names of labels look like names of metrics.
    let labels = Regex::new(r#"\b[a-z_]+ *(=~|!~|=|!=)|(by|without|on|ignoring) \([^)]*\)|"[^"]*""#)
        .expect("a pattern");
    let without = labels.replace_all(expression, "");
    let names = ours.find_iter(&without).map(|found| found.as_str());
    let mut unknown: BTreeSet<_> = names
        .filter(|name| !exported.contains(*name) && !exported.contains(parts.replace(name, "").as_ref()))
        .map(str::to_owned)
        .collect();
    let used = recorded.find_iter(expression).map(|found| found.as_str().to_owned());
    unknown.extend(used.filter(|name| !records.contains(name)));
    unknown
}

#[test]
fn every_alert_says_what_it_is_where_it_is_explained_and_asks_for_what_is_exported() {
    for rule in rules("record") {
        assert_eq!(unheard_of(rule["expr"].as_str().expect("an expression")), BTreeSet::new(), "{rule}");
    }
    let alerts = rules("alert");
    assert!(alerts.len() > 25, "{} alerts", alerts.len());
    for rule in alerts {
        let name = rule["alert"].as_str().expect("a name");
        assert_eq!(unheard_of(rule["expr"].as_str().expect("an expression")), BTreeSet::new(), "{name}");
        assert_eq!(
            unheard_of_labels(rule["expr"].as_str().expect("an expression")),
            BTreeSet::new(),
            "{name}"
        );
        assert!([json!("page"), json!("ticket")].contains(&rule["labels"]["severity"]), "{name}");
        for text in ["summary", "description"] {
            let said = rule["annotations"][text].as_str().unwrap_or_default();
            assert!(said.len() > 15, "{name}: {text}");
        }
        let page = rule["annotations"]["runbook_url"].as_str().unwrap_or_default();
        assert!(page.ends_with(&format!("/docs/runbooks/{name}.md")), "{name}: {page}");
    }
}

/// Labels that a scrape adds, and those of the alerts themselves.
const OF_THE_SCRAPE: [&str; 6] = ["job", "namespace", "pod", "le", "app_kubernetes_io_component", "severity"];

/// Labels by which an expression chooses or groups that no metric of the server has.
pub fn unheard_of_labels(expression: &str) -> BTreeSet<String> {
    let documented = read("docs/metrics.md");
    let row = Regex::new(r"(?m)^\| `[a-z_]+` \| \w+ \| ([^|]*) \|").expect("a pattern");
    let mut known: BTreeSet<String> = OF_THE_SCRAPE.map(str::to_owned).into();
    for found in row.captures_iter(&documented) {
        known.extend(code_words(&found[1]).map(str::to_owned));
    }
    let chosen = Regex::new(r#"([a-z_]+) *(?:=~|!~|!=|=) *""#).expect("a pattern");
    let grouped = Regex::new(r"\b(?:by|without|on) \(([^)]*)\)").expect("a pattern");
    let mut used: BTreeSet<String> =
        chosen.captures_iter(expression).map(|found| found[1].to_owned()).collect();
    for found in grouped.captures_iter(expression) {
        used.extend(found[1].split(", ").map(str::to_owned));
    }
    used.difference(&known).cloned().collect()
}

/// What the targets are measured by is in a real scrape, to the letter.
#[test]
fn the_bounds_of_the_targets_are_bounds_of_the_histogram() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        accept(&mut server.audit().await, atomic(vec![events::hold("device-1")])).await;
        let samples = metrics(&server).await;
        let bound = Regex::new(r#"(\w+_bucket)\{le="([0-9.]+)"\}"#).expect("a pattern");
        let mut bounds = 0;
        for rule in rules("record") {
            for found in bound.captures_iter(rule["expr"].as_str().expect("an expression")) {
                let sample = format!("{}{{le=\"{}\"}}", &found[1], &found[2]);
                assert!(samples.contains_key(&sample), "{sample} is not among {:?}", samples.keys());
                bounds += 1;
            }
        }
        assert_eq!(bounds, 5);
        let method = "rpc_method=\"chancery.v1.AuditService/Append\"";
        assert!(samples.keys().any(|name| name.contains(method)), "{:?}", samples.keys());
    });
}

/// An alert is one rule, by its name and what tells it from others of that name.
fn distinct(rule: &Value) -> String {
    let told = rule["labels"]["window"].as_str().or(rule["labels"]["severity"].as_str());
    format!("{} {}", rule["alert"].as_str().unwrap_or_default(), told.unwrap_or_default())
}

#[test]
fn every_alert_is_tested_in_both_directions() {
    let folder = tempfile::tempdir().expect("a folder");
    let promtool = tool("CHANCERY_TEST_PROMTOOL", "promtool");
    let mut check = Command::new(&promtool);
    check.args(["check", "rules"]);
    // A file for each group: what a test does not load takes no time.
    for group in groups() {
        let file = folder.path().join(format!("{}.yml", group["name"].as_str().expect("a name")));
        assert!(!file.exists(), "{}: another group has its name", group["name"]);
        fs::write(&file, json!({"groups": [group]}).to_string()).expect("a file");
        check.arg(file);
    }
    let checked = check.output().expect("promtool");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let asked = Regex::new(r#"alertname="(\w+)",(?:window|severity)="(\w+)""#).expect("a pattern");
    let mut directions: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    let mut running = Vec::new();
    for entry in fs::read_dir(root().join("tests/alerts")).expect("tests").flatten() {
        let text = fs::read_to_string(entry.path()).expect("a test");
        let file = folder.path().join(entry.file_name());
        fs::write(&file, &text).expect("a file");
        for test in yaml(&text).iter().flat_map(|document| list(&document["tests"])) {
            for case in list(&test["promql_expr_test"]) {
                let found = asked.captures(case["expr"].as_str().expect("an expression")).expect("an alert");
                let fires = !list(&case["exp_samples"]).is_empty();
                directions.entry(format!("{} {}", &found[1], &found[2])).or_default().insert(fires);
            }
        }
        let mut command = Command::new(&promtool);
        command.args(["test", "rules"]).arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
        running.push(command.spawn().expect("promtool"));
    }
    for test in running {
        let output = test.wait_with_output().expect("promtool");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
    let wanted = rules("alert").into_iter().map(|rule| (distinct(rule), BTreeSet::from([false, true])));
    assert_eq!(directions, wanted.collect());
}
