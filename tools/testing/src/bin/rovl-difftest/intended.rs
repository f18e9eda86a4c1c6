// SPDX-License-Identifier: GPL-2.0
//! What may differ between the two sides: all of it is here, each with its reason. At the end there is
//! what random scripts leave out, because the in-tree module would end in another state than it has to.

use std::path::Path;

use rovl_testing::overlay_xattr::{METACOPY, ORIGIN, UPPER, UUID};
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::image::FOLDED;
use crate::run::Difference;
use crate::script::{Place, Script, Step};
use crate::side::{DROP_CACHES, SQUEEZE};
use crate::snapshot;

/// Times before this are set by a step, or come from a lower layer; later ones are the clock's.
pub const CLOCK: i64 = 1_000_000_000;

/// Longest value that is shown byte by byte.
const SHOWN: usize = 64;
/// Bytes before the inode in a handle that opens objects.
pub const OPENING: usize = 24;
/// The least that direct I/O writes.
const SECTOR: usize = 512;
/// Digits of the header of a handle.
const HANDLE: usize = 42;

/// Text of the value of an attribute.
///
/// - `uuid` is random for each overlay.
/// - `origin` and `upper` have the handle of an inode of the side's own layers: the bytes differ,
///   the length and the header before the identifier of the file system do not.
pub fn attribute(name: &str, value: &[u8]) -> String {
    let name = name.replacen("user.overlay.", "trusted.overlay.", 1);
    if name == UUID && value.len() == 16 {
        return format!("{} bytes", value.len());
    }
    if (name == ORIGIN || name == UPPER) && was_handle(value) {
        return format!("{} bytes, {:02x?}", value.len(), value.get(..5));
    }
    if value.len() > SHOWN {
        let digest = snapshot::digest(value);
        return format!("{} bytes {digest:016x}", value.len());
    }
    if value.iter().all(|byte| (0x21..0x7f).contains(byte)) {
        return String::from_utf8_lossy(value).into_owned();
    }
    format!("{value:02x?}")
}

/// Whether it is a handle of which at most one byte was damaged: version, magic or length say so.
fn was_handle(value: &[u8]) -> bool {
    let [version, magic, len, ..] = *value else {
        return false;
    };
    let right = [version == 0, magic == 0xfb, usize::from(len) == value.len()];
    right.into_iter().filter(|right| *right).count() >= 2
}

/// Text of a handle by which objects are opened: it has the handle of an inode of the side's own
/// layers, after a header and the identifier of the file system.
pub fn handle(kind: i32, bytes: &[u8]) -> String {
    format!(
        "type {kind:x} {} bytes {:02x?}",
        bytes.len(),
        bytes.get(..OPENING)
    )
}

/// A name in the work directory: a temporary one has a number that counts all mounts, and an entry of
/// the index is called like the handle of an inode, see [`attribute`].
pub fn work_name(name: &str) -> String {
    if name.starts_with('#') {
        return "#".to_owned();
    }
    let is_handle = name.len() > HANDLE && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match name.get(..10).filter(|_| is_handle) {
        Some(header) => format!("handle of {} bytes, {header}", name.len() / 2),
        None => name.to_owned(),
    }
}

/// A directory in the work directory that a module makes for itself. The in-tree one takes all rights to it
/// from everybody; ours leaves them to the owner, who can so remove it.
pub fn own_directory(relative: &Path, stat: &Stat) -> Stat {
    const OWN: [&str; 4] = ["work", "index", "work/incompat", "work/incompat/volatile"];
    let mut stat = *stat;
    if OWN.iter().any(|own| relative == Path::new(own)) && stat.st_mode & 0o7777 == 0o700 {
        stat.st_mode &= !0o7777;
    }
    stat
}

/// A time: what the clock gave is not the same on both sides.
pub fn time(seconds: i64, nanoseconds: u64) -> String {
    if seconds >= CLOCK {
        return "now".to_owned();
    }
    let exact = if nanoseconds == 0 { "" } else { "+" };
    format!("{seconds}{exact}")
}

/// A path: each side has its own directory, and a file without a name has its inode number for one.
pub fn place(text: &str) -> String {
    let text = text
        .replace("/rovl-difftest/0", "/rovl-difftest/N")
        .replace("/rovl-difftest/1", "/rovl-difftest/N");
    match text.rsplit_once('#') {
        Some((dir, name)) => {
            let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{dir}#{rest}")
        }
        None => text,
    }
}

/// Whiteouts of one mount are links to a shared inode, made when it is first needed and again when
/// it has too many links. How many share it depends on mounts before this one, not on the steps
/// alone, and nobody can see it through the mount.
pub fn whiteout(stat: &Stat) -> String {
    format!(
        "whiteout {:o} {}:{}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid
    )
}

