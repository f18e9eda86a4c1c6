// SPDX-License-Identifier: GPL-2.0
//! Parameters of the modules: what a mount has that does not say otherwise.

use std::path::{Path, PathBuf};

use crate::run::Failed;

/// Those that a script can set.
pub const NAMES: [&str; 7] = [
    "index",
    "metacopy",
    "nfs_export",
    "redirect_always_follow",
    "redirect_dir",
    "redirect_max",
    "xino_auto",
];

/// Parameters that were changed; they get their values back with this.
#[derive(Debug, Default)]
pub struct Changed(Vec<(PathBuf, Vec<u8>)>);

impl Changed {
    /// Gives parameters, by their names, the same values in all modules.
    pub fn new(modules: &[String], values: &[(String, String)]) -> Result<Self, Failed> {
        let mut changed = Self::default();
        for module in modules {
            let dir = Path::new("/sys/module").join(module).join("parameters");
            for (name, value) in values {
                let failed = |error| Failed(format!("{module}.{name}={value}: {error}"));
                changed.set(dir.join(name), value).map_err(failed)?;
            }
        }
        Ok(changed)
    }

    fn set(&mut self, path: PathBuf, value: &str) -> std::io::Result<()> {
        let before = std::fs::read(&path)?;
        std::fs::write(&path, value)?;
        self.0.push((path, before));
        Ok(())
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        // The same one can be in it twice: the first value comes last.
        for (path, before) in self.0.iter().rev() {
            if let Err(error) = std::fs::write(path, before) {
                eprintln!("rovl-difftest: {}: {error}", path.display());
            }
        }
    }
}
