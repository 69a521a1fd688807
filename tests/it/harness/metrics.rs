//! The metrics of a running server.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use regex::Regex;
use tokio::time::sleep;

use super::server::Server;

/// How long calls whose clients are gone may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// What Prometheus sends.
const PROMETHEUS: &str =
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// The samples of the exposition text, by name with labels. Every line is checked.
pub async fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let (status, text) = server.admin_get_as("/metrics", PROMETHEUS).await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let comment = Regex::new(r"^# (HELP|TYPE|UNIT) [a-z_]+ .+$|^# EOF$").expect("a pattern");
    let labels = r#"[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*"#;
    let sample = format!(r"^([a-z_]+(?:\{{{labels}\}})?) ([0-9.eE+-]+)( # \{{{labels}\}} [0-9.eE+-]+)?$");
    let sample = Regex::new(&sample).expect("a pattern");
    let ours = Regex::new("^(chancery|rpc_server|db_client|process|tokio)_").expect("a pattern");
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !comment.is_match(line)) {
        let parts = sample.captures(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
        let value: f64 = parts[2].parse().expect("a number");
        assert!(ours.is_match(&parts[1]), "{line}");
        assert_eq!(samples.insert(parts[1].to_owned(), value), None, "{line} stands there twice");
    }
    samples
}

/// Events received, and by what became of them.
pub fn fates(samples: &BTreeMap<String, f64>) -> (f64, BTreeMap<&str, f64>) {
    let received = samples["chancery_ingest_received_events_total"];
    let by_result = samples.iter().filter_map(|(name, value)| {
        let result = name.strip_prefix("chancery_ingest_events_total{result=\"")?.strip_suffix("\"}")?;
        // All of them are there from the start.
        (*value > 0.0).then_some((result, *value))
    });
    (received, by_result.collect())
}

/// The sum of the samples of a counter.
fn sum(samples: &BTreeMap<String, f64>, name: &str) -> u64 {
    let of_it = samples.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
    of_it.map(|(_, value)| *value as u64).sum()
}

/// What does not add up once nothing is on its way any more: every event that was received has met one fate, and every
/// one that was not taken has a reason.
pub async fn unconserved(server: &Server) -> Vec<String> {
    let began = Instant::now();
    loop {
        let samples = metrics(server).await;
        let (_, fates) = fates(&samples);
        let received = sum(&samples, "chancery_ingest_received_events_total");
        let met = sum(&samples, "chancery_ingest_events_total");
        let refused = ["rejected", "quarantined", "conflict"].map(|fate| fates.get(fate).copied());
        let refused: u64 = refused.into_iter().flatten().map(|events| events as u64).sum();
        let reasons = sum(&samples, "chancery_ingest_rejected_events_total");
        let not_attempted = fates.get("not_attempted").map_or(0, |events| *events as u64);
        let causes = sum(&samples, "chancery_ingest_not_attempted_events_total");
        let mut wrong = Vec::new();
        if received != met {
            wrong.push(format!("{received} events were received, and {met} have met a fate: {fates:?}"));
        }
        if refused != reasons {
            wrong.push(format!("{refused} events were refused, and {reasons} have a reason: {fates:?}"));
        }
        if not_attempted != causes {
            wrong.push(format!(
                "{not_attempted} events were not attempted, and {causes} have a reason: {fates:?}"
            ));
        }
        if wrong.is_empty() || began.elapsed() > ENDS_WITHIN {
            return wrong;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Fails when something does not add up.
pub async fn conserved(server: &Server) {
    assert_eq!(unconserved(server).await, Vec::<String>::new());
}
