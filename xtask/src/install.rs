//! Installs what the tests need beside Rust: Node.js packages in `interop/` and `js/`, Python packages, Debian's programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::{Failure, output, run, succeeds};
use crate::workspace::Workspace;

/// Programs that Debian packages bring, with the name of the package.
const DEBIAN: [(&str, &str); 3] =
    [("openssl", "openssl"), ("chromium", "chromium"), ("valgrind", "valgrind")];
/// Oldest major version of Node.js that the interop suite runs on.
const NODE_MAJOR: u32 = 20;

/// Installs everything that is missing; does nothing in a second run.
pub(crate) fn everything(workspace: &Workspace) -> Result<(), Failure> {
    let interop = workspace.root.join("interop");
    node_version()?;
    debian_packages()?;
    node_packages(&interop)?;
    node_packages(&workspace.root.join("js"))?;
    python_packages(&interop)
}

fn node_version() -> Result<(), Failure> {
    let version = output(Command::new("node").arg("--version"))?;
    let digits = version.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
    match digits.parse::<u32>() {
        Ok(major) if major >= NODE_MAJOR => Ok(()),
        _ => Err(Failure::new(format!("Node.js {NODE_MAJOR} or newer is needed, found {}", version.trim()))),
    }
}

/// The programs alone.
pub(crate) fn debian_packages() -> Result<(), Failure> {
    // CHROMIUM names a browser in another place, as in interop/browser/.
    let elsewhere = std::env::var_os("CHROMIUM").is_some();
    let wanted = DEBIAN.iter().filter(|(program, _)| !(elsewhere && *program == "chromium"));
    let missing: Vec<&str> = wanted.filter(|(program, _)| !on_path(program)).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let prefix: &[&str] = if output(Command::new("id").arg("-u"))?.trim() == "0" {
        &[]
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        let names = missing.join(" ");
        return Err(Failure::new(format!("missing Debian packages, and no right to install them: {names}")));
    };
    let apt = |words: &[&str]| {
        let line: Vec<&str> =
            prefix.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive"]).copied().collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).arg("apt-get").args(words);
        command
    };
    run(&mut apt(&["update", "-qq"]))?;
    run(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn node_packages(folder: &Path) -> Result<(), Failure> {
    let lock = folder.join("package-lock.json");
    let stamp = folder.join("node_modules/.installed-from");
    once_for(&lock, &stamp, || {
        run(Command::new("npm").current_dir(folder).args(["ci", "--no-audit", "--no-fund"]))
    })
}

fn python_packages(interop: &Path) -> Result<(), Failure> {
    let requirements = interop.join("python/requirements.txt");
    let venv = interop.join(".cache/venv");
    once_for(&requirements, &venv.join(".installed-from"), || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        run(&mut pip)
    })
}

/// Runs `install` unless `stamp` says that it was done for the present content of `source`.
fn once_for(
    source: &Path,
    stamp: &Path,
    install: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let wanted = fs::read(source).map_err(|error| Failure::new(format!("{}: {error}", source.display())))?;
    if fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted).map_err(|error| Failure::new(format!("{}: {error}", stamp.display())))
}
