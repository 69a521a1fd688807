//! What a certificate says of whom it was issued to.
//!
//! Does: reads the parts that a caller's name is made of. Does not: verify anything (the handshake has), or decide
//! what the caller is called. Called by: the listener, once for each connection.
use std::fmt::Write as _;

use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate, X509Name},
    x509::AttributeTypeAndValue,
};

/// Attribute types that have a name in the text form of a subject, by their object identifiers. Others are written
/// with the identifier and the encoded value, as RFC 4514 wants it.
const NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// The parts of a certificate that say who somebody is, and until when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// The URIs among its subject alternative names, in their order.
    pub uris: Vec<String>,
    /// Its subject in the text form of RFC 4514: the most specific part first. Empty for an empty subject.
    pub subject: String,
    /// The last second in which it is valid, since 1970.
    pub not_after: i64,
}

/// A certificate that cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the certificate cannot be read: {0}")]
pub struct Unreadable(&'static str);

impl Certificate {
    /// Reads an encoded (DER) certificate.
    ///
    /// # Errors
    /// It is none, or its names cannot be read: who has half a name must not pass for somebody else.
    pub fn read(der: &[u8]) -> Result<Self, Unreadable> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| Unreadable("it is no X.509 certificate"))?;
        if !rest.is_empty() {
            return Err(Unreadable("something follows it"));
        }
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| Unreadable("its subject alternative names are malformed or there twice"))?;
        let mut uris = Vec::new();
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::Invalid(..) => {
                    return Err(Unreadable("one of its subject alternative names is malformed"));
                }
                _ => {}
            }
        }
        Ok(Self {
            uris,
            subject: text(certificate.subject())?,
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// A name as text: its last part first, because there it is the most specific one.
fn text(name: &X509Name<'_>) -> Result<String, Unreadable> {
    let mut parts = Vec::new();
    for part in name.iter_rdn() {
        let values: Result<Vec<_>, _> = part.iter().map(attribute).collect();
        parts.push(values?.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Result<String, Unreadable> {
    let id = attribute.attr_type().to_id_string();
    let name = NAMES.iter().find(|(each, _)| *each == id).map(|(_, name)| *name);
    Ok(match (name, string(attribute)) {
        (Some(name), Some(value)) => format!("{name}={}", escaped(&value)),
        (name, _) => {
            let encoded = encoded(attribute)?;
            format!("{}={encoded}", name.unwrap_or(&id))
        }
    })
}

/// The value as text, when it is of a kind that has one.
fn string(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    let bytes = value.data;
    // ISO 8859-1 as most issuers mean it, and big-endian UTF-16.
    const TELETEX: u32 = 20;
    const BMP: u32 = 30;
    match value.tag().0 {
        TELETEX => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        BMP => {
            let (pairs, rest) = bytes.as_chunks::<2>();
            let units: Vec<_> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => attribute.as_str().ok().map(str::to_owned),
    }
}

/// `#` and the encoding of the value.
fn encoded(attribute: &AttributeTypeAndValue<'_>) -> Result<String, Unreadable> {
    use x509_parser::asn1_rs::ToDer as _;
    let der =
        attribute.attr_value().to_der_vec().map_err(|_| Unreadable("a part of its subject is malformed"))?;
    let mut text = String::from("#");
    for byte in der {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    Ok(text)
}

fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, each) in value.chars().enumerate() {
        match each {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', each]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            control if control.is_ascii_control() => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\{:02X}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn made(names: &[(DnType, &str)], uris: &[&str]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ASCII"))).collect();
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn uris_keep_their_order_and_the_subject_begins_with_its_end() {
        let names = [
            (DnType::CountryName, "NO"),
            (DnType::OrganizationName, "Cards, Inc."),
            (DnType::CommonName, " #1 \"cms\"+<x>;\\ "),
        ];
        let der = made(&names, &["spiffe://example.com/b", "spiffe://example.com/a"]);
        let read = Certificate::read(&der).expect("a certificate");
        assert_eq!(read.uris, ["spiffe://example.com/b", "spiffe://example.com/a"]);
        assert_eq!(read.subject, r#"CN=\ #1 \"cms\"\+\<x\>\;\\\ ,O=Cards\, Inc.,C=NO"#);
        assert_eq!(read.not_after, 1_893_456_000);
    }

    #[test]
    fn a_value_is_escaped_where_it_could_be_taken_for_another_name() {
        for (value, text) in [
            ("plain", "CN=plain"),
            ("#lead", "CN=\\#lead"),
            (" ", "CN=\\ "),
            ("a\nb\u{7f}", "CN=a\\0Ab\\7F"),
            ("Æ€", "CN=Æ€"),
            ("CN=x,O=y", "CN=CN=x\\,O=y"),
        ] {
            let der = made(&[(DnType::CommonName, value)], &[]);
            assert_eq!(Certificate::read(&der).expect("a certificate").subject, text);
        }
        assert_eq!(Certificate::read(&made(&[], &[])).expect("a certificate").subject, "");
    }

    #[test]
    fn an_unknown_attribute_is_written_as_it_is_encoded() {
        let der = made(&[(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99]), "x")], &[]);
        let read = Certificate::read(&der).expect("a certificate");
        assert_eq!(read.subject, "1.3.6.1.4.1.99=#0C0178");
    }

    #[test]
    fn what_is_cut_off_or_longer_or_altered_is_refused_or_read_but_never_ends_the_process() {
        let der = made(&[(DnType::CommonName, "x")], &["spiffe://example.com/x"]);
        let longer = [&der[..], &[0]].concat();
        assert_eq!(Certificate::read(&longer), Err(Unreadable("something follows it")));
        for end in 0..der.len() {
            assert!(Certificate::read(&der[..end]).is_err(), "{end}");
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut altered = der.clone();
                altered[at] ^= 1 << bit;
                let _ = Certificate::read(&altered);
            }
        }
    }
}
