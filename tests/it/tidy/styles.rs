//! Classes of the pages: each one in a template is styled or used by a script, and each styled one is used.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All files of a folder below `src/web`, by their ending, as one text.
fn texts(folder: &str, ending: &str) -> String {
    let mut all = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web").join(folder);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&texts(&path.display().to_string(), ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            all.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    all
}

/// The text without the parts between two marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once(to).map_or("", |(_, rest)| rest))
}

fn is_name(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '-' || sign == '_'
}

/// Classes of the selectors of the style sheet.
fn styled() -> BTreeSet<String> {
    let style = without(&texts("assets", "css"), "/*", "*/");
    let selectors = style.split('{').map(|before| before.rsplit('}').next().unwrap_or_default());
    let classes = selectors.flat_map(|selector| selector.split('.').skip(1));
    let name = |rest: &str| rest.split(|sign| !is_name(sign)).next().unwrap_or_default().to_owned();
    classes.map(name).filter(|name| name.starts_with(char::is_alphabetic)).collect()
}

/// Classes of the templates. One whose end is filled in stands for all that begin so, and ends with `*`.
fn classes() -> BTreeSet<String> {
    let page = without(&texts("templates", "html"), "{%", "%}");
    let values = page.split("class=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let filled = values.map(|value| {
        without(value, "{{", "}}").replace(' ', "  ") + if value.ends_with("}}") { "*" } else { "" }
    });
    let names: BTreeSet<String> =
        filled.flat_map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    names.into_iter().filter(|name| name != "*").collect()
}

/// All findings: unstyled classes, unused styles.
pub(crate) fn findings() -> Vec<String> {
    let (styled, classes) = (styled(), classes());
    let (code, scripts) = (texts("", "rs"), texts("assets", "js"));
    let is_styled = |class: &str| match class.strip_suffix('*') {
        Some(start) => styled.iter().any(|name| name.starts_with(start)),
        None => styled.contains(class),
    };
    let in_script =
        |class: &str| scripts.contains(&format!(".{class}")) || scripts.contains(&format!("\"{class}\""));
    let unstyled = classes.iter().filter(|class| !is_styled(class) && !in_script(class));
    let in_template = |name: &str| {
        classes
            .iter()
            .any(|class| class.strip_suffix('*').map_or(class == name, |start| name.starts_with(start)))
    };
    let in_code =
        |name: &str| code.contains(&format!("\"{name}\"")) || code.contains(&format!("class=\\\"{name}"));
    let unused = styled.iter().filter(|name| !in_template(name) && !in_code(name) && !in_script(name));
    let unstyled = unstyled.map(|class| format!("class {class} of a template is in no style sheet"));
    unstyled.chain(unused.map(|name| format!("style of class {name} is used by no template"))).collect()
}
