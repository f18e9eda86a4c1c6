// SPDX-License-Identifier: GPL-2.0
//! What the command `rovl` says of layers and makes of them, beside what a mount of them shows.

mod report;
mod shown;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::mount::{unmount, UnmountFlags};

use crate::image::FOLDED;
use crate::request::{self, Layers};
use crate::script::{Place, Script, Step};
use crate::snapshot::Snapshot;
use report::{was_directory, Finding};
use shown::{
    has_other_mounts, has_two_names, is_damaged, same, same_below, snapshot_of, without_sockets,
};

pub use shown::{can_tell, has_index, shown};

/// Options of a mount that are about how it is used or given, and not about what layers show.
const OTHER: [&str; 13] = [
    "ro",
    "noupper",
    "volatile",
    "fsync=volatile",
    "list",
    "descriptors",
    "detached",
    "mapped",
    "mapped-lower",
    "mapped-upper",
    "nfs_export=on",
    "index=on",
    "default_permissions",
];

/// What `rovl commit` says of what an archive cannot have.
const LEFT: [&str; 2] = ["cannot hold a name with a =", "in lower layers only"];

/// What is said of what the file system that is written to has no room for.
const TOO_LARGE: [&str; 2] = ["File name too long", "No space left on device"];

/// The layers that a mount had.
pub struct Stack<'a> {
    /// The command.
    pub program: &'a Path,
    /// The type that mounted them.
    pub kind: &'a str,
    /// The lower layers, the topmost first.
    pub lowers: &'a [PathBuf],
    /// Those that only hold data.
    pub data: &'a [PathBuf],
    /// The upper layer.
    pub upper: &'a Path,
    /// The work directory.
    pub work: &'a Path,
    /// The options of the mount.
    pub options: &'a [String],
    /// What was done to them.
    pub script: &'a Script,
    /// Whether the mount had an index.
    pub index: bool,
    /// A directory on the file system of the upper layer for what is made.
    pub room: &'a Path,
}

/// What is not as it should be, or nothing.
type Found = Result<(), String>;

