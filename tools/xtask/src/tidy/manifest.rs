//! Reads the dependency names out of a `Cargo.toml`.
//!
//! Only what the arrow check needs: the package name, and every dependency with its section. Values
//! are skipped by bracket depth, so multi-line tables and arrays are no obstacle; a renamed
//! dependency (`package = "..."`) counts under its real name.

/// What a manifest says about one package.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// `package.name`, empty for a virtual workspace.
    pub(crate) name: String,
    /// Dependencies of all kinds: normal, build, dev, per target.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The crate's real name.
    pub(crate) name: String,
    /// Line in the manifest, from 1.
    pub(crate) line: usize,
}

/// Reads `text`.
pub(crate) fn read(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section: Vec<String> = Vec::new();
    let mut depth = 0i32;
    for (n, raw) in text.lines().enumerate() {
        let line = without_comment(raw).trim();
        if depth > 0 {
            depth += brackets(line);
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            section = keys(header.trim_start_matches('[').trim_end_matches(']'));
            if let Some(name) = table_of_dependency(&section) {
                manifest.dependencies.push(Dependency { name: name.to_string(), line: n + 1 });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        depth += brackets(value);
        let path = keys(key);
        let value = value.trim();
        let is = |names: &[&str]| section == names;
        if is(&["package"]) && path == ["name"] {
            manifest.name = unquoted(value);
        } else if section.last().is_some_and(|s| is_dependency_section(s))
            && !is_workspace(&section)
        {
            let renamed = (path.len() == 2 && path[1] == "package").then(|| unquoted(value));
            let name = renamed.or_else(|| package_of(value)).unwrap_or_else(|| path[0].clone());
            manifest.dependencies.push(Dependency { name, line: n + 1 });
        } else if table_of_dependency(&section).is_some()
            && path == ["package"]
            && let Some(last) = manifest.dependencies.last_mut()
        {
            last.name = unquoted(value);
        }
    }
    manifest
}

/// `[workspace.dependencies]` offers versions, it is no arrow.
fn is_workspace(section: &[String]) -> bool {
    section.first().is_some_and(|s| s == "workspace")
}

fn is_dependency_section(name: &str) -> bool {
    matches!(name, "dependencies" | "dev-dependencies" | "build-dependencies")
}

/// The crate of a `[dependencies.name]` table.
fn table_of_dependency(section: &[String]) -> Option<&str> {
    let [.., kind, name] = section else { return None };
    (is_dependency_section(kind) && !is_workspace(section)).then_some(name.as_str())
}

/// Splits `a."b.c".d` into its parts.
fn keys(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut quote) = (Vec::new(), String::new(), None);
    for c in text.trim().chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('.', None) => parts.push(std::mem::take(&mut part).trim().to_string()),
            _ => part.push(c),
        }
    }
    parts.push(part.trim().to_string());
    parts
}

/// The `package = "name"` of an inline table.
fn package_of(value: &str) -> Option<String> {
    let inner = value.strip_prefix('{')?;
    let (_, rest) = inner
        .split_once("package")
        .filter(|(before, _)| before.trim().is_empty() || before.trim().ends_with(','))?;
    Some(unquoted(rest.trim().strip_prefix('=')?.trim()))
}

fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).unwrap_or('"');
    value.split(quote).nth(1).unwrap_or("").to_string()
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (i, c) in line.char_indices() {
        match (c, quote) {
            ('#', None) => return &line[..i],
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            _ => {}
        }
    }
    line
}

fn brackets(text: &str) -> i32 {
    let (mut depth, mut quote) = (0, None);
    for c in text.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth -= 1,
            _ => {}
        }
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_dependency_is_seen() {
        let text = r#"
[package]
name = "moon-x" # a comment
[dependencies]
plain = "1"
dotted.workspace = true
inline = { version = "1", features = ["a",
  "b"] }
alias = { package = "real", version = "1" }
alias2.package = "real2"
[dependencies.table]
version = "1"
[dependencies.other]
package = "real3"
[target.'cfg(target_os = "linux")'.dependencies]
linux-only = "1"
[dev-dependencies]
tested = "1"
[build-dependencies]
built = "1"
[workspace.dependencies]
offered = "1"
[features]
default = []
"#;
        let manifest = read(text);
        assert_eq!(manifest.name, "moon-x");
        let names: Vec<_> = manifest.dependencies.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "plain",
                "dotted",
                "inline",
                "real",
                "real2",
                "table",
                "real3",
                "linux-only",
                "tested",
                "built",
            ]
        );
    }
}
