//! A credentials file, against a server in operator mode with a chain of trust of the test's own.

use alarmbus::config;
use alarmbus::render::MessagePart;
use alarmbus::sink::Sink;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Server, delivered, down, log, sent, settings, sink};

/// A key of the nkeys format; `kind` is its prefix byte.
struct Nkey {
    kind: u8,
    key: KeyPair,
}

impl Nkey {
    fn new(letter: u8) -> Self {
        Self { kind: (letter - b'A') << 3, key: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    fn public(&self) -> String {
        encoded(&[&[self.kind], self.key.der_bytes()].concat())
    }

    fn seed(&self) -> String {
        // PKCS#8 of Ed25519 (RFC 8410) holds the 32 bytes at 16.
        let head = [(18 << 3) | (self.kind >> 5), (self.kind & 31) << 3];
        encoded(&[&head, &self.key.serialize_der()[16..48]].concat())
    }

    /// A token about `subject`, signed by this key.
    fn token(&self, subject: &Nkey, nats: &Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({ "jti": "x", "iat": now, "iss": self.public(), "sub": subject.public(), "name": "x", "nats": nats });
        let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let body = format!("{}.{}", part(json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(claims));
        let signature = self.key.sign(body.as_bytes()).unwrap();
        format!("{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Base 32 with a CRC-16/XMODEM behind, as nkeys are written.
fn encoded(bytes: &[u8]) -> String {
    let crc = bytes.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    });
    let bits: Vec<u8> = [bytes, &crc.to_le_bytes()]
        .concat()
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| (byte >> bit) & 1))
        .collect();
    let letter = |five: &[u8]| {
        let value = (0..5).fold(0, |value, bit| (value << 1) | five.get(bit).copied().unwrap_or(0));
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(value)])
    };
    bits.chunks(5).map(letter).collect()
}

#[tokio::test]
async fn a_credentials_file_logs_in() {
    let (operator, account, user) = (Nkey::new(b'O'), Nkey::new(b'A'), Nkey::new(b'U'));
    let limits = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 });
    let of_operator = operator.token(&operator, &json!({ "type": "operator", "version": 2 }));
    let of_account = operator.token(&account, &json!({ "type": "account", "version": 2, "limits": limits }));
    let extra = format!(
        "operator: {of_operator}\nresolver: MEMORY\nresolver_preload: {{ {}: {of_account} }}",
        account.public()
    );
    let server = Server::with(false, &extra).await;

    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bridge.creds");
    let write = |token: &str, seed: &str| {
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(&path, text).unwrap();
    };
    let with = config::Nats { jetstream: false, credentials: Some(path.clone()), ..settings(&server) };
    let token =
        account.token(&user, &json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 }));

    write(&token, &user.seed());
    let mut sink = sink(with.clone());
    sink.connect().await.unwrap();
    assert_eq!(sent(&mut sink, log("a/event/person", MessagePart::Event, b"{}")).await, delivered());

    write(&token, &Nkey::new(b'U').seed());
    let (code, reason) = down(with).await;
    assert_eq!(code, "broker_refused");
    assert!(reason.contains("credentials file") && reason.contains("authorization violation"), "{reason}");
}