/// A line on the work directory that is not compared: the in-tree module leaves the shared whiteout there,
/// if there is one, with an index in the directory of that. Ours removes it, but after a volatile mount.
pub fn leftover(line: &str) -> bool {
    line.starts_with("work/#: whiteout") || line.starts_with("index/#: whiteout")
}

/// Whether two texts on a step differ only in how many links they show of what is gone: the in-tree module
/// has the number of the layer, which knows nothing of it, and rovl 0. It takes a descriptor, a handle or the
/// working directory to look at such an object.
pub fn links(kinds: &[String; 2], step: &str, seen: [&str; 2]) -> bool {
    let by_descriptor = |word: &str| word.starts_with(['@', '%', '.']);
    let other = |kind: &str, word: &str| match word.strip_prefix("nlink=") {
        Some("0") => kind == "rovl",
        Some(_) => kind == "overlay",
        None => false,
    };
    let [a, b] = seen.map(|text| text.split(' ').collect::<Vec<_>>());
    step.split(' ').any(by_descriptor)
        && a.len() == b.len()
        && a.iter()
            .zip(&b)
            .all(|(a, b)| a == b || (other(&kinds[0], a) && other(&kinds[1], b)))
}

/// Whether the last of `steps` repeats at a remount an option that the mount was made with: rovl accepts it, as
/// mount(8) repeats all options, and the in-tree module refuses every option. A layer that was given as a copy of a
/// mount without a place in the tree is called `/`.
pub fn repeated(kinds: &[String; 2], steps: &[Step], seen: [&str; 2]) -> bool {
    let Some(([verb, option], before)) = steps
        .split_last()
        .map(|(last, before)| (last.words.as_slice(), before))
    else {
        return false;
    };
    let is_mount = |step: &&Step| step.words.first().is_some_and(|word| word == "mount");
    let given = before.iter().rev().find(is_mount);
    let as_words = |word: &String| {
        word == option
            || (option == "volatile" && word == "fsync=volatile")
            || (option == "lowerdir=/" && matches!(word.as_str(), "detached" | "mapped-lower"))
    };
    let expected = |kind: &str, text: &str| match kind {
        "overlay" => text.starts_with("Err(") && text.contains(&Errno::INVAL.to_string()),
        _ => text == "Ok(())",
    };
    verb == "reconfigure"
        && given.is_some_and(|mount| mount.words.iter().any(as_words))
        && kinds
            .iter()
            .zip(seen)
            .all(|(kind, text)| expected(kind, text))
}

/// Whether two texts differ only in what depends on which inodes the kernel has forgotten since the mount.
///
/// When some are taken back (`squeeze`), these are not the same on both sides. While nobody has looked for the data
/// of a file in the data-only layers, either type guesses its blocks from the size; links that have become files of
/// their own are told apart by the inodes that are there; for numbers see [`numbers_after`].
///
/// When all are (`drop-caches`), rovl also gives up what it knows of numbers in a directory that stays in use. The
/// in-tree module keeps that, and misses a file with another number that was linked into it since.
pub fn forgotten(kinds: &[String; 2], steps: &[Step], seen: [&str; 2]) -> bool {
    let word = |step: &Step| step.words.first().cloned().unwrap_or_default();
    let since = steps.iter().rev().map(word);
    let since: Vec<String> = since.take_while(|word| word != "mount").collect();
    let was = |what: &str| since.iter().any(|word| word == what);
    let plain =
        |text: &str| without_links(&text.replace(" no blocks", "").replace(OTHER_NUMBER, ""));
    let stale = |kind: &str, text: &str| match kind {
        "overlay" => text.replace(OTHER_NUMBER, ""),
        _ => text.to_owned(),
    };
    (was(SQUEEZE) && plain(seen[0]) == plain(seen[1]))
        || (was(DROP_CACHES) && stale(&kinds[0], seen[0]) == stale(&kinds[1], seen[1]))
        || unmarked(kinds, steps, seen)
}

/// Whether two texts differ only in the mark that there are files with other numbers in a directory of the upper layer,
/// and caches were dropped: then rovl reads a directory that stays in use again, and takes the mark away where the last
/// of them has lost what told so. Layers that were exchanged (`swap`) had the other type before.
fn unmarked(kinds: &[String; 2], steps: &[Step], seen: [&str; 2]) -> bool {
    let lost = |mark: &&&str| !seen.iter().all(|text| text.contains(**mark));
    let was = |what: &str| {
        let mut words = steps.iter().filter_map(|step| step.words.first());
        words.any(|word| word == what)
    };
    let without = |kind: &str, text: &str| match kind {
        _ if kind != "overlay" && !was("swap") => text.to_owned(),
        _ => IMPURE_MARKS
            .iter()
            .filter(lost)
            .fold(text.to_owned(), |text, mark| text.replace(mark, "")),
    };
    was(DROP_CACHES) && without(&kinds[0], seen[0]) == without(&kinds[1], seen[1])
}

