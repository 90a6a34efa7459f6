//! Comparison of secrets in constant time, in modules that do nothing else.

use super::source::{Source, sources};
use super::{faulty_lines, none};

/// The places that compare secrets.
const PLACES: [&str; 3] = ["src/http/webhook/secret.rs", "src/render/url.rs", "src/sink/embedded.rs"];
/// The types that hold them.
const TYPES: [&str; 5] = ["SecretPath", "SecretText", "RequestedPath", "Secret", "Password"];

#[test]
fn secrets_are_compared_in_one_place() {
    let elsewhere: Vec<Source> =
        sources(&["src"]).into_iter().filter(|source| !PLACES.contains(&source.path.as_str())).collect();
    none(&faulty_lines(&elsewhere, |line| {
        let compares = line.contains("ct_eq(") || line.contains("use subtle");
        compares.then(|| format!("compare secrets in {}", PLACES.join(" or ")))
    }));
    none(&faulty_lines(&sources(&["src"]), |line| {
        let exposed = line.contains(".expose()") && (line.contains("==") || line.contains("!="));
        exposed.then(|| "a secret is compared with ==: see http/secret.rs".to_owned())
    }));
}

/// Secret types do not implement `PartialEq`, so that the compiler rejects `==`.
#[test]
fn secrets_have_no_equality() {
    let mut findings = Vec::new();
    for source in sources(&["src"]) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let is = |name: &str| {
                [format!("struct {name} "), format!("struct {name}("), format!("struct {name};")]
                    .iter()
                    .any(|start| line.contains(start.as_str()))
            };
            let attributes = lines
                .iter()
                .take(number)
                .rev()
                .take_while(|above| above.trim_start().starts_with(['#', '/']));
            let derives = attributes.into_iter().any(|above| above.contains("PartialEq"));
            let implements = TYPES.iter().any(|name| line.contains(&format!("PartialEq for {name}")));
            if implements || (TYPES.iter().any(|name| is(name)) && derives) {
                findings.push(format!("{}:{}: a secret with ==", source.path, number + 1));
            }
        }
    }
    none(&findings);
}
