//! Metrics and log lines, what they say of the process, and how the receiver is reached.
use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value};

use super::{batch, server, server_in};
use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::accept,
    certificates::Authority,
    events,
    receiver::{Mood, Received, Receiver, attributes},
};

/// The sum of the points of a metric, and of its unit.
fn sum(received: &Received, name: &str) -> Option<f64> {
    let metric = received.metrics.iter().find(|metric| metric.name == name)?;
    let points = match metric.data.as_ref()? {
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{metric:?}");
            &sum.data_points
        }
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{name} is {other:?}"),
    };
    let value = |value: Option<Value>| match value {
        Some(Value::AsDouble(value)) => value,
        other => panic!("{name} is {other:?}"),
    };
    Some(points.iter().map(|point| value(point.value)).sum())
}

/// The names under which the admin port serves what has a value.
fn served(text: &str) -> BTreeSet<String> {
    let mut kinds = BTreeMap::new();
    let mut names = BTreeSet::new();
    for line in text.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').expect("a kind");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| {
                let family = name.strip_suffix(suffix)?;
                (kinds.get(family)? == "histogram").then(|| family.to_owned())
            });
            names.insert(of_histogram.unwrap_or_else(|| name.to_owned()));
        }
    }
    names
}

#[test]
fn metrics_have_the_names_and_values_of_the_admin_port() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let receiver = Receiver::start(Mood::Well).await;
            let mut server = server(&store, &receiver, &[]);
            let first = receiver.until("metrics", |received| {
                let names: BTreeSet<_> = received.metrics.iter().map(|metric| metric.name.clone()).collect();
                (!names.is_empty()).then_some(names)
            });
            let first = first.await;
            assert!(first.len() > 20, "{first:?}");
            let mut audit = server.audit().await;
            accept(&mut audit, batch((0..7).map(|_| events::hold("device-1")).collect())).await;
            let names = served(&server.admin_get("/metrics").await.1);
            // The last ones are sent at the end.
            server.signal("TERM");
            assert_eq!(server.wait(std::time::Duration::from_secs(30)).code(), Some(0), "{}", server.log());
            let received = receiver.received();
            let sent: BTreeSet<_> = received.metrics.iter().map(|metric| metric.name.clone()).collect();
            assert!(sent.is_subset(&names), "{sent:?} {names:?}");
            // By then the store is closed.
            let missing: Vec<_> =
                names.difference(&sent).filter(|name| !name.starts_with("db_client_connection")).collect();
            assert!(missing.is_empty(), "{missing:?}");
            let dropped = sum(&received, "chancery_telemetry_dropped_total");
            assert_eq!(dropped, Some(0.0));
            let named = |part: &str| -> Vec<&Metric> {
                received.metrics.iter().filter(|metric| metric.name.contains(part)).collect()
            };
            let grouped = named("commit_group_events");
            let Some(Data::Histogram(histogram)) = &grouped[0].data else { panic!("{grouped:?}") };
            let point = &histogram.data_points[0];
            assert_eq!((point.sum, point.count), (Some(7.0), 1));
            assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
            let at = point.bucket_counts.iter().position(|count| *count == 1).expect("a bucket");
            assert!(point.explicit_bounds[at] >= 7.0 && point.explicit_bounds[at - 1] < 7.0, "{point:?}");
            assert_eq!(point.bucket_counts.iter().sum::<u64>(), 1);
            assert!(point.start_time_unix_nano > 0 && point.start_time_unix_nano < point.time_unix_nano);
            let units: BTreeSet<_> =
                named("_duration_seconds").iter().map(|metric| metric.unit.as_str()).collect();
            assert_eq!(units, BTreeSet::from(["s"]));
        });
    }
}