/// How an attribute of a directory in the upper layer shows that it may have files with other numbers.
const IMPURE_MARKS: [&str; 2] = [" trusted.overlay.impure=y", " user.overlay.impure=y"];

/// What a listing says of an entry that has another number than stat(2) tells.
pub const OTHER_NUMBER: &str = " other number";

/// The text without which other path is the same file.
fn without_links(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" same as ") else {
        return text.to_owned();
    };
    let after = rest.find(' ').and_then(|end| rest.get(end..));
    format!("{before}{}", after.unwrap_or_default())
}

/// Whether the last of `steps` is a reconfigure that asks for nothing, of a mount that is read-only for good:
/// rovl has nothing to refuse, as remount,rw must say "rw", and the in-tree module takes what is not "ro" for it.
pub fn asks_nothing(kinds: &[String; 2], steps: &[Step], seen: [&str; 2]) -> bool {
    let expected = |kind: &str, text: &str| match kind {
        "overlay" => text.starts_with("Err(") && text.contains(&Errno::ROFS.to_string()),
        _ => text == "Ok(())",
    };
    steps
        .last()
        .is_some_and(|step| step.words == ["reconfigure"])
        && kinds
            .iter()
            .zip(seen)
            .all(|(kind, text)| expected(kind, text))
}

/// An option of a mount of the type `kind`, if that has it: what only rovl has is written `rovl:OPTION`.
pub fn own_option<'a>(kind: &str, option: &'a str) -> Option<&'a str> {
    match option.strip_prefix("rovl:") {
        Some(own) => (kind != "overlay").then_some(own),
        None => Some(option),
    }
}

/// What a mount shows, without the options that only rovl has.
pub fn shown(text: &str) -> String {
    text.replace(",syncfs=upper", "")
}

/// Whether inode numbers are still compared after `what` was done to the caches. When some of it is taken back
/// (`squeeze`), that is not the same on both sides, and some numbers depend on it with either type: a directory is
/// looked through for numbers of copied files only while its inode says so, and that is told anew when the inode is
/// read again, for example after a file was linked into it whose own inode was, or was not, made since it was copied.
pub fn numbers_after(what: &str, compared: bool) -> bool {
    compared && what != SQUEEZE
}

/// The work directory after a mount that was refused.
pub const REFUSED: &str = "work directory of a refused mount";

/// Differences after which a sequence is not compared any more.
///
/// - The in-tree module cannot remove what a lower layer has that folds the case of names. It moves a
///   whiteout to a dentry that it expects in the cache, where ext4 does not keep the free names of such
///   directories.
/// - A mount cleans the index up to an entry for which it is refused: which ones come before that is up
///   to the order of their names, in which there are inode numbers.
/// - See [`found_without_data`], [`other_is_stale`] and [`other_shows`].
pub fn ends(script: &Script, found: &Difference) -> bool {
    let step = found
        .steps
        .checked_sub(1)
        .and_then(|at| script.steps.get(at));
    let operation = step.and_then(|step| step.words.first()).map(String::as_str);
    let refused = |(kind, seen): (&String, &String)| {
        kind == "overlay" && seen.starts_with(&Errno::INVAL.to_string())
    };
    let cleaned = found.what == REFUSED && found.seen.iter().all(|line| line.starts_with("index"));
    let unremoved = script.upper == FOLDED
        && matches!(operation, Some("unlink" | "rmdir" | "rmtree"))
        && found.kinds.iter().zip(&found.seen).any(refused);
    cleaned
        || unremoved
        || found_without_data(script, found)
        || other_is_stale(script, found)
        || other_shows(script, found)
}

/// Whether some inodes were taken back, and a lower directory has another name by a redirect: what was copied up by one
/// name is shown by the other one, with either type, as long as its inode is in the cache. What differs is in a directory
/// of one of these names.
fn other_shows(script: &Script, found: &Difference) -> bool {
    let is = |step: &Step, verb: &str| step.words.first().is_some_and(|word| word == verb);
    let done = script.steps.get(..found.steps).unwrap_or_default();
    let last_name = |word: &String| word.rsplit('/').next().map(str::to_owned);
    let names_of = |step: &Step| match step.words.as_slice() {
        [verb, path, name, value, ..] if verb == "setxattr" && name.ends_with(".redirect") => {
            [last_name(path), last_name(value)]
        }
        _ => [None, None],
    };
    let lower = done
        .iter()
        .filter(|step| matches!(step.place, Place::Lower(_)));
    let names = lower.flat_map(names_of).flatten();
    let is_part = |name: String| {
        let mut parts = found.what.split(['/', ' ', '"']);
        !name.is_empty() && parts.any(|part| part == name)
    };
    let mut since = done.iter().rev().take_while(|step| !is(step, "mount"));
    names.into_iter().any(is_part) && since.any(|step| is(step, SQUEEZE))
}

