//! `/metrics`: what the page lists is what is exported, `promtool` finds nothing to complain about, and labels have the
//! values of closed sets only.
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chancery::{auth::rules::RULES, proto::v1::QueryRequest};
use http::uri::PathAndQuery;
use regex::Regex;
use tonic::{Code, transport::Endpoint};

use crate::{
    documents::{code_words, tables, tool},
    harness::{
        KINDS, Kind, TestStore, block_on,
        calls::{accept, append, atomic, everything, per_event, refuse},
        certificates::Authority,
        events,
        metrics::{conserved, metrics},
        producers::{batch, numbered},
        server::Server,
        signing::signing,
        stream::Stream,
        witness::Witness,
    },
};

/// A bit of everything: good events and bad ones, by calls and by a stream, queries, a method that there is not.
async fn use_all(server: &Server) {
    let mut audit = server.audit().await;
    for number in [1, 3, 2] {
        append(&mut audit, batch("p", vec![numbered(events::hold("x"), None, number)])).await;
    }
    append(&mut audit, per_event(vec![events::hold("x"), events::token("NO_SUCH_TYPE")])).await;
    refuse(&mut audit, atomic(vec![events::token("NO_SUCH_TYPE")])).await;
    let mut stream = Stream::open(server).await;
    stream.answer().await;
    stream.send(1, vec![events::hold("x")]).await;
    stream.answer().await;
    drop(stream.batches);
    assert!(stream.answers.message().await.expect("a clean end").is_none());
    everything(&mut audit, "").await;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).expect("an address");
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.expect("a connection"));
    client.ready().await.expect("ready");
    let path = PathAndQuery::from_static("/chancery.v1.AuditService/Made_Up_By_A_Caller");
    let codec = tonic_prost::ProstCodec::<QueryRequest, QueryRequest>::default();
    let answer = client.unary(tonic::Request::new(QueryRequest::default()), path, codec).await;
    assert_eq!(answer.expect_err("there is no such method").code(), Code::Unimplemented);
}

/// What servers of every sort export, as text.
fn exported() -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let witness = Witness::key_of(folder.path(), "witness.example.com/w1");
    let stores = KINDS.map(TestStore::new);
    for store in &stores {
        // So that there is a log when the store is first asked for its figures.
        let first = Server::start(store);
        block_on(async { accept(&mut first.audit().await, atomic(vec![events::hold("first")])).await });
    }
    let witnessed = format!("http://127.0.0.1:1={witness}");
    // With a log there are partitions to be told of at the start.
    block_on(async {
        for store in &stores {
            let server = Server::start(store);
            append(&mut server.audit().await, atomic(vec![events::hold("before")])).await;
        }
    });
    let mut servers: Vec<_> = stores.iter().map(|store| signing(store, &["--witness", &witnessed])).collect();
    let (certificate, key) = Authority::new().server(&["localhost"]).write(folder.path(), "server");
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let secure_store = TestStore::new(Kind::Sqlite);
    block_on(async {
        let mut texts = Vec::new();
        for server in &servers {
            use_all(server).await;
            conserved(server).await;
            let began = Instant::now();
            // What is asked of the store is told a moment after the start, and again later.
            while !metrics(server).await.contains_key("chancery_schema_version") {
                assert!(began.elapsed() < Duration::from_secs(20), "{}", server.log());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        servers
            .push(Server::start_with(&secure_store, &["--tls-certificate", certificate, "--tls-key", key]));
        for server in &servers {
            texts.push(server.admin_get("/metrics").await.1);
        }
        texts
    })
}

/// Samples of an exposition: name, labels.
fn samples(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let sample = Regex::new(r"^(\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$").expect("a pattern");
    let label = Regex::new(r#"(\w+)="([^"]*)""#).expect("a pattern");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.map(|line| {
        let parts = sample.captures(line).unwrap_or_else(|| panic!("not a sample: {line}"));
        let labels = parts.get(2).map_or("", |labels| labels.as_str());
        let labels = label.captures_iter(labels).map(|label| (label[1].to_owned(), label[2].to_owned()));
        (parts[1].to_owned(), labels.collect())
    });
    parsed.collect()
}

#[test]
fn every_metric_is_documented_and_promtool_and_the_page_know_its_labels() {
    let texts = exported();
    let mut kinds = BTreeSet::new();
    let mut found = BTreeSet::new();
    let (mut labels, mut values) = (BTreeMap::<_, BTreeSet<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for text in &texts {
        promtool(text);
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        kinds.extend(families.map(|family| {
            family.split_once(' ').map(|(name, kind)| (name.to_owned(), kind.to_owned())).expect("a kind")
        }));
        for (name, given) in samples(text) {
            for (label, value) in given {
                values.entry((name.clone(), label.clone())).or_default().insert(value);
                labels.entry(name.clone()).or_default().insert(label);
            }
            found.insert(name);
        }
    }
    let rows = tables("docs/metrics.md");
    let listed: BTreeSet<_> =
        rows.iter().map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone())).collect();
    assert_eq!(listed, kinds, "docs/metrics.md (left) and the servers (right) differ");
    for row in &rows {
        let (name, kind) = (row[0].trim_matches('`'), &row[1]);
        let mut documented: BTreeSet<_> = code_words(&row[2]).map(ToOwned::to_owned).collect();
        if kind == "histogram" {
            documented.insert("le".to_owned());
        }
        assert!(found.contains(name), "{name} has no sample");
        let given = labels.remove(name).unwrap_or_default();
        assert!(given == documented || !found.contains(name), "{name} has {given:?}, not {documented:?}");
        for label in given {
            let values = values.remove(&(name.to_owned(), label.clone())).unwrap_or_default();
            closed(name, &label, &values, &row[3]);
        }
    }
}