#[test]
fn log_lines_arrive_with_their_fields_and_with_what_the_process_is() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let receiver = Receiver::start(Mood::Well).await;
        let first = server(&store, &receiver, &[]);
        let told = |received: &Received| {
            let line = *received.saying("serving").first()?;
            Some((line.severity_text.clone(), attributes(&line.attributes)))
        };
        let (severity, fields) = receiver.until("the line", told).await;
        assert_eq!((severity.as_str(), fields["grpc"].as_str()), ("INFO", first.address.as_str()));
        let resources: BTreeSet<_> = receiver.received().resources.iter().cloned().collect();
        assert_eq!(resources.len(), 1, "every signal tells of the same process");
        let resource = resources.first().expect("a resource").clone();
        assert_eq!(resource["service.name"], "chancery");
        assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
        drop(first);

        let again = server(&store, &receiver, &[]);
        let instances = |received: &Received| -> BTreeSet<String> {
            received.resources.iter().map(|resource| resource["service.instance.id"].clone()).collect()
        };
        receiver.until("another one", |received| (instances(received).len() == 2).then_some(())).await;
        drop(again);

        // The standard's variables, in place of ours and besides them.
        let receiver = Receiver::start(Mood::Well).await;
        let variables = [
            &format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", receiver.url()),
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20hunter2",
            "OTEL_SERVICE_NAME=audit",
            "OTEL_RESOURCE_ATTRIBUTES=service.name=other,deployment.environment.name=test",
        ];
        let mut server = server_in(&store, &variables, &["--log-level", "debug"]);
        receiver.until("the line", told).await;
        let resource = receiver.received().resources[0].clone();
        assert_eq!(resource["service.name"], "audit");
        assert_eq!(resource["deployment.environment.name"], "test");
        for headers in &receiver.received().headers {
            assert_eq!(headers.get("authorization").expect("a header"), "Bearer hunter2");
        }
        server.signal("TERM");
        assert_eq!(server.wait(std::time::Duration::from_secs(30)).code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    });
}

/// At the level of debug the exporter logs much of what it does, and sends nothing of that.
#[test]
fn the_exporter_does_not_tell_of_itself() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let receiver = Receiver::start(Mood::Well).await;
        let server = server(&store, &receiver, &["--log-level", "debug"]);
        receiver.until("the line", |received| received.saying("serving").first().map(|_| ())).await;
        assert!(server.log().contains("\"target\":\"h2"), "{}", server.log());
        // Two further requests, with what was logged about the ones before.
        for trace in [1, 2] {
            let mut audit = server.audit().await;
            accept(&mut audit, super::traced(trace, true, batch(vec![events::hold("device-1")]))).await;
            let sent =
                |received: &Received| (!received.of_trace(&super::trace_id(trace)).is_empty()).then_some(());
            receiver.until("a span", sent).await;
        }
        let received = receiver.received();
        let targets: BTreeSet<_> = received.targets.iter().map(String::as_str).collect();
        assert!(targets.contains("chancery::app"), "{targets:?}");
        let of_others: Vec<_> = targets
            .iter()
            .filter(|target| !target.starts_with("chancery") && !target.starts_with("sqlx"))
            .collect();
        assert!(of_others.is_empty(), "{of_others:?}");
    });
}

#[test]
fn a_receiver_with_tls_needs_a_certificate_that_the_system_trusts() {
    let store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let authority = Authority::new();
        let receiver = Receiver::with_tls(&authority.server(&["localhost"])).await;
        let trusted = store.folder.path().join("authority.pem");
        std::fs::write(&trusted, authority.pem()).expect("a file");
        let url = format!("https://localhost:{}", receiver.address.port());
        let variable = format!("SSL_CERT_FILE={}", trusted.display());
        let known = server_in(&store, &[&variable], &["--otlp-endpoint", &url]);
        receiver.until("the line", |received| received.saying("serving").first().map(|_| ())).await;
        drop(known);
        receiver.received().lines.clear();
        let stranger = server_in(&store, &[], &["--otlp-endpoint", &url]);
        while !stranger.log().contains("telemetry cannot be sent") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(receiver.received().lines.is_empty());
    });
}

#[test]
fn a_receiver_that_is_none_is_refused_with_its_setting() {
    let refused = |variables: &[(&str, &str)], flags: &[&str]| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = crate::harness::server::chancery();
        let output =
            command.arg("serve").args(flags).envs(variables.iter().copied()).current_dir(&folder).output();
        let output = output.expect("chancery serve");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&[], &["--otlp-endpoint", "localhost:4317"]);
    assert!(said.contains("setting otlp_endpoint: \"localhost:4317\" is not a URL such as"), "{said}");
    let said = refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318/v1/traces")], &[]);
    assert!(said.contains("setting otlp_endpoint: \"http://x:4318/v1/traces\" has a path"), "{said}");
    assert!(said.contains("(variable OTEL_EXPORTER_OTLP_ENDPOINT)"), "{said}");
    let said = refused(&[], &["--otlp-endpoint", "http://x:1", "--trace-ratio", "1.5"]);
    assert!(said.contains("setting trace_ratio: is not between 0 and 1"), "{said}");
    let headers = [("OTEL_EXPORTER_OTLP_HEADERS", "a=b,hunter2")];
    let said = refused(&headers, &["--otlp-endpoint", "http://x:1"]);
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_HEADERS: header 2 is not") && !said.contains("hunter2"),
        "{said}"
    );
}
