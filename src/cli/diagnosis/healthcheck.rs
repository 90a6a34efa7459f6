//! `alarmbus healthcheck`: asks the running bridge. Needs no shell and no curl, so that it works in a minimal
//! container.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use rustls_pki_types::ServerName;
use url::Url;

use crate::cli::Global;
use crate::config::Admin;
use crate::terminal::{Code, Failure, out};
use crate::tls;
use crate::tls::client::TlsClient;

/// Maximum bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Flags of `healthcheck`.
#[derive(Debug, Args)]
pub(in crate::cli) struct HealthcheckArgs {
    /// URL of the admin listener [default: admin.bind of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Seconds to wait for the answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
    /// Exit with 1 also while the bridge is degraded: a broker is down, or the storage folder cannot be written
    #[arg(long)]
    strict: bool,
}

/// Help text below the first line.
pub(in crate::cli) const HELP: &str = "Ask the running bridge whether it takes alarms.\n\n\
    Exit code 0: it takes alarms, also while it is degraded. A broker that is down, or a disk that refuses writes, is no \
    reason to restart a container: alarms are kept meanwhile, and a restart would not help.\n\
    Exit code 1: it does not answer, or alarms can no longer be stored; a restart may help.\n\
    With --strict, exit code 0 only if the state is `ok`; meant for monitoring, not for the health check of a container.\n\n\
    The answer is printed as JSON: `status` is `ok`, `degraded` or `not_ready`, `problems` says why.";

/// Asks `/health/ready`; the exit code says whether the bridge takes alarms, with `--strict` whether all is well.
pub(in crate::cli) fn run(global: &Global, healthcheck: &HealthcheckArgs) -> Result<(), Failure> {
    let url = match &healthcheck.url {
        Some(text) => given(text)?,
        None => configured(global)?,
    };
    let (status, body) = ask(&url, "", Duration::from_secs(healthcheck.timeout)).map_err(|error| {
        let remedy = "is the bridge running, and is this its admin listener?";
        Failure::new(Code::No, format!("{url} does not answer: {error}; {remedy}"))
    })?;
    if is_well(status, &body, healthcheck.strict) {
        return out::print(&format!("{}\n", body.trim()));
    }
    Err(Failure::new(Code::No, format!("{url} answers {status}: {}", body.trim())))
}

/// Returns whether the answer means success.
fn is_well(status: u16, body: &str, strict: bool) -> bool {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    if strict {
        return status == 200 && answer.get("status").and_then(serde_json::Value::as_str) == Some("ok");
    }
    status == 200 || answer.get("takes_alarms").and_then(serde_json::Value::as_bool) == Some(true)
}

/// Parses the given URL; without a path, that of readiness is used.
fn given(text: &str) -> Result<Url, Failure> {
    let right = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let mut url = Url::parse(text).ok().filter(right).ok_or_else(|| {
        Failure::new(
            Code::Usage,
            format!("{text:?} is not an address: write one such as http://127.0.0.1:8090"),
        )
    })?;
    if url.path() == "/" {
        url.set_path("/health/ready");
    }
    Ok(url)
}

/// URL of the configured admin listener, as seen from this host.
fn configured(global: &Global) -> Result<Url, Failure> {
    let admin = global.load()?.config.admin;
    if admin.bind.port() == 0 {
        let text = "admin.bind has port 0, so the port is only known to the running bridge: give --url";
        return Err(Failure::new(Code::Usage, text));
    }
    local_url(&admin)
}

/// URL of readiness at an admin listener, by loopback if it listens on every address.
fn local_url(admin: &Admin) -> Result<Url, Failure> {
    let ip = match admin.bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let scheme = if admin.cert.is_some() { "https" } else { "http" };
    given(&format!("{scheme}://{}", SocketAddr::new(ip, admin.bind.port())))
}

/// Returns whether a bridge with this admin listener runs here, ready or not.
pub(in crate::cli) fn is_running(admin: &Admin) -> bool {
    let answer = local_url(admin).ok().and_then(|url| ask(&url, "", Duration::from_secs(1)).ok());
    matches!(answer, Some((200 | 503, _)))
}

