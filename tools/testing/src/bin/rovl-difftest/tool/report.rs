// SPDX-License-Identifier: GPL-2.0
//! What the command says in JSON.

use std::path::PathBuf;

use serde_json::Value;

/// What `rovl check` has found.
pub struct Finding {
    pub kind: String,
    pub path: PathBuf,
    pub severity: String,
    /// All of it.
    pub text: String,
}

impl Finding {
    /// Whether it is of one of these kinds.
    pub fn is_one_of(&self, kinds: &[&str]) -> bool {
        kinds.contains(&self.kind.as_str())
    }
}

/// Reads what `rovl check` said.
pub fn findings(said: &[u8]) -> Result<Vec<Finding>, String> {
    let report: Value = serde_json::from_slice(said).map_err(|error| error.to_string())?;
    let all = report.get("findings").and_then(|list| list.as_array());
    let text = |finding: &Value, key: &str| {
        let text = finding.get(key).and_then(|value| value.as_str());
        text.unwrap_or_default().to_owned()
    };
    let found = all.ok_or("no list of findings")?.iter();
    Ok(found
        .map(|finding| Finding {
            kind: text(finding, "kind"),
            path: text(finding, "path").into(),
            severity: text(finding, "severity"),
            text: finding.to_string(),
        })
        .collect())
}

/// Whether a record of `rovl diff` is about a directory that is none any more.
pub fn was_directory(record: &Value) -> bool {
    let kind = |key: &str| record.get(key)?.get("kind")?.as_str();
    kind("before") == Some("directory") && kind("after") != Some("directory")
}
