//! The metrics of a running server.
use std::collections::BTreeMap;

use regex::Regex;

use super::server::Server;

/// The samples of the exposition text, by name with labels. Every line is checked.
pub async fn metrics(server: &Server) -> BTreeMap<String, f64> {
    let (status, text) = server.admin_get("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let comment = Regex::new(r"^# (HELP|TYPE|UNIT) [a-z_]+ .+$|^# EOF$").expect("a pattern");
    let sample = Regex::new(r#"^([a-z_]+(?:\{[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*\})?) ([0-9.eE+-]+)$"#)
        .expect("a pattern");
    let mut samples = BTreeMap::new();
    for line in text.lines().filter(|line| !comment.is_match(line)) {
        let parts = sample.captures(line).unwrap_or_else(|| panic!("not a sample: {line:?}"));
        let value: f64 = parts[2].parse().expect("a number");
        assert!(parts[1].starts_with("chancery_"), "{line}");
        assert_eq!(samples.insert(parts[1].to_owned(), value), None, "{line} stands there twice");
    }
    samples
}

/// Events received, and by what became of them.
pub fn fates(samples: &BTreeMap<String, f64>) -> (f64, BTreeMap<&str, f64>) {
    let received = samples["chancery_append_received_events_total"];
    let by_result = samples.iter().filter_map(|(name, value)| {
        let result = name.strip_prefix("chancery_append_events_total{result=\"")?.strip_suffix("\"}")?;
        Some((result, *value))
    });
    (received, by_result.collect())
}
