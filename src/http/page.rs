//! The page a person sees who opens a webhook's URL in a browser.

use axum::http::HeaderMap;
use axum::http::header::HOST;

/// Says that the URL is right and what to type into the camera. The path itself stays in the address bar.
pub(super) fn right_url(headers: &HeaderMap, tls: bool) -> String {
    let sent = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (protocol, default_port) = if tls { ("HTTPS", "443") } else { ("HTTP", "80") };
    let safe =
        sent.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_'));
    let shown = if safe && !sent.is_empty() { sent } else { "the address of this bridge" };
    let (host, port) = match shown.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => {
            (host, port)
        }
        _ => (shown, default_port),
    };
    format!(
        "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<title>alarmbus: this URL is right</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}}
td{{padding:.2em 1em .2em 0}}code{{background:#8882;padding:.1em .3em}}</style>
<h1>This URL is right</h1>
<p>alarmbus listens here for alarms of cameras. Type this into the camera, under
<b>Settings &gt; Event &gt; Alarm Server &gt; Add</b>:</p>
<table>
<tr><td>Protocol<td><code>{protocol}</code>
<tr><td>Host name or IP<td><code>{host}</code>
<tr><td>Port<td><code>{port}</code>
<tr><td>URL (path)<td>everything behind host and port in the address bar, upper and lower case included
<tr><td>Attach image<td>on
</table>
<p>Then tick <b>Send to Alarm Server</b> on each event that matters, and walk through the picture.</p>
"
    )
}

#[cfg(test)]
mod tests {
    use super::right_url;
    use axum::http::HeaderMap;

    #[track_caller]
    fn check(host: &str, tls: bool, expected: [&str; 3]) {
        let mut headers = HeaderMap::new();
        headers.insert("host", host.parse().unwrap());
        let html = right_url(&headers, tls);
        for value in expected {
            assert!(html.contains(&format!("<code>{value}</code>")), "{value} in {html}");
        }
    }

    #[test]
    fn it_says_what_to_type_and_repeats_nothing_dangerous() {
        check("192.168.0.2:8089", false, ["HTTP", "192.168.0.2", "8089"]);
        check("bridge.local", true, ["HTTPS", "bridge.local", "443"]);
        check("[fd00::1]:8443", true, ["HTTPS", "[fd00::1]", "8443"]);
        check("<script>", false, ["HTTP", "the address of this bridge", "80"]);
    }
}
