// SPDX-License-Identifier: GPL-2.0

//! The modules that make overlays, and the defaults that they give a mount.

use std::fs;

/// A module, by the type of file system that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// The type, which is the name of the module, too.
    pub kind: String,
    /// The version of ours. The in-tree module has none.
    pub version: Option<String>,
}

impl Module {
    /// The module of a type.
    pub fn of(kind: &str) -> Self {
        let version = fs::read_to_string(format!("/sys/module/{kind}/version"));
        Self {
            kind: kind.to_owned(),
            version: version.ok().map(|text| text.trim().to_owned()),
        }
    }

    /// Whether it is ours, as `rovl` or in the place of the in-tree module.
    pub fn is_ours(&self) -> bool {
        self.kind == "rovl" || self.version.is_some()
    }

    /// What to call it.
    pub fn title(&self) -> String {
        match (&self.version, self.is_ours()) {
            (Some(version), _) => format!("rovl's module {}, {version}", self.kind),
            (None, true) => "rovl's module".to_owned(),
            (None, false) => "the in-tree module".to_owned(),
        }
    }

    /// A parameter that is yes or no, where it can be read.
    pub fn is_on(&self, parameter: &str) -> Option<bool> {
        let path = format!("/sys/module/{}/parameters/{parameter}", self.kind);
        match fs::read_to_string(path).ok()?.trim() {
            "Y" | "1" => Some(true),
            "N" | "0" => Some(false),
            _ => None,
        }
    }

    /// What an option is in a mount that was not given it, by today's parameters.
    pub fn default_of(&self, option: &str) -> Option<&'static str> {
        let on_off = |parameter| {
            let on = self.is_on(parameter).unwrap_or(false);
            Some(if on { "on" } else { "off" })
        };
        match option {
            "redirect_dir" if self.is_on("redirect_dir") == Some(true) => Some("on"),
            "redirect_dir" => {
                let follow = self.is_on("redirect_always_follow").unwrap_or(true);
                Some(if follow { "follow" } else { "nofollow" })
            }
            "index" | "metacopy" | "nfs_export" => on_off(option),
            "xino" if self.is_on("xino_auto") == Some(true) => Some("auto"),
            "xino" => Some("off"),
            "uuid" => Some("auto"),
            "verity" => Some("off"),
            "fsync" => Some("auto"),
            "syncfs" if self.is_ours() => Some("own"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Module;

    #[test]
    fn what_is_not_loaded_has_its_defaults() {
        let module = Module::of("no-such-module");
        assert!(!module.is_ours());
        assert_eq!(module.is_on("index"), None);
        assert_eq!(module.default_of("redirect_dir"), Some("follow"));
        assert_eq!(module.default_of("index"), Some("off"));
        assert_eq!(module.default_of("syncfs"), None);
        assert_eq!(Module::of("rovl").default_of("syncfs"), Some("own"));
    }
}
