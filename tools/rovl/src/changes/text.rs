// SPDX-License-Identifier: GPL-2.0

//! Unified diffs.

use similar::{capture_diff_slices_deadline, group_diff_ops, Algorithm, ChangeTag, DiffOp};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How many lines around a change are shown.
const CONTEXT: usize = 3;

/// How long is searched for a small diff. A larger one is right, too.
const PATIENCE: Duration = Duration::from_secs(5);

/// The content of a file, as far as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Lines.
    Lines(Vec<u8>),
    /// Not text.
    Binary,
    /// Too much of it.
    Large,
}

impl Text {
    /// What a content is: with a NUL in it, it is not text.
    pub fn of(content: Vec<u8>) -> Self {
        if content.contains(&0) {
            Self::Binary
        } else {
            Self::Lines(content)
        }
    }
}

/// Writes how `after` differs from `before`, without the lines that name the files.
pub fn unified(before: &[u8], after: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let old: Vec<&[u8]> = before.split_inclusive(|&byte| byte == b'\n').collect();
    let new: Vec<&[u8]> = after.split_inclusive(|&byte| byte == b'\n').collect();
    let deadline = Instant::now().checked_add(PATIENCE);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, deadline);
    for hunk in group_diff_ops(ops, CONTEXT) {
        header(&hunk, out)?;
        let changes = hunk.iter().flat_map(|op| op.iter_changes(&old, &new));
        for change in changes {
            let sign: &[u8] = match change.tag() {
                ChangeTag::Equal => b" ",
                ChangeTag::Delete => b"-",
                ChangeTag::Insert => b"+",
            };
            out.write_all(sign)?;
            out.write_all(change.value())?;
            if !change.value().ends_with(b"\n") {
                out.write_all(b"\n\\ No newline at end of file\n")?;
            }
        }
    }
    Ok(())
}

fn header(hunk: &[DiffOp], out: &mut dyn Write) -> io::Result<()> {
    let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
        return Ok(());
    };
    let old = range(first.old_range().start, last.old_range().end);
    let new = range(first.new_range().start, last.new_range().end);
    writeln!(out, "@@ -{old} +{new} @@")
}

/// Lines are counted from one; an empty range is named by the line before it.
fn range(start: usize, end: usize) -> String {
    let len = end.saturating_sub(start);
    match len {
        0 => format!("{start},0"),
        1 => format!("{}", start.saturating_add(1)),
        _ => format!("{},{len}", start.saturating_add(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::{unified, Text};

    fn diff(before: &str, after: &str) -> String {
        let mut out = Vec::new();
        unified(before.as_bytes(), after.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_diff_writes_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        assert_eq!(
            diff(old, "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
            "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(diff("", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff("a\n", ""), "@@ -1 +0,0 @@\n-a\n");
        assert_eq!(
            diff("a", "b"),
            "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"
        );
        assert_eq!(diff(old, old), "");
    }

    #[test]
    fn what_has_a_nul_is_no_text() {
        assert_eq!(Text::of(b"a\0b".to_vec()), Text::Binary);
        assert_eq!(Text::of(b"\xff".to_vec()), Text::Lines(b"\xff".to_vec()));
    }
}
