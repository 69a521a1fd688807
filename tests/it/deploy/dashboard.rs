//! The dashboard: Grafana can read it, its queries parse, and they ask for what is exported.
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::{Value, json};

use super::{
    alerts::{rules, unheard_of, unheard_of_labels},
    render::{list, production},
};
use crate::documents::tool;

fn dashboard() -> Value {
    let text = production().named("ConfigMap", "chancery-dashboard")["data"]["chancery.json"].as_str();
    serde_json::from_str(text.expect("a dashboard")).expect("JSON")
}

/// The panels that draw something, and their queries.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row");
    panels
        .flat_map(|panel| {
            let title = panel["title"].as_str().expect("a title").to_owned();
            assert!(!list(&panel["targets"]).is_empty(), "{title}");
            list(&panel["targets"]).iter().map(move |target| {
                (title.clone(), target["expr"].as_str().expect("an expression").to_owned())
            })
        })
        .collect()
}

#[test]
fn the_dashboard_has_its_rows_and_its_choices() {
    let dashboard = dashboard();
    let config = production().named("ConfigMap", "chancery-dashboard");
    assert_eq!(config["metadata"]["labels"]["grafana_dashboard"], "1");
    let rows = list(&dashboard["panels"]).iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().expect("a title")).collect();
    assert_eq!(rows, ["SLO", "Ingest", "Saturation", "Storage", "Query and integrity", "Producers"]);
    let choices = list(&dashboard["templating"]["list"]).iter();
    let choices: Vec<_> = choices.map(|each| each["name"].as_str().expect("a name")).collect();
    assert_eq!(choices, ["datasource", "job", "namespace"]);
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is another one's");
        let place = &panel["gridPos"];
        assert!(places.insert((place["x"].as_u64(), place["y"].as_u64())), "{title}: it lies on another one");
        assert!(place["x"].as_u64().expect("x") + place["w"].as_u64().expect("w") <= 24, "{title}");
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{title}");
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 20), "{title}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        }
    }
}

#[test]
fn every_query_parses_and_asks_for_what_is_exported() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 25, "{} queries", queries.len());
    let mut rules = Vec::new();
    for (title, query) in &queries {
        assert!(query.contains("namespace=~\"$namespace\""), "{title}: {query} is of every namespace");
        let query = query.replace("$__rate_interval", "5m").replace("$namespace", "a").replace("$job", "b");
        assert!(!query.contains('$'), "{title}: {query}");
        assert_eq!(unheard_of(&query), BTreeSet::new(), "{title}");
        assert_eq!(unheard_of_labels(&query), BTreeSet::new(), "{title}");
        rules.push(json!({"record": format!("query:{}", rules.len()), "expr": query}));
    }
    let file = tempfile::NamedTempFile::with_suffix(".yml").expect("a file");
    let groups = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).expect("a file");
    let promtool = tool("CHANCERY_TEST_PROMTOOL", "promtool");
    let output = Command::new(promtool).args(["check", "rules"]).arg(file.path()).output().expect("promtool");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whoever is woken by a target sees on the dashboard what it is measured by, over the same times as of every other
/// target. What is recorded and neither drawn nor asked for by an alert is of no use.
#[test]
fn what_is_recorded_is_drawn_or_alerts() {
    let name = |rule: &Value, key: &str| rule[key].as_str().expect("a text").to_owned();
    let drawn: String = queries(&dashboard()).into_iter().map(|(_, query)| query + "\n").collect();
    let told: String = rules("alert").into_iter().map(|rule| name(rule, "expr") + "\n").collect();
    let mut targets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in rules("record").into_iter().map(|rule| name(rule, "record")) {
        let (target, window) = record.split_once(":ratio_rate").expect("a window");
        let windows = targets.entry(target.to_owned()).or_default();
        if drawn.contains(&format!("{record}{{")) {
            windows.insert(window.to_owned());
        } else {
            assert!(told.contains(&format!("{record} ")), "{record} is neither drawn nor asked for");
        }
    }
    assert_eq!(targets.len(), 3, "{targets:?}");
    let windows = BTreeSet::from(["1h", "6h", "3d"].map(str::to_owned));
    for (target, drawn) in targets {
        assert_eq!(drawn, windows, "{target}");
    }
}
