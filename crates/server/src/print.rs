//! `trunkline config`: the whole configuration as TOML that can be read back, each setting with what it
//! means.

use std::fmt::Write;

use crate::config::{Config, SECTIONS};

/// The configuration; where a value is not the default, its comment says what that is.
pub(crate) fn toml(config: &Config) -> String {
    let defaults = Config::default();
    let mut out = format!("# trunkline {}: every setting.\n", env!("CARGO_PKG_VERSION"));
    out.push_str("# Values are the defaults unless the comment says otherwise. Sizes are in bytes; durations: ms, s, m, h.\n");
    for (section, fields) in SECTIONS {
        let _ = write!(out, "\n# --- {section} ---\n");
        for field in *fields {
            out.push('\n');
            for line in field.doc {
                let _ = writeln!(out, "#{line}");
            }
            let (value, default) = (config.get(field.name), defaults.get(field.name));
            if value != default && field.name != "allow" {
                let default = default.map_or_else(|| "not set".to_owned(), |d| d.to_string());
                let _ = writeln!(out, "# Default: {default}");
            }
            match value {
                None => drop(writeln!(out, "# {} =", field.name)),
                Some(toml::Value::Array(entries)) if entries.iter().any(toml::Value::is_table) => {
                    entries.iter().for_each(|entry| table(&mut out, field.name, entry));
                }
                Some(value) => drop(writeln!(out, "{} = {value}", field.name)),
            }
        }
    }
    out
}

/// One entry of a list of tables.
fn table(out: &mut String, name: &str, entry: &toml::Value) {
    let _ = writeln!(out, "[[{name}]]");
    for (key, value) in entry.as_table().into_iter().flatten() {
        let _ = writeln!(out, "{key} = {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        let mut config = Config::default();
        assert_eq!(toml::from_str::<Config>(&toml(&config)).ok().as_ref(), Some(&config));
        config.port = 1;
        config.tls_cert = Some("a \"quoted\" name.pem".into());
        config.allow.pop();
        config.slow_readers = vec![
            toml::from_str("room = \"chart-*\"\npolicy = \"drop-oldest\"").expect("a rule"),
            toml::from_str("policy = \"latest-by-key\"\nkey = \"symbol\"").expect("a rule"),
        ];
        let text = toml(&config);
        assert_eq!(toml::from_str::<Config>(&text).ok().as_ref(), Some(&config));
        assert!(text.contains("# Default: 3000\nport = 1\n"), "{text}");
    }

    #[test]
    fn every_setting_is_printed_with_a_comment() {
        let text = toml(&Config::default());
        for (_, fields) in SECTIONS {
            for field in *fields {
                let assigned = text.contains(&format!("\n{} = ", field.name));
                let known =
                    assigned || text.contains(&format!("\n# {} =", field.name)) || field.name == "allow";
                assert!(known && !field.doc.is_empty(), "{}", field.name);
            }
        }
    }
}