/// Whether some inodes were taken back, and only one side has a stale handle: of two names of one lower directory,
/// which redirects can make, the one whose inode is in the cache shows it with either type, and the other one is stale.
fn other_is_stale(script: &Script, found: &Difference) -> bool {
    let is = |step: &Step, verb: &str| step.words.first().is_some_and(|word| word == verb);
    let done = script.steps.get(..found.steps).unwrap_or_default();
    let mut since = done.iter().rev().take_while(|step| !is(step, "mount"));
    let [a, b] = found
        .seen
        .each_ref()
        .map(|seen| seen.contains(&Errno::STALE.to_string()));
    a != b && since.any(|step| is(step, SQUEEZE))
}

/// Whether a file may have been found by its handle, while its data is in a data-only layer: for a file of a lower
/// layer that is found so, the in-tree module does not read that there is no data in it, and shows zeros, or nothing,
/// to all who open it, by its name as well, until its inode is forgotten. rovl shows what it shows by name.
fn found_without_data(script: &Script, found: &Difference) -> bool {
    let done = script.steps.get(..found.steps).unwrap_or_default();
    let lacks_data = |step: &Step| {
        matches!(step.place, Place::Lower(_)) && step.words.iter().any(|word| word == METACOPY)
    };
    let is = |step: &Step, verb: &str| step.words.first().is_some_and(|word| word == verb);
    let since = done.iter().rev().take_while(|step| !is(step, "mount"));
    let shows_file = |(kind, seen): (&String, &String)| {
        kind == "overlay" && seen.contains(&format!("{:?} ", FileType::RegularFile))
    };
    script.data > 0
        && done.iter().any(lacks_data)
        && since.into_iter().any(|step| is(step, "decode"))
        && found.kinds.iter().zip(&found.seen).any(shows_file)
}

/// A step of an ordinary lower layer that is left out where attributes in `user.` are used with an index:
/// the in-tree module leaves the copy of anything but a file or a directory in its index, where such
/// attributes cannot be set on it. Whiteouts are not copied.
pub fn stays_in_index(words: &[String]) -> bool {
    match words.first().map(String::as_str) {
        Some("symlink") => true,
        Some("mknod") => words.get(2).is_none_or(|kind| kind != "char"),
        _ => false,
    }
}

/// Whether scripts with this file system for the upper layer let objects be opened by handles. One that
/// folds the case of names cannot, for that needs whiteouts, see [`ends`].
pub fn opens_by_handles(upper: &str) -> bool {
    upper != FOLDED
}

/// Whether a mount may now and then take the other one of `trusted.` and `user.`, and not read the
/// overlay's attributes. An index of files and directories, which `export` makes, then keeps the mount
/// from being made, cleaned up to an entry that depends on the order of inode numbers.
pub fn reads_other_attributes(export: bool) -> bool {
    !export
}

/// Whether the ids of the upper layer may be mapped, so that not all owners can be stored there: where the
/// owner of a directory cannot, the in-tree module leaves an entry in the index that `export` makes of
/// directories, too. It leads nowhere, and the next try gives EIO.
pub fn maps_upper(export: bool) -> bool {
    !export
}

/// Shortens the values of attributes in a step, where there is an index of directories: if the upper
/// layer has no room for those of a directory, the in-tree module leaves an entry in its index that
/// leads nowhere.
pub fn shorten(words: &mut [String]) {
    let values = words.iter_mut().filter(|word| word.starts_with("fill:"));
    values.for_each(|word| *word = "fill:200:1".to_owned());
}

/// Whether a connectable handle is asked for of what `path` names. An open file may have been found by a
/// handle and have no name in the cache, of which the kernel warns on any file system.
pub fn may_connect(path: &str) -> bool {
    !path.starts_with('@')
}

/// How many of `len` bytes are written to an open file with these flags. Direct I/O that does not end at a sector
/// is refused by the file system below, but where the file is not in one piece only after what comes before its last
/// piece was written; and where the pieces lie is not the same on both sides.
pub fn write_length(flags: OFlags, len: usize) -> usize {
    if flags.contains(OFlags::DIRECT) && len > SECTOR {
        len - len % SECTOR
    } else {
        len
    }
}

/// Whether it is known where an open file with these flags stands after io_uring read or wrote where it
/// stood: with direct I/O that moves it only if the device is done before the call returns.
pub fn moves_on(flags: OFlags) -> bool {
    !flags.contains(OFlags::DIRECT)
}

/// Where a file stands. In a directory that says nothing: at the end of one with names in several layers
/// the in-tree module has counted each name once, rovl once for each layer.
pub fn position(stat: &Stat, at: u64) -> String {
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return "somewhere in a directory".to_owned();
    }
    at.to_string()
}
