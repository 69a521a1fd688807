//! Where an issuer's keys come from: a file, or a URL of the issuer.
use std::{fmt, io, net::IpAddr, path::PathBuf, time::Duration};

use reqwest::{Client, StatusCode, Url, redirect::Policy};
use tokio::{fs::File, io::AsyncReadExt as _};

/// For one fetch, connecting included.
pub const FETCH: Duration = Duration::from_secs(5);
/// Bytes of a set of keys at most: an RSA key with its certificates has some 4 KiB.
const MOST_BYTES: usize = 1 << 20;

/// Where an issuer's keys are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    File(PathBuf),
    Url(Url),
}

impl Source {
    /// A URL, or else the path of a file.
    ///
    /// # Errors
    /// Keys must not come from there: who can change them on the way can be anybody.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| "is no URL")?;
        let host = url.host_str().unwrap_or_default();
        let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
        let is_here = address.map_or(host == "localhost", |address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err("is http: only https is safe from others, save on this machine"),
            _ => return Err("is neither https nor the path of a file"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a name or a password, which would be in the log");
        }
        Ok(Self::Url(url))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Url(url) => url.fmt(formatter),
        }
    }
}

/// Fetches what is there.
pub struct Fetcher {
    source: Source,
    http: Client,
}

impl Fetcher {
    /// A fetcher of one source.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(source: Source) -> Result<Self, String> {
        let mut http = Client::builder().timeout(FETCH).redirect(Policy::none());
        if let Source::Url(url) = &source
            && url.scheme() == "http"
        {
            // What is on this machine is not asked for through another one.
            http = http.no_proxy();
        }
        Ok(Self { source, http: http.build().map_err(|error| error.to_string())? })
    }

    /// What is there now.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub async fn body(&self) -> Result<Vec<u8>, String> {
        let too_long = || format!("more than {MOST_BYTES} bytes");
        let mut body = Vec::new();
        match &self.source {
            Source::File(path) => {
                let failed = |error: io::Error| error.to_string();
                let most = MOST_BYTES as u64 + 1;
                File::open(path)
                    .await
                    .map_err(failed)?
                    .take(most)
                    .read_to_end(&mut body)
                    .await
                    .map_err(failed)?;
                if body.len() > MOST_BYTES {
                    return Err(too_long());
                }
            }
            Source::Url(url) => {
                let mut answer = self.http.get(url.clone()).send().await.map_err(|error| chain(&error))?;
                if answer.status() != StatusCode::OK {
                    return Err(format!("status {}", answer.status()));
                }
                while let Some(chunk) = answer.chunk().await.map_err(|error| chain(&error))? {
                    if body.len() + chunk.len() > MOST_BYTES {
                        return Err(too_long());
                    }
                    body.extend_from_slice(&chunk);
                }
            }
        }
        Ok(body)
    }
}

/// An error with its causes: the library's own text has none of them.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
