//! Under which circumstances something was measured: day, commit, compiler, machine, versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, output};
use crate::workspace::Workspace;

/// Day, commit, compiler and machine of a measurement, as the beginning of a paragraph.
pub(crate) fn circumstances(workspace: &Workspace) -> Result<String, Failure> {
    let date = said("date", &["-u", "+%Y-%m-%d"])?;
    let kernel = said("uname", &["-r"])?;
    Ok(format!("{date}, {}; {}, Linux {kernel}. ", build(workspace)?, processor()))
}

/// Commit and compiler.
pub(super) fn build(workspace: &Workspace) -> Result<String, Failure> {
    let mut git = Command::new("git");
    let commit =
        output(git.current_dir(&workspace.root).args(["describe", "--always", "--dirty", "--abbrev=7"]))?;
    let rustc = output(Command::new("rustc").current_dir(&workspace.root).arg("--version"))?;
    Ok(format!("commit {}, {}", commit.trim(), rustc.trim()))
}

pub(super) fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

/// Of the peers, as installed in the folder of the benchmarks, and of the Node.js that runs one of them.
pub(super) fn versions(folder: &Path) -> Result<String, Failure> {
    let packages = [
        ("socket.io", "peers/node/node_modules/socket.io"),
        ("@socket.io/bun-engine", "peers/bun/node_modules/@socket.io/bun-engine"),
        ("Bun", "peers/bun/node_modules/@oven/bun-linux-x64"),
    ];
    let version = |path: &str| {
        let text = fs::read_to_string(folder.join(path).join("package.json")).ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?["version"].as_str()?.to_owned())
    };
    let known = packages.iter().filter_map(|(name, path)| Some(format!("{name} {}", version(path)?)));
    let node = format!("Node.js {}", said("node", &["--version"])?.trim_start_matches('v'));
    let lock = fs::read_to_string(folder.join("peers/socketioxide/Cargo.lock")).unwrap_or_default();
    let oxide =
        lock.split("name = \"socketioxide\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    let oxide = oxide.map(|version| format!("socketioxide {version}"));
    Ok(known.chain([node]).chain(oxide).collect::<Vec<_>>().join(", "))
}

/// What a program prints, without the end of the line.
pub(super) fn said(program: &str, args: &[&str]) -> Result<String, Failure> {
    Ok(output(Command::new(program).args(args))?.trim().to_owned())
}