impl Stack<'_> {
    /// Asks all that the command can say, with `shown` for what the mount showed.
    pub fn ask(&self, shown: &Snapshot, volatile: bool) -> Vec<(&'static str, String)> {
        let checks: [(&str, &dyn Fn() -> Found); 6] = [
            ("rovl diff", &|| self.diff(shown)),
            ("rovl commit and apply", &|| self.commit(shown)),
            ("rovl flatten", &|| self.flatten(shown)),
            ("rovl vacuum and merge", &|| self.merge(shown)),
            ("rovl check --lower", &|| self.check_lower(shown)),
            // It may change the upper layer.
            ("rovl check", &|| self.check(shown, volatile)),
        ];
        // Where the mount gives errors or two sizes of one file, the command has to say so, or may leave that out; but
        // not break down.
        // The same where an index makes one of two names of a lower directory, or of a file that was copied up without
        // one and what it was linked with, which nothing in the layers tells of.
        let odd = is_damaged(shown)
            || (self.index && (has_two_names(self.script) || has_other_mounts(self.script)));
        let counts = |text: &str| !odd || text.contains("panicked") || text.contains("signal");
        let mut found = Vec::new();
        for (name, check) in checks {
            let made = fresh(self.room).map_err(|error| error.to_string());
            match made.and_then(|()| check()) {
                Err(text) if counts(&text) => found.push((name, text)),
                _ => (),
            }
        }
        // What is left is removed with the layers.
        found
    }

    /// Nothing that counts is wrong with what mounts have left, and what is of no use can be repaired without anything
    /// being seen of it. Lower layers are as they were made. The mark that a volatile mount leaves counts.
    fn check(&self, shown: &Snapshot, volatile: bool) -> Found {
        let findings = self.findings("-n")?;
        // Some scripts make whiteouts and attributes in an upper layer that is not mounted.
        let by_hand = self.script.steps.iter().any(|step| {
            let verb = step.words.first().map(String::as_str);
            step.place == Place::Upper && matches!(verb, Some("mknod" | "setxattr"))
        });
        let harmless = ["orphan-whiteout", "invalid-opaque", "invalid-impure"];
        // A mount with the other attributes copies up those of a lower layer, which are none of its own.
        let other = |step: &Step| {
            let words = &step.words;
            words.first().is_some_and(|word| word == "mount")
                && words.iter().any(|word| word == "userxattr") != self.is_user()
        };
        let copied = self.script.steps.iter().any(other);
        let expected = |found: &Finding| copied || (by_hand && found.is_one_of(&harmless));
        let serious = |found: &&Finding| found.severity == "error" && !volatile && !expected(found);
        if let Some(found) = findings.iter().find(serious) {
            return Err(found.text.clone());
        }
        // Where file handles do not tell layers apart, the next mount does not find again what is in the index.
        let before = match (self.index, volatile) {
            (false, _) => Some(shown.clone()),
            (true, false) => Some(self.mounted_with_work(self.lowers, self.upper, self.work)?),
            // It is refused.
            (true, true) => None,
        };
        let repaired = self.findings("-y")?;
        if let Some(left) = self.findings("-n")?.first() {
            return Err(format!("repaired, it is there again: {}", left.text));
        }
        let after = self.mounted_with_work(self.lowers, self.upper, self.work)?;
        before
            .map_or(Ok(()), |before| same(&before, &after))
            .map_err(|text| {
                let all = repaired.iter().map(|found| found.text.as_str());
                format!("{text}: repaired {}", all.collect::<Vec<_>>().join(", "))
            })
    }

    /// What is repaired in all layers without asking is not seen.
    fn check_lower(&self, shown: &Snapshot) -> Found {
        // With an index a mount wants the lower layers for which the upper one was made, and not copies.
        if self.index {
            return Ok(());
        }
        let (upper, work) = (self.room.join("upper"), self.room.join("work"));
        copy(self.upper, &upper)?;
        make_dir(&work)?;
        let mut lowers = Vec::new();
        for (number, from) in self.lowers.iter().enumerate() {
            let to = self.room.join(format!("lower{number}"));
            match copy(from, &to) {
                // A link that tmpfs has, and xfs cannot.
                Err(text) if text.contains(TOO_LARGE[0]) => return Ok(()),
                copied => copied?,
            }
            lowers.push(to);
        }
        let copies = Stack {
            lowers: &lowers,
            upper: &upper,
            work: &work,
            ..*self
        };
        let found = copies.all_findings(&["-p", "--lower"])?;
        // What was shown by mistake, or not at all, is shown as it should be then.
        let unseen = ["orphan-whiteout", "invalid-opaque", "invalid-impure"];
        let wrong = |found: &Finding| found.severity == "error" && !found.is_one_of(&unseen);
        if found.iter().any(wrong) {
            return Ok(());
        }
        same(shown, &self.mounted(&lowers, &upper)?)
    }

    /// What `rovl check` finds in the upper layer and the work directory.
    fn findings(&self, how: &str) -> Result<Vec<Finding>, String> {
        let mut found = self.all_findings(&[how])?;
        found.retain(|found| {
            found.path.starts_with(self.upper) || found.path.starts_with(self.work)
        });
        Ok(found)
    }

    fn all_findings(&self, how: &[&str]) -> Result<Vec<Finding>, String> {
        let mut args: Vec<OsString> = vec!["check".into(), "--json".into()];
        args.extend(how.iter().map(Into::into));
        args.extend(self.layer_options(Some(self.upper), true));
        let output = self.run(&args)?;
        if !matches!(output.status.code(), Some(0 | 1 | 4 | 5)) {
            return Err(told(&output));
        }
        report::findings(&output.stdout)
    }

    /// All that is different without the upper layer is in the list, and nothing else.
    fn diff(&self, shown: &Snapshot) -> Found {
        let empty = self.room.join("empty");
        make_dir(&empty)?;
        let before = self.mounted(self.lowers, &empty)?;
        // Which path before is which one now is not known here where names are written in several ways.
        if is_damaged(&before) || self.script.upper == FOLDED {
            return Ok(());
        }
        let mut args: Vec<OsString> = vec!["diff".into(), "--times".into(), "--json".into()];
        args.extend(self.layer_options(Some(self.upper), false));
        let output = self.run(&args)?;
        if !matches!(output.status.code(), Some(0 | 1)) {
            return Err(told(&output));
        }
        let (mut listed, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for line in output
            .stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record: serde_json::Value =
                serde_json::from_slice(line).map_err(|error| error.to_string())?;
            let path = |key: &str| {
                record
                    .get(key)
                    .and_then(|value| value.as_str())
                    .map(PathBuf::from)
            };
            let at = path("path").ok_or("a record without a path")?;
            match record.get("change").and_then(|value| value.as_str()) {
                Some("removed" | "renamed") => {
                    whole.extend(path("from"));
                    whole.insert(at);
                }
                // A directory that became something else has taken along what was in it.
                Some("changed") if was_directory(&record) => drop(whole.insert(at)),
                Some("added" | "changed") => drop(listed.insert(at)),
                other => return Err(format!("a record says {other:?}")),
            }
        }
        let covered = |path: &Path| {
            listed.contains(path) || path.ancestors().any(|above| whole.contains(above))
        };
        // The root was that of the empty upper layer.
        let root = |path: &&PathBuf| path.as_os_str().is_empty();
        for path in before.keys().chain(shown.keys()).filter(|path| !root(path)) {
            let (was, is) = (before.get(path), shown.get(path));
            // Names that only the index knows are not in the upper layer, which is what is gone through.
            let file =
                |text: Option<&String>| text.is_some_and(|text| !text.starts_with("Directory"));
            let by_index = self.index && file(was) && file(is);
            if was != is && !covered(path) && !by_index {
                return Err(format!("{path:?} is not told: {was:?} became {is:?}"));
            }
            if was == is && listed.contains(path) {
                return Err(format!("{path:?} is told, and is the same: {is:?}"));
            }
        }
        Ok(())
    }

    /// The upper layer through an archive shows the same.
    fn commit(&self, shown: &Snapshot) -> Found {
        let (archive, upper) = (self.room.join("layer.tar"), self.room.join("applied"));
        let mut args: Vec<OsString> = vec!["commit".into(), "-o".into(), archive.clone().into()];
        args.push("--options".into());
        args.extend(
            self.layer_options(Some(self.upper), false)
                .into_iter()
                .skip(1),
        );
        let output = self.run(&args)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            // It says so.
            Some(1) if LEFT.iter().any(|text| said.contains(text)) => return Ok(()),
            Some(0 | 1) => {}
            _ => return Err(told(&output)),
        }
        let mut args: Vec<OsString> = vec!["apply".into()];
        args.extend(self.is_user().then(|| "--userxattr".into()));
        args.extend([archive.into(), upper.clone().into()]);
        self.done(&args, &[0])?;
        same(
            &without_sockets(shown),
            &without_sockets(&self.mounted(self.lowers, &upper)?),
        )
    }

    /// All layers made one show the same.
    fn flatten(&self, shown: &Snapshot) -> Found {
        let flat = self.room.join("flat");
        let mut args: Vec<OsString> = vec!["flatten".into(), "--options".into()];
        args.extend(
            self.layer_options(Some(self.upper), true)
                .into_iter()
                .skip(1),
        );
        args.extend(["-o".into(), flat.clone().into()]);
        let output = self.run(&args)?;
        match output.status.code() {
            Some(0 | 1) => (),
            // Another file system takes no such links or attributes.
            _ if TOO_LARGE.iter().any(|text| told(&output).contains(text)) => return Ok(()),
            _ => return Err(told(&output)),
        }
        let empty = self.room.join("empty");
        make_dir(&empty)?;
        same_below(shown, self.mounted(&[flat], &empty)?)
    }

    /// The upper layer without what is of no use, and then made one with the topmost lower one, shows the same.
    fn merge(&self, shown: &Snapshot) -> Found {
        let (upper, lower, empty) = (
            self.room.join("upper"),
            self.room.join("lower"),
            self.room.join("empty"),
        );
        let (top, below) = self.lowers.split_first().ok_or("no lower layer")?;
        copy(self.upper, &upper)?;
        copy(top, &lower)?;
        make_dir(&empty)?;
        let mut args: Vec<OsString> = vec!["vacuum".into()];
        args.extend(self.layer_options(Some(&upper), false));
        // Names that only the index knows show something else without it.
        let before = match self.index {
            true => self.mounted(self.lowers, &upper)?,
            false => shown.clone(),
        };
        self.done(&args, &[0])?;
        same(&before, &self.mounted(self.lowers, &upper)?)
            .map_err(|text| format!("vacuum: {text}"))?;
        let lowers: Vec<PathBuf> = std::iter::once(lower)
            .chain(below.iter().cloned())
            .collect();
        let copies = Stack {
            lowers: &lowers,
            ..*self
        };
        let mut args: Vec<OsString> = vec!["merge".into()];
        args.extend(copies.layer_options(Some(&upper), false));
        let output = self.run(&args)?;
        match output.status.code() {
            // Names that only the index knows show something else then.
            Some(1) => Ok(()),
            Some(0) => same_below(&before, self.mounted(&lowers, &empty)?),
            _ => Err(told(&output)),
        }
    }

    fn is_user(&self) -> bool {
        self.options.iter().any(|option| option == "userxattr")
    }

    /// `-o` and the layers as options of a mount.
    fn layer_options(&self, upper: Option<&Path>, work: bool) -> Vec<OsString> {
        let mut text: Vec<String> = Vec::new();
        text.extend(
            self.lowers
                .iter()
                .map(|path| format!("lowerdir+={}", path.display())),
        );
        text.extend(
            self.data
                .iter()
                .map(|path| format!("datadir+={}", path.display())),
        );
        text.extend(upper.map(|path| format!("upperdir={}", path.display())));
        text.extend(work.then(|| format!("workdir={}", self.work.display())));
        text.extend(self.is_user().then(|| "userxattr".to_owned()));
        text.extend((work && self.index).then(|| "index=on".to_owned()));
        vec!["-o".into(), text.join(",").into()]
    }

    fn run(&self, args: &[OsString]) -> Result<Output, String> {
        let output = Command::new(self.program).args(args).output();
        output.map_err(|error| format!("{}: {error}", self.program.display()))
    }

    fn done(&self, args: &[OsString], fine: &[i32]) -> Found {
        let output = self.run(args)?;
        match output.status.code() {
            Some(code) if fine.contains(&code) => Ok(()),
            _ => Err(format!("{args:?}: {}", told(&output))),
        }
    }

    /// What a mount of other layers shows, with the options that there were.
    fn mounted(&self, lowers: &[PathBuf], upper: &Path) -> Result<Snapshot, String> {
        // An index is bound to the upper layer that it was made for.
        let work = self.room.join("work");
        fresh(&work).map_err(|error| error.to_string())?;
        self.mounted_with_work(lowers, upper, &work)
    }

    fn mounted_with_work(
        &self,
        lowers: &[PathBuf],
        upper: &Path,
        work: &Path,
    ) -> Result<Snapshot, String> {
        let target = self.room.join("merged");
        make_dir(&target)?;
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let other = |option: &&str| !OTHER.contains(option) && !option.starts_with("attr:");
        let options: Vec<&str> = options.into_iter().filter(other).collect();
        let layers = Layers {
            lowers,
            data: self.data,
            upper,
            work,
        };
        request::mount(self.kind, &layers, &options, &target)?;
        let shown = snapshot_of(&target);
        unmount(&target, UnmountFlags::empty()).map_err(|error| error.to_string())?;
        Ok(shown)
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = format!("{}{}", text(&output.stderr), text(&output.stdout));
    format!(
        "{}: {}",
        output.status,
        lines.chars().take(900).collect::<String>()
    )
}

fn copy(from: &Path, to: &Path) -> Found {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output();
    match output.map_err(|error| error.to_string())? {
        output if output.status.success() => Ok(()),
        output => Err(told(&output)),
    }
}

fn make_dir(path: &Path) -> Found {
    std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// An empty directory.
fn fresh(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path)?;
    }
    std::fs::create_dir(path)
}
