//! Settings without their secrets, for people, logs and the hash of the settings.
//!
//! Does: take passwords and keys out of text. Takes out too much rather than too little. Does not: know which setting
//! a text is of: every text that could hold a secret is treated alike.
use super::signing::KEY_BEGINS;

/// Stands for what is not shown.
pub(super) const HIDDEN: &str = "***";
/// What a PostgreSQL URL may ask for that is no secret.
const HARMLESS: [&str; 16] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "statement-cache-capacity",
    "target_session_attrs",
    "user",
];

/// The text without passwords of URLs, and without keys.
pub(super) fn redacted(text: &str) -> String {
    if text.contains(KEY_BEGINS) {
        return HIDDEN.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://") else { return without_scheme(text) };
    // A password may hold what ends it if it is not encoded, so that it is taken to end as late as it can.
    let (user, address) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((user, address)) => (hidden_user(scheme, user), address),
    };
    let (place, query) = match address.split_once('?') {
        None => (address, String::new()),
        Some((place, query)) => (place, format!("?{}", hidden_values(query))),
    };
    format!("{scheme}://{user}{place}{query}")
}

/// A text that is no URL, perhaps because its scheme was forgotten. The path of a file may be anything.
fn without_scheme(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((user, address)) if user.contains(':') && !text.starts_with("sqlite:") => {
            format!("{HIDDEN}@{address}")
        }
        _ => text.to_owned(),
    }
}

/// `USER:PASSWORD` without the password. A name alone is one for a database, and elsewhere may be a token.
fn hidden_user(scheme: &str, user: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) => format!("{name}:{HIDDEN}@"),
        None if scheme.starts_with("postgres") => format!("{user}@"),
        None => format!("{HIDDEN}@"),
    }
}

fn hidden_values(query: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if HARMLESS.contains(&key) => pair.to_owned(),
        Some((key, _)) => format!("{key}={HIDDEN}"),
        None => HIDDEN.to_owned(),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_stays_and_what_is_none_does() {
        for (text, shown) in [
            ("sqlite:chancery.db", "sqlite:chancery.db"),
            ("sqlite:events@home.db", "sqlite:events@home.db"),
            ("/etc/chancery@home/key", "/etc/chancery@home/key"),
            ("ann:hunter2@collector:4317", "***@collector:4317"),
            ("postgres:ann:hunter2@db/audit", "***@db/audit"),
            ("postgres:///chancery", "postgres:///chancery"),
            (
                "postgres://ann@db:5432/audit?sslmode=verify-full",
                "postgres://ann@db:5432/audit?sslmode=verify-full",
            ),
            ("postgres://ann:hunter2@db/audit", "postgres://ann:***@db/audit"),
            ("postgres://ann:***@db/audit", "postgres://ann:***@db/audit"),
            ("postgres://ann:hun@t/er?2@db/audit", "postgres://ann:***@db/audit"),
            ("postgres://ann:hunter2?x=hunter2@db", "postgres://ann:***@db"),
            ("postgres://db/audit?user=ann&password=hunter2", "postgres://db/audit?user=ann&password=***"),
            ("postgres://db/audit?pass%77ord=hunter2&hunter2", "postgres://db/audit?pass%77ord=***&***"),
            ("https://hunter2@collector:4317", "https://***@collector:4317"),
            ("https://ann:hunter2@w=w+185c1274+BPo", "https://ann:***@w=w+185c1274+BPo"),
            ("PRIVATE+KEY+a+1+hunter2", "***"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
