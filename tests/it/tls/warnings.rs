//! When certificates expire is a metric, and in the last 14 days a warning.
use crate::harness::{
    KINDS, TestStore, block_on,
    certificates::{Authority, Span, write},
    metrics::metrics,
    server::Server,
};

/// From long ago to so many days from now.
fn span(days: i64) -> (Span, i64) {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let end = now.date() + jiff::Span::new().days(days);
    let number = |value: i8| u8::try_from(value).expect("positive");
    let ymd = (i32::from(end.year()), number(end.month()), number(end.day()));
    let at = end.to_zoned(jiff::tz::TimeZone::UTC).expect("a time").timestamp().as_second();
    (((2020, 1, 1), ymd), at)
}

#[test]
fn expiry_is_a_metric_and_in_time_a_warning() {
    let warning = |of: &str| format!("the certificate of {of} expires in less than 14 days");
    for (server_days, ca_days) in [(10, 400), (400, 10)] {
        let store = TestStore::new(KINDS[0]);
        let folder = store.folder.path();
        let ((of_server, server_at), (of_ca, ca_at)) = (span(server_days), span(ca_days));
        let authority = Authority::new();
        let (certificate, key) = authority.server_lasting(&["localhost"], of_server).write(folder, "server");
        let client_ca = folder.join("clients.crt");
        // While authorities change there are two: the first that expires counts.
        write(&client_ca, &[Authority::new().pem(), Authority::lasting(of_ca).pem()].concat());
        let flags = [
            ["--tls-certificate", super::path(&certificate)],
            ["--tls-key", super::path(&key)],
            ["--tls-client-ca", super::path(&client_ca)],
        ];
        let server = Server::start_with(&store, &flags.concat());
        let samples = block_on(metrics(&server));
        let expiry = |of: &str| {
            samples[&format!("chancery_tls_certificate_not_after_timestamp_seconds{{certificate=\"{of}\"}}")]
        };
        assert_eq!((expiry("server"), expiry("client_ca")), (server_at as f64, ca_at as f64));
        let (near, far) = match server_days < ca_days {
            true => ("the server", "the clients' authority"),
            false => ("the clients' authority", "the server"),
        };
        super::logged(&server, &warning(near));
        assert!(!server.log().contains(&warning(far)));
    }
}
