//! Where telemetry goes, and what of it. Called by: `config`, which reads it.
use http::Uri;
use opentelemetry_sdk::trace::Sampler;
use tonic::{
    Request,
    metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue},
};

/// A receiver, and the share of calls that it hears of.
#[derive(Clone)]
pub struct ExportSettings {
    /// Scheme, host and port.
    pub(super) endpoint: Uri,
    /// Of the calls whose caller has not decided.
    pub(super) ratio: f64,
    headers: MetadataMap,
}

impl std::fmt::Debug for ExportSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers are how the receiver knows who sends.
        let mut shown = formatter.debug_struct("ExportSettings");
        shown.field("endpoint", &self.endpoint).field("ratio", &self.ratio).finish_non_exhaustive()
    }
}

impl ExportSettings {
    /// A receiver at a URL such as `http://collector:4317`.
    ///
    /// # Errors
    /// Why it is none; nothing of what is secret in it.
    pub fn new(endpoint: &str, ratio: f64) -> Result<Self, String> {
        let example = "is not a URL such as http://127.0.0.1:4317";
        let uri: Uri = endpoint.parse().map_err(|_| example.to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err(example.to_owned());
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let reason = "has a name or a password: give it as a header, in OTEL_EXPORTER_OTLP_HEADERS";
            return Err(reason.to_owned());
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err("has a path, which gRPC has no use for: give scheme, host and port".to_owned());
        }
        Ok(Self { endpoint: uri, ratio, headers: MetadataMap::new() })
    }

    /// The same with headers as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value` pairs between commas, values
    /// percent-encoded.
    ///
    /// # Errors
    /// Which one is none; nothing of its value.
    pub fn with_headers(mut self, headers: &str) -> Result<Self, String> {
        let pairs = headers.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        for (at, pair) in pairs.enumerate() {
            let wrong = |what: &str| format!("header {} {what}", at + 1);
            let (name, value) = pair.split_once('=').ok_or_else(|| wrong("is not NAME=VALUE"))?;
            let name: MetadataKey<Ascii> = name
                .trim()
                .to_lowercase()
                .parse()
                .map_err(|_| wrong("has a name that no header may have"))?;
            let value = decoded(value.trim()).ok_or_else(|| wrong("has a value with a broken % in it"))?;
            let mut value: MetadataValue<Ascii> =
                MetadataValue::try_from(value).map_err(|_| wrong("has a value that no header may have"))?;
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        Ok(self)
    }

    /// Where it goes; nothing in it is secret.
    pub fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        request
    }

    pub(super) fn sampler(ratio: f64) -> Sampler {
        Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
    }
}

/// Text with `%41` for `A`.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_a_scheme_a_host_and_a_port() {
        for good in ["http://localhost:4317", "https://collector.example", "http://[::1]:4317/"] {
            assert!(ExportSettings::new(good, 1.0).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:4317",
            "grpc://x:1",
            "http://",
            "http://x:1/v1/traces",
            "http://x?y",
            "http://a:b@x",
        ] {
            let reason = ExportSettings::new(bad, 1.0).expect_err(bad);
            assert!(!reason.contains("a:b"), "{reason}");
        }
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let settings = ExportSettings::new("http://x", 1.0).expect("a receiver");
        let settings =
            settings.with_headers("Authorization=Bearer%20hunter2, x-tenant=a=b,").expect("headers");
        let request = settings.request(());
        let header = |name| request.metadata().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("authorization"), Some("Bearer hunter2"));
        assert_eq!(header("x-tenant"), Some("a=b"));
        assert!(!format!("{settings:?} {request:?}").contains("hunter2"));
        for bad in ["hunter2", "a b=hunter2", "a=hunter2%2", "a=hunter2%+1", "a=hunter2%0a"] {
            let settings = ExportSettings::new("http://x", 1.0).expect("a receiver");
            let reason = settings.with_headers(&format!("x=y,{bad}")).expect_err(bad);
            assert!(reason.starts_with("header 2 ") && !reason.contains("hunter2"), "{reason}");
        }
    }
}
