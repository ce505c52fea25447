//! Where the workspace is and what `cargo metadata` says about it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, output};

/// The workspace that this program belongs to.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    target: PathBuf,
    /// Every package of the graph as cargo describes it: members and all their dependencies.
    pub(crate) packages: Vec<Value>,
}

impl Workspace {
    pub(crate) fn read() -> Result<Self, Failure> {
        let mut metadata = Command::new(cargo_program());
        metadata.args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
        let text = output(&mut metadata)?;
        let mut value: Value =
            serde_json::from_str(&text).map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
        let path = |name: &str| {
            let path = value.get(name).and_then(Value::as_str);
            path.map(PathBuf::from).ok_or_else(|| Failure::new(format!("cargo metadata has no {name}")))
        };
        let (root, target) = (path("workspace_root")?, path("target_directory")?);
        let Some(Value::Array(packages)) = value.get_mut("packages").map(Value::take) else {
            return Err(Failure::new("cargo metadata has no packages"));
        };
        Ok(Self { root, target, packages })
    }

    /// A cargo command at the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(cargo_program());
        cargo.current_dir(&self.root);
        cargo
    }

    /// Where a release build puts the binary `name`.
    pub(crate) fn release_binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }
}

/// The cargo that started this program, which sets `CARGO`.
fn cargo_program() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}
