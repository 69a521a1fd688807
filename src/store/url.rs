//! Which database: `sqlite:PATH` or `postgres://...`.
use std::{fmt, path::PathBuf, str::FromStr};

/// What the address of a PostgreSQL database may ask for. The driver tells of anything else in the log, with its value.
const PARAMETERS: [&str; 19] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
    "options[...]",
];

/// A store's address.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite database file, made when it does not exist.
    Sqlite(PathBuf),
    /// A PostgreSQL connection URL.
    Postgres(String),
}

impl StoreUrl {
    /// What OpenTelemetry's conventions call the database.
    pub const fn system(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path == ":memory:" {
                return Err(
                    "sqlite: needs the path of a file, because an acked event must survive the process"
                        .to_owned(),
                );
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let query = text.split_once('?').map_or("", |(_, query)| query);
            let is_known = |pair: &str| {
                let name = pair.split_once('=').map_or("", |(name, _)| name);
                PARAMETERS.contains(&name)
                    || ["options[", "options%5B"].iter().any(|open| name.starts_with(open))
            };
            if query.split('&').any(|pair| !pair.is_empty() && !is_known(pair)) {
                // Which one is not said: it may be a piece of a password.
                return Err(format!(
                    "the address has a parameter that is not known; known are {}",
                    PARAMETERS.join(", ")
                ));
            }
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err("a store is sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned())
    }
}

impl fmt::Display for StoreUrl {
    /// Without the password, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let address = rest.rsplit_once('@').map_or(rest, |(_, address)| address);
                let address = address.split('?').next().unwrap_or(address);
                write!(f, "{scheme}://{address}")
            }
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url: StoreUrl = "postgres://ann:hunter2@db:5432/audit?password=hunter2".parse().expect("a url");
        assert_eq!(url.to_string(), "postgres://db:5432/audit");
        assert_eq!(format!("{url:?}"), "postgres://db:5432/audit");
    }

    #[test]
    fn parameters_are_known_or_refused_without_their_value() {
        for good in ["", "sslmode=require&options[search_path]=a&options%5Bb%5D=c", "host=/run&port=5&user=a"]
        {
            assert!(format!("postgres://db/audit?{good}").parse::<StoreUrl>().is_ok(), "{good}");
        }
        for bad in ["sslpassword=hunter2", "host=x&hunter2", "passwd=hunter2"] {
            let reason = format!("postgres://db/audit?{bad}").parse::<StoreUrl>().expect_err(bad);
            assert!(reason.contains("sslmode") && !reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for wrong in ["", "sqlite:", "sqlite::memory:", "mysql://db", "chancery.db"] {
            assert!(wrong.parse::<StoreUrl>().is_err(), "{wrong}");
        }
    }
}
