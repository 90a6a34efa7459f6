//! Errors of the TLS library, each as a sentence with a remedy.

use rustls::{AlertDescription as Alert, Error, InconsistentKeys, PeerIncompatible};

use super::certificate;
use super::peer::{Peer, words};

/// Sentence for an error of a connection to this peer. `shown`: a client certificate was sent.
#[must_use]
pub fn of_peer(error: &Error, peer: &Peer, shown: bool) -> String {
    let Peer { name, plain, client, .. } = peer;
    match error {
        Error::InvalidCertificate(fault) => certificate::explain(fault, peer),
        Error::AlertReceived(alert) => alerted(*alert, peer, shown),
        Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            format!(
                "{name} does not take the kind of key of our client certificate: make one with ECDSA P-256 or RSA"
            )
        }
        Error::PeerIncompatible(why) if is_version(why) => version(name),
        Error::PeerIncompatible(_) => cipher(name),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::PeerSentOversizedRecord => {
            format!("{name} does not speak TLS at this port: {plain}")
        }
        Error::NoCertificatesPresented => format!("{name} shows no certificate: give it one"),
        Error::InconsistentKeys(_) => {
            format!("our client certificate and its key do not belong together: {client}")
        }
        Error::DecryptError | Error::EncryptError => {
            format!("what {name} sent was changed in transit: check the network and any proxy in between")
        }
        other => format!(
            "{name} breaks the rules of TLS ({}): update its TLS library, and check any proxy in between",
            words(&format!("{other:?}"))
        ),
    }
}

/// Sentence for an error of a connection to one of our own listeners.
#[must_use]
pub fn of_client(error: &Error) -> String {
    match error {
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::DecryptError,
        ) => "the peer does not accept our certificate".into(),
        Error::AlertReceived(Alert::ProtocolVersion) => version("the peer"),
        Error::AlertReceived(alert) => {
            format!("the peer ended the handshake ({})", words(&format!("{alert:?}")))
        }
        Error::PeerIncompatible(why) if is_version(why) => "the peer offers no TLS 1.2 or 1.3".into(),
        Error::PeerIncompatible(_) => "the peer offers no cipher that is accepted here".into(),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => "the peer does not speak TLS".into(),
        other => format!("the peer breaks the rules of TLS ({})", words(&format!("{other:?}"))),
    }
}

/// Reason why a certificate and key of our own cannot be used together.
#[must_use]
pub fn of_pair(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not the one of the certificate".into()
        }
        Error::InvalidCertificate(_) => "the certificate cannot be read".into(),
        _ => {
            "the key is of a kind that cannot be used: make one with ECDSA P-256 or RSA of 2048 bits or more"
                .into()
        }
    }
}

/// Sentence for an alert that the peer sent to end the handshake.
fn alerted(alert: Alert, peer: &Peer, shown: bool) -> String {
    let Peer { name, client, rename, .. } = peer;
    match alert {
        Alert::ProtocolVersion => version(name),
        Alert::CertificateRequired => format!("{name} wants a client certificate: {client}"),
        Alert::BadCertificate
        | Alert::UnknownCA
        | Alert::CertificateUnknown
        | Alert::CertificateExpired
        | Alert::CertificateRevoked
        | Alert::UnsupportedCertificate
        | Alert::AccessDenied
        | Alert::DecryptError => refused(alert, peer, shown),
        Alert::HandshakeFailure | Alert::InsufficientSecurity if shown => cipher(name),
        Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            format!("{}; if it wants a client certificate, {client}", cipher(name))
        }
        Alert::UnrecognisedName => format!("{name} has no certificate for the name it is asked by: {rename}"),
        Alert::InternalError => format!("{name} has an error of its own in TLS: see its log"),
        other => format!("{name} ends the TLS handshake ({}): see its log", words(&format!("{other:?}"))),
    }
}

/// Sentence for a peer that refuses our certificate, or that requires one.
fn refused(alert: Alert, Peer { name, client, .. }: &Peer, shown: bool) -> String {
    if !shown {
        return format!("{name} wants a client certificate: {client}");
    }
    let why = match alert {
        Alert::UnknownCA => "it is from a CA that is unknown there",
        Alert::CertificateExpired => "it has expired",
        Alert::CertificateRevoked => "it was revoked",
        Alert::DecryptError => "its key does not fit",
        Alert::AccessDenied => "its owner has no access",
        _ => "it is not one that is accepted there",
    };
    format!("{name} refuses our client certificate ({why}): {client}")
}

/// No common TLS version.
fn version(name: &str) -> String {
    format!(
        "{name} supports neither TLS 1.2 nor TLS 1.3, and older versions are not safe: enable one of them there"
    )
}

/// No common cipher, group or signature scheme.
fn cipher(name: &str) -> String {
    format!(
        "{name} and alarmbus have no cipher in common: permit an ECDHE cipher with AES-GCM or ChaCha20 there, and a \
         certificate with an ECDSA or RSA key"
    )
}

/// Returns whether an incompatibility is one of versions.
fn is_version(why: &PeerIncompatible) -> bool {
    matches!(
        why,
        PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
    )
}
