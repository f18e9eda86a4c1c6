// SPDX-License-Identifier: GPL-2.0

//! The work directory: marks of what must be known, and what is left.

use super::finding::{Finding, Findings};
use super::kind::Kind;
use super::repair::{Step, Target};
use crate::layer::{Entry, Kind as Type, Layer, Result};
use crate::show::name;
use ondisk::workdir;
use rustix::io::Errno;

/// Looks at it.
pub fn check(work: &Layer, out: &mut Findings) -> Result<()> {
    let Some(dir) = work.root()?.child(workdir::WORK.to_bytes())? else {
        return Ok(());
    };
    if dir.kind() != Type::Dir {
        return left(&dir, out);
    }
    let names = match dir.list() {
        // The in-tree module makes it so that only who may override permissions can look.
        Err(error) if error.errno() == Some(Errno::ACCESS) => return Ok(()),
        names => names?,
    };
    for listed in names {
        let Some(Some(entry)) = out.take(dir.child(&listed.name)) else {
            continue;
        };
        if &*listed.name == workdir::INCOMPAT.to_bytes() && entry.kind() == Type::Dir {
            marks(&entry, out)?;
        } else {
            left(&entry, out)?;
        }
    }
    Ok(())
}

fn left(entry: &Entry, out: &mut Findings) -> Result<()> {
    let sentence = "A mount has left it, and the next one removes it.";
    let finding = Finding::new(Kind::WorkLeftover, entry, sentence);
    out.push(finding.repaired_by("remove it", vec![Step::Remove(Target::of(entry))]));
    Ok(())
}

/// What a mount must know.
fn marks(dir: &Entry, out: &mut Findings) -> Result<()> {
    let [_, _, volatile, _] = workdir::VOLATILE_DIRTY;
    let names = match dir.list() {
        // The in-tree module makes it so that only who may override permissions can look.
        Err(error) if error.errno() == Some(Errno::ACCESS) => return Ok(()),
        names => names?,
    };
    for listed in names {
        let Some(Some(entry)) = out.take(dir.child(&listed.name)) else {
            continue;
        };
        if &*listed.name == volatile.to_bytes() {
            let sentence =
                "A volatile mount was not ended well. After a crash data may be missing in the \
                            upper layer; without one it is whole. A mount is refused (EINVAL).";
            let finding = Finding::new(Kind::VolatileMark, &entry, sentence);
            let steps = vec![Step::Remove(Target::of(&entry))];
            out.push(
                finding.repaired_by("remove the mark, as what was lost does not matter", steps),
            );
        } else {
            let sentence = format!(
                "Something that this version does not know was used, {}: a mount is refused (EINVAL). Use the \
                 version that made it.",
                name(&*listed.name)
            );
            out.push(Finding::new(Kind::IncompatMark, &entry, sentence));
        }
    }
    Ok(())
}