/// Fails when a label has a value that neither the page nor the program knows.
fn closed(name: &str, label: &str, values: &BTreeSet<String>, page: &str) {
    let codes = 0..17;
    let codes: BTreeSet<_> = codes.map(|code| upper(&format!("{:?}", Code::from_i32(code)))).collect();
    let methods: Vec<_> = RULES.iter().map(|(path, _)| &path[1..]).collect();
    let word = Regex::new("^[a-z_]+$").expect("a pattern");
    for value in values {
        let known = match label {
            // Bounded by how many there are.
            "le" | "producer" | "witness" | "version" | "commit" => true,
            "hash" => {
                values.len() <= 3
                    && !value.is_empty()
                    && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            }
            "rpc_method" => methods.contains(&value.as_str()) || value == "_OTHER",
            "rpc_status_code" => codes.contains(value),
            "error_type" => value.is_empty() || codes.contains(value) || word.is_match(value),
            // Names of the program's own, of which there are some eighty.
            "db_operation_name" => word.is_match(value) && values.len() < 90,
            _ => page.contains(&format!("`{value}`")),
        };
        assert!(known, "{name} has {label}={value:?}, which nobody knows of");
    }
}

/// `InvalidArgument` as `INVALID_ARGUMENT`.
fn upper(name: &str) -> String {
    let name = if name == "Ok" { "OK" } else { name };
    let mut upper = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() && name != "OK" {
            upper.push('_');
        }
        upper.push(letter.to_ascii_uppercase());
    }
    upper
}

fn promtool(text: &str) {
    let mut promtool = Command::new(tool("CHANCERY_TEST_PROMTOOL", "promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool");
    promtool.stdin.take().expect("its input").write_all(text.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("an end");
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn promtool_does_complain() {
    let refused = std::panic::catch_unwind(|| promtool("# TYPE things counter\nthings 1\n"));
    assert!(refused.is_err(), "promtool takes anything");
}

/// The older format has the same samples, and says what it is.
#[test]
fn who_reads_open_metrics_gets_it() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        for (accept, open) in [
            ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3", true),
            ("text/plain;q=0.5, Application/OpenMetrics-Text; version=0.0.1", true),
            ("text/plain;version=0.0.4", false),
            ("application/openmetrics-text;q=0, text/plain", false),
            ("*/*", false),
        ] {
            let (status, text) = server.admin_get_as("/metrics", accept).await;
            assert_eq!((status, text.ends_with("# EOF\n")), (200, open), "{accept}");
            assert_eq!(text.contains("\n# UNIT "), open, "{accept}");
        }
    });
}

/// By method and status, streams too; who calls what there is not, or goes away, makes no time series.
#[test]
fn calls_are_measured_by_method_and_status() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            use_all(&server).await;
            let mut audit = server.audit().await;
            let follow = QueryRequest { follow: true, ..QueryRequest::default() };
            let mut gone = audit.query(follow).await.expect("a query").into_inner();
            gone.message().await.expect("a message");
            drop((gone, audit));
            let call = |method: &str, code: &str, error: &str| {
                format!(
                    "rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",rpc_method=\"{method}\",\
                     rpc_status_code=\"{code}\",error_type=\"{error}\"}}"
                )
            };
            let (append, query) = ("chancery.v1.AuditService/Append", "chancery.v1.AuditService/Query");
            let began = Instant::now();
            let told = loop {
                let told = metrics(&server).await;
                if told.contains_key(&call(query, "CANCELLED", "")) {
                    break told;
                }
                assert!(began.elapsed() < Duration::from_secs(20), "{told:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            for (method, code, error, calls) in [
                (append, "OK", "", 4.0),
                (append, "INVALID_ARGUMENT", "", 1.0),
                ("chancery.v1.AuditService/AppendStream", "OK", "", 1.0),
                (query, "OK", "", 1.0),
                (query, "CANCELLED", "", 1.0),
                ("_OTHER", "UNIMPLEMENTED", "UNIMPLEMENTED", 1.0),
            ] {
                assert_eq!(told.get(&call(method, code, error)), Some(&calls), "{kind:?} {method} {code}");
            }
            assert!(!told.keys().any(|name| name.contains("Made_Up")), "{told:?}");
            assert_eq!(told["chancery_query_cancelled_total{by=\"client\"}"], 1.0);
            assert_eq!(told["chancery_query_cancelled_total{by=\"server\"}"], 0.0);
            assert_eq!(told["chancery_query_first_row_seconds_count"], 2.0);
            assert_eq!(told["chancery_query_scanned_rows_total"], 10.0, "five, by two queries");
        });
    }
}

/// What waits is told while it waits.
#[test]
fn what_waits_for_the_store_is_told() {
    use crate::harness::database::Database;
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("before")])).await;
        let waits = async |server: &Server| {
            let told = metrics(server).await;
            [
                "chancery_commit_queue_events",
                "chancery_commit_oldest_seconds",
                "chancery_ingest_inflight_bytes",
            ]
            .map(|name| told[name] > 0.0)
        };
        assert_eq!(waits(&server).await, [false; 3]);
        let mut other = Database::open(&store).await;
        other.run("BEGIN IMMEDIATE").await;
        let mut waiting = audit.clone();
        let call = tokio::spawn(async move { waiting.append(atomic(vec![events::hold("x")])).await });
        while waits(&server).await != [true; 3] {
            assert!(!call.is_finished(), "it waits for the store");
            tokio::task::yield_now().await;
        }
        other.run("ROLLBACK").await;
        call.await.expect("a call").expect("an ack");
        assert_eq!(waits(&server).await, [false; 3]);
        conserved(&server).await;
    });
}
