//! Licences and sources of every dependency, checked against `deny.toml` with nothing but cargo.

use std::fs;

use serde_json::Value;

use crate::step::Failure;
use crate::workspace::Workspace;

/// Fails with a list of the packages whose licence is not allowed or that do not come from a registry.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let path = workspace.root.join("deny.toml");
    let text = fs::read_to_string(&path).map_err(|error| Failure::new(format!("deny.toml: {error}")))?;
    let allowed = allow_list(&text);
    if allowed.is_empty() {
        return Err(Failure::new("deny.toml allows no licence: `allow = [` was not found"));
    }
    let problems: Vec<String> =
        workspace.packages.iter().filter_map(|package| problem(package, &allowed)).collect();
    if problems.is_empty() {
        println!("{} packages, all with allowed licences and sources", workspace.packages.len());
        return Ok(());
    }
    Err(Failure::new(problems.join("; ")))
}

fn problem(package: &Value, allowed: &[String]) -> Option<String> {
    let text = |name: &str| package.get(name).and_then(Value::as_str);
    let name = format!("{} {}", text("name").unwrap_or("?"), text("version").unwrap_or("?"));
    // Members and path dependencies have no source: they are this repository.
    if let Some(source) = text("source")
        && !source.starts_with("registry+")
        && !source.starts_with("sparse+")
    {
        return Some(format!("{name} comes from {source}"));
    }
    match text("license") {
        None => Some(format!("{name} names no licence")),
        Some(expression) if satisfied(expression, allowed) => None,
        Some(expression) => Some(format!("{name} is under {expression}")),
    }
}

/// The strings of the first `allow = [ … ]` of `deny.toml`, which is the one of `[licenses]`.
fn allow_list(text: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once("\nallow = [") else { return Vec::new() };
    let list = rest.split_once(']').map_or(rest, |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met by the allowed licences. `/` is the old way to write OR.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Expression { words: &words, allowed };
    let met = parser.any();
    met && parser.words.is_empty()
}

/// A reader of SPDX expressions; AND binds closer than OR (SPDX specification, annex "License expressions").
struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Expression<'_> {
    fn any(&mut self) -> bool {
        let mut met = self.all();
        while self.take("OR") {
            met |= self.all();
        }
        met
    }

    fn all(&mut self) -> bool {
        let mut met = self.one();
        while self.take("AND") {
            met &= self.one();
        }
        met
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let met = self.any();
            return self.take(")") && met;
        }
        let Some((licence, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        let mut name = (*licence).to_owned();
        if self.take("WITH")
            && let Some((exception, rest)) = self.words.split_first()
        {
            self.words = rest;
            name = format!("{name} WITH {exception}");
        }
        self.allowed.contains(&name)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{allow_list, problem, satisfied};

    fn allowed() -> Vec<String> {
        ["MIT", "ISC", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).to_vec()
    }

    #[test]
    fn expressions() {
        for (expression, met) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("MIT OR GPL-3.0", true),
            ("MIT/GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("(GPL-3.0 OR MIT) AND GPL-2.0", false),
            ("(GPL-3.0 OR MIT) AND ISC", true),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("MIT WITH LLVM-exception", false),
            ("(MIT", false),
            ("MIT ISC", false),
            ("", false),
        ] {
            assert_eq!(satisfied(expression, &allowed()), met, "{expression}");
        }
    }

    #[test]
    fn list_of_the_file() {
        let text = "[licenses]\nallow = [\n    \"MIT\",\n    \"A WITH b\",\n]\n[bans]\nallow = [\"x\"]\n";
        assert_eq!(allow_list(text), ["MIT", "A WITH b"]);
        assert!(allow_list("[bans]").is_empty());
    }

    #[test]
    fn sources_and_missing_licences() {
        let package = |source: Option<&str>, license: Option<&str>| json!({"name": "p", "version": "1.0.0", "source": source, "license": license});
        let registry = "registry+https://registry.test/index";
        assert_eq!(problem(&package(Some(registry), Some("MIT")), &allowed()), None);
        assert_eq!(problem(&package(None, Some("MIT")), &allowed()), None);
        let from_git = problem(&package(Some("git+https://code.test/p"), Some("MIT")), &allowed());
        assert_eq!(from_git.as_deref(), Some("p 1.0.0 comes from git+https://code.test/p"));
        assert_eq!(problem(&package(None, None), &allowed()).as_deref(), Some("p 1.0.0 names no licence"));
    }
}