/// Sends a GET request on a new connection, with additional header lines (each ending with CRLF); returns status and
/// body.
pub(in crate::cli) fn ask(url: &Url, headers: &str, timeout: Duration) -> std::io::Result<(u16, String)> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let address = (host.trim_matches(['[', ']']), port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{headers}\r\n", url.path());
    let answer = if url.scheme() == "https" {
        exchange_secured(stream, &request)?
    } else {
        exchange(stream, &request)?
    };
    parse(&answer).ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

/// Exchange over TLS with any certificate: the bridge's is issued for the name that others use, not for loopback, and
/// nothing secret is sent.
fn exchange_secured(stream: TcpStream, request: &str) -> std::io::Result<String> {
    let client = TlsClient::unchecked(&tls::BRIDGE).map_err(std::io::Error::other)?;
    let name = ServerName::from(stream.peer_addr()?.ip());
    exchange(client.blocking(name, stream)?, request).map_err(|error| client.explain(&error))
}

/// Sends the request and reads the answer to its end.
fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer) {
        // A peer that closes without a TLS close_notify has sent a complete answer.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof || answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Splits an answer into status and body.
fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::time::Duration;

    use rustls_pki_types::PrivateKeyDer;

    use super::{ask, given, is_well, local_url, parse};
    use crate::config::Admin;

    /// Answers one connection and returns the request.
    fn answer_once(mut stream: impl Read + Write) -> String {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nX: y\r\n\r\nnot ready").unwrap();
        String::from_utf8(request).unwrap()
    }

    /// A listener on loopback and its address.
    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn the_answer_is_read_to_its_end() {
        let (listener, address) = listener();
        let server = std::thread::spawn(move || answer_once(listener.accept().unwrap().0));
        let url = given(&format!("http://{address}")).unwrap();
        assert_eq!(ask(&url, "", Duration::from_secs(5)).unwrap(), (503, "not ready".into()));
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /health/ready HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("\r\nHost: {address}\r\n")), "{request}");
    }

    #[test]
    fn a_certificate_of_any_name_will_do() {
        let made = rcgen::generate_simple_self_signed(["alarmbus.example".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let (listener, address) = listener();
        let server = std::thread::spawn(move || {
            let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            answer_once(rustls::StreamOwned::new(connection, listener.accept().unwrap().0))
        });
        let url = given(&format!("https://{address}/health/live")).unwrap();
        assert_eq!(ask(&url, "", Duration::from_secs(5)).unwrap(), (503, "not ready".into()));
        assert!(server.join().unwrap().starts_with("GET /health/live "));
    }

    #[test]
    fn a_listener_on_every_address_is_asked_by_loopback() {
        for (bind, url) in [
            ("0.0.0.0:8090", "http://127.0.0.1:8090/health/ready"),
            ("[::]:8090", "http://[::1]:8090/health/ready"),
            ("10.0.0.1:80", "http://10.0.0.1/health/ready"),
        ] {
            let admin = Admin { bind: bind.parse().unwrap(), ..Admin::default() };
            assert_eq!(local_url(&admin).unwrap().as_str(), url);
        }
    }

    #[test]
    fn a_broker_that_is_down_is_no_reason_to_restart() {
        for (status, body, plain, strict) in [
            (200, r#"{"status":"ok","takes_alarms":true}"#, true, true),
            (200, r#"{"status":"degraded","takes_alarms":true}"#, true, false),
            (503, r#"{"status":"not_ready","takes_alarms":true}"#, true, false),
            (503, r#"{"status":"not_ready","takes_alarms":false}"#, false, false),
            (503, "", false, false),
            (200, r#"{"status":"ok"}"#, true, true),
        ] {
            assert_eq!(
                (is_well(status, body, false), is_well(status, body, true)),
                (plain, strict),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_is_no_http_is_told() {
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.0 200 OK\r\n\r\n"), Some((200, String::new())));
    }
}
