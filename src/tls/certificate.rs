//! Certificate errors of a peer, each as a sentence with a remedy.

use jiff::Timestamp;
use rustls::CertificateError as Fault;
use rustls_pki_types::{ServerName, UnixTime};

use super::peer::{Peer, words};

/// Sentence for a certificate error.
#[must_use]
pub fn explain(fault: &Fault, peer: &Peer) -> String {
    let Peer { name, trust, .. } = peer;
    let its = format!("the certificate of {name}");
    match fault {
        Fault::Expired => expired(&its, None),
        Fault::ExpiredContext { not_after, .. } => expired(&its, Some(*not_after)),
        Fault::NotValidYet => too_early(&its, None),
        Fault::NotValidYetContext { not_before, .. } => too_early(&its, Some(*not_before)),
        Fault::NotValidForName => format!("{its} is for another host: {}", peer.rename),
        Fault::NotValidForNameContext { expected, presented } => other_host(&its, expected, presented, peer),
        Fault::UnknownIssuer => format!("{its} is from an unknown CA: {trust}"),
        Fault::BadSignature => {
            format!(
                "{its} was not signed by the CA it names: {trust}; another CA of the same name will not do"
            )
        }
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            format!("{its} is not made for a server: make it with extendedKeyUsage = serverAuth")
        }
        Fault::UnsupportedSignatureAlgorithmContext { .. }
        | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => signature(&its),
        Fault::BadEncoding => format!("{its} is damaged: create it again"),
        Fault::Revoked => format!("{its} was revoked: make a new one"),
        other => by_name(&its, &format!("{other:?}")),
    }
}

/// The certificate has expired.
fn expired(its: &str, at: Option<UnixTime>) -> String {
    format!("{its} has expired{}: renew it, or correct the clock of this machine", on(at))
}

/// The certificate is not valid yet.
fn too_early(its: &str, at: Option<UnixTime>) -> String {
    let from = on(at).replacen("on", "from", 1);
    format!("{its} is not valid yet{from}: correct the clock of this machine, or of the one that made it")
}

/// The certificate is for other names than the one we connect to.
fn other_host(its: &str, expected: &ServerName<'_>, presented: &[String], peer: &Peer) -> String {
    let wanted = expected.to_str();
    let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
    if names.is_empty() {
        return format!(
            "{its} is for another host: it has no subjectAltName, and a common name does not count; make it with \
             subjectAltName for {wanted}"
        );
    }
    format!("{its} is for another host: it holds {}, not {wanted}; {}", names.join(", "), peer.rename)
}

/// The signature uses an unsafe algorithm.
fn signature(its: &str) -> String {
    format!(
        "{its} is signed in a way that is not accepted (SHA-1, MD5, a short key): make it with SHA-256 and ECDSA P-256 or RSA of 2048 bits or more"
    )
}

/// Errors that the library distinguishes only by name.
fn by_name(its: &str, shown: &str) -> String {
    let has = |name: &str| shown.contains(name);
    if has("UnsupportedCertVersion") {
        return format!(
            "{its}, or one of its chain, is X.509 version 1, which is not accepted: make it as version 3 (openssl x509 \
             with -extfile, and subjectAltName in it)"
        );
    }
    if has("CaUsedAsEndEntity") {
        return format!(
            "{its} is that of a CA (CA:TRUE), which a server must not use: make one for the server, signed by it \
             (basicConstraints CA:FALSE)"
        );
    }
    if has("EndEntityUsedAsCa") || has("PathLenConstraintViolated") || has("NameConstraintViolation") {
        return format!("{its} was signed by one that must not sign it: have the CA sign it");
    }
    if has("UnsupportedSignatureAlgorithm") {
        return signature(its);
    }
    if has("Revocation") {
        return format!("{its} cannot be checked for revocation: renew the revocation list");
    }
    let kind = shown.rsplit(['(', '{']).find(|part| part.starts_with(|sign: char| sign.is_ascii_uppercase()));
    let kind = words(kind.unwrap_or(shown).trim_end_matches([')', '}', ' ']));
    format!("{its} is not accepted ({kind}): create it again as X.509 version 3 with subjectAltName")
}

/// Formats a day as ` (on 2026-10-05)`.
fn on(at: Option<UnixTime>) -> String {
    let at = at.and_then(|at| Timestamp::from_second(i64::try_from(at.as_secs()).ok()?).ok());
    at.map(|at| format!(" (on {})", at.strftime("%Y-%m-%d"))).unwrap_or_default()
}

/// Takes the name out of the library's `DnsName("broker.example")`.
fn bare(shown: &str) -> &str {
    let inner = shown.split_once('(').map_or(shown, |(_, rest)| rest.trim_end_matches(')'));
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError as Fault;

    use super::{bare, by_name, explain};
    use crate::tls::MQTT;

    #[test]
    fn no_kind_is_shown_in_the_words_of_the_library() {
        let all = [
            Fault::BadEncoding,
            Fault::Expired,
            Fault::NotValidYet,
            Fault::Revoked,
            Fault::UnhandledCriticalExtension,
            Fault::UnknownIssuer,
            Fault::UnknownRevocationStatus,
            Fault::BadSignature,
            Fault::NotValidForName,
            Fault::InvalidPurpose,
            Fault::ApplicationVerificationFailure,
        ];
        for fault in all {
            let text = explain(&fault, &MQTT);
            assert!(!text.contains(&format!("{fault:?}")), "{text}");
            assert!(text.starts_with("the certificate of the broker ") && text.contains(": "), "{text}");
        }
        assert!(by_name("it", "Other(OtherError(UnsupportedCertVersion))").contains("version 1"));
        assert!(by_name("it", "Other(OtherError(InvalidSerialNumber))").contains("(invalid serial number)"));
    }

    #[test]
    fn names_are_taken_out_of_their_wrapping() {
        assert_eq!(bare("DnsName(\"broker.example\")"), "broker.example");
        assert_eq!(bare("IpAddress(127.0.0.1)"), "127.0.0.1");
    }
}
