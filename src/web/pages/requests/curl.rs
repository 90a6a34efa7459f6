//! A stored request as a curl command. What is masked in the request is masked in the command.

/// Headers that curl adds by itself.
const CURL_HEADERS: [&str; 5] = ["host", "content-length", "connection", "transfer-encoding", "expect"];
/// Maximum bytes of a body that is written into the command.
const MAX_INLINE_BYTES: usize = 8 << 10;

/// The command. `base`: URL of the listener, without a path; `no`: number of the request.
pub(super) fn command(head: &str, body: &[u8], base: &str, no: i64) -> String {
    let mut lines = head.lines().map(str::trim_end);
    let mut first = lines.next().unwrap_or_default().split(' ');
    let method = first.next().filter(|method| !method.is_empty()).unwrap_or("POST");
    let path = first.next().unwrap_or("/");
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut words = vec![format!("curl -X {}", quoted(method)), quoted(&format!("{base}{path}"))];
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().trim().to_lowercase();
        if !CURL_HEADERS.contains(&name.as_str()) {
            words.push(format!("-H {}", quoted(line)));
        }
    }
    // curl reads data that begins with `@` from a file.
    let text = std::str::from_utf8(body)
        .ok()
        .filter(|text| text.len() <= MAX_INLINE_BYTES && !text.contains('\0') && !text.starts_with('@'));
    match text {
        Some("") => {}
        Some(text) => words.push(format!("--data-binary {}", quoted(text))),
        None => words.push(format!("--data-binary @alarmbus-request-{no}.body")),
    }
    words.join(" \\\n  ")
}

/// A text quoted as one word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn a_command_holds_the_request_and_nothing_runs_in_it() {
        let head =
            "POST /alarm/*** HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Odd: it's $(id)\r\n";
        assert_eq!(
            command(head, b"{\"a\": 1}", "http://127.0.0.1:8089", 3),
            "curl -X 'POST' \\\n  'http://127.0.0.1:8089/alarm/***' \\\n  -H 'Content-Type: application/json' \\\n  \
             -H 'X-Odd: it'\\''s $(id)' \\\n  --data-binary '{\"a\": 1}'"
        );
    }

    #[test]
    fn a_body_that_is_no_text_comes_from_its_file() {
        let made = command("PUT /x HTTP/1.1\r\n", &[0xff, 0xd8], "http://h", 9);
        assert!(made.ends_with("--data-binary @alarmbus-request-9.body"), "{made}");
    }

    #[test]
    fn a_body_that_looks_like_a_file_name_stays_a_body() {
        let made = command("POST /x HTTP/1.1\r\n", b"@/etc/passwd", "http://h", 9);
        assert!(made.ends_with("--data-binary @alarmbus-request-9.body"), "{made}");
    }
}
