//! Reading the configuration from a file: what is wrong is said with line and column.

use std::ops::Range;
use std::path::Path;

use crate::Failure;
use crate::config::{self, Config};

/// # Errors
/// If the file cannot be read, is no TOML, or has an unknown key or a value that does not fit.
pub(crate) fn read(path: &Path) -> Result<Config, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::config(format!("{}: {e}", path.display())))?;
    parse(&text).map_err(|error| Failure::config(format!("{}:{error}", path.display())))
}

fn parse(text: &str) -> Result<Config, String> {
    let table = toml::de::DeTable::parse(text).map_err(|error| locate(text, &error))?;
    // Looked at first, since the error of a derived type names all forty settings instead of the likely one.
    for key in table.get_ref().keys() {
        if !config::is_setting(key.get_ref()) {
            let hint = config::suggest(key.get_ref()).map(|s| format!("; did you mean \"{s}\"?"));
            let message = format!("unknown key \"{}\"{}", key.get_ref(), hint.unwrap_or_default());
            return Err(at(text, &key.span(), &message));
        }
    }
    toml::from_str(text).map_err(|error| locate(text, &error))
}

fn locate(text: &str, error: &toml::de::Error) -> String {
    at(text, &error.span().unwrap_or(0..0), error.message())
}

/// `line:column: message`, both counted from 1, columns in characters.
fn at(text: &str, span: &Range<usize>, message: &str) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before.get(line_start..).map_or(0, |line| line.chars().count()) + 1;
    format!("{line}:{column}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_have_a_place() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{error:?} instead of {expected:?}");
        };
        check("port = 1\nprot = 2\n", "2:1: unknown key \"prot\"; did you mean \"port\"?");
        check("port = \"http\"", "1:8: invalid type");
        check("# é\nhost = 'x'\nport = 70000", "3:8: ");
        check("port = ", "1:8: ");
        check("port 3000", "1:6: ");
        check("ping_interval = \"25\"", "1:17: \"25\" is not a duration");
        check("namespaces = [\"/\", \"chat\"]", "1:14: \"chat\" is not a namespace");
        check("[[allow]]\nroom = \"a\"\njion = true", "3:1: unknown field `jion`");
        check("port = 1\nport = 2", "2:1: duplicate key");
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "port = 80\n[[allow]]\nnamespace = \"/chat\"\nroom = \"team-*\"\njoin = true\n";
        let config = parse(text).expect("it is right");
        assert_eq!(config.port, 80);
        assert_eq!(config.host, Config::default().host);
        assert_eq!(config.allow.len(), 1);
        assert!(config.allow[0].join && !config.allow[0].publish);
    }
}
