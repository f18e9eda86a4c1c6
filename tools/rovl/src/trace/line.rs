// SPDX-License-Identifier: GPL-2.0

//! Lines of trace_pipe. The name of a task is the one thing in them that anybody chooses, so it is taken by
//! its place, whatever is in it.

/// The width that the name of a task is filled to, on its left; longer ones there are not.
const COMM: usize = 16;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The name of the task.
    pub comm: Vec<u8>,
    /// The task.
    pub pid: u32,
    /// When it was, in microseconds of the clock of the trace.
    pub time: u64,
    /// The name of the event.
    pub event: String,
    /// What the event says.
    pub text: String,
}

impl Line {
    /// Reads a line:
    ///
    /// `            bash-812     [001] d..1.  1234.567890: copy_up_end: dev=0:45 ...`
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (comm, rest) = line.split_at_checked(COMM)?;
        let rest = rest.strip_prefix(b"-")?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (pid, rest) = rest.split_once([' ', '\t'])?;
        // Whose thread it is may be between.
        let (_, rest) = rest.split_once('[')?;
        let (_, rest) = rest.split_once("] ")?;
        let (context, rest) = rest.split_once(": ")?;
        let time = microseconds(context.rsplit(' ').next()?)?;
        let (event, text) = rest.split_once(':')?;
        Some(Self {
            comm: comm.trim_ascii_start().to_vec(),
            pid: pid.parse().ok()?,
            time,
            event: event.to_owned(),
            text: text.trim_start().to_owned(),
        })
    }

    /// The value of a field, of those that are shown as `name=value`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut words = self.text.split(' ');
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// The value of a field that is a number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.field(name)?.parse().ok()
    }

    /// The value of the field `path`, without the escapes.
    pub fn path(&self) -> Option<Vec<u8>> {
        self.field("path").map(unescaped)
    }
}

/// `1234.567890`, in seconds.
fn microseconds(text: &str) -> Option<u64> {
    let (seconds, rest) = text.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let rest = rest.get(..6)?;
    seconds
        .checked_mul(1_000_000)?
        .checked_add(rest.parse().ok()?)
}

/// The bytes that stand as `\ooo` in a text.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                let digits = [a, b, c].map(|digit| digit & 7);
                bytes.push(digits.iter().fold(0, |byte: u8, digit| (byte << 3) | digit));
                rest = after;
            }
            _ => bytes.push(*first),
        }
    }
    bytes
}

/// Text as it comes, made into lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has no end yet.
    rest: Vec<u8>,
    /// Lines that were none: a line end may be in the name of a task.
    torn: Vec<u8>,
    /// How many events the kernel had no room for.
    pub lost: u64,
}

/// The longest name of a task, and what can be torn off before it.
const TORN: usize = 64;

/// The longest line: events have less than a page.
const LONGEST: usize = 1 << 14;

impl Lines {
    /// Takes more text, and calls `each` with the events that are in it.
    pub fn feed(&mut self, text: &[u8], mut each: impl FnMut(Line)) {
        let mut pieces = text.split(|&byte| byte == b'\n');
        let Some(first) = pieces.next() else { return };
        self.rest.extend(first);
        for piece in pieces {
            let line = std::mem::replace(&mut self.rest, piece.to_vec());
            self.line(&line, &mut each);
        }
        if self.rest.len() > LONGEST {
            self.rest.clear();
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(Line)) {
        let mut whole = std::mem::take(&mut self.torn);
        whole.extend(line);
        if let Some(found) = Line::parse(&whole).or_else(|| Line::parse(line)) {
            each(found);
        } else if let Some(lost) = lost(line) {
            self.lost = self.lost.saturating_add(lost);
        } else if whole.len() <= TORN {
            whole.push(b'\n');
            self.torn = whole;
        }
    }
}

/// `CPU:1 [LOST 123 EVENTS]`
fn lost(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("CPU:")?;
    let (_, text) = text.split_once("[LOST ")?;
    // It may not be known how many.
    let (number, _) = text.split_once(' ').unwrap_or(("1", ""));
    Some(number.parse().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    /// As Linux writes it, and below a rule that is no event.
    const RECORDED: &str = "# tracer: nop
            bash-812     [001] d..1.  1234.567890: copy_up_begin: dev=0:45 ino=12 size=0 why=create path=/d
            bash-812     [001] .....  1234.567999: copy_up_end: dev=0:45 ino=12 size=0 why=create how=no_data bytes=0 ns=109123 err=0 path=/d
CPU:1 [LOST 17 EVENTS]
 kworker/u8:1-ev-77 (-------) [000] .....   99.000001: sync: dev=0:45 of=own files=3 ns=5 err=-5
    a: [0] b: c=-9       [000] .....     1.000000: copy_up_end: dev=8:1 ino=1 size=9 why=open how=data bytes=9 ns=1 err=0 path=/a\\040b=c\\134\\012\\377
";

    fn parsed(text: &str) -> (Vec<Line>, u64) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        lines.feed(text.as_bytes(), |line| found.push(line));
        (found, lines.lost)
    }

    #[test]
    fn recorded_lines() {
        let (lines, lost) = parsed(RECORDED);
        assert_eq!((lines.len(), lost), (4, 17));
        let end = &lines[1];
        assert_eq!((end.comm.as_slice(), end.pid), (b"bash".as_slice(), 812));
        assert_eq!(
            (end.event.as_str(), end.time),
            ("copy_up_end", 1_234_567_999)
        );
        assert_eq!(end.field("how"), Some("no_data"));
        assert_eq!(end.number::<u64>("ns"), Some(109_123));
        assert_eq!(end.field("no"), None);
        assert_eq!(lines[2].comm, b"kworker/u8:1-ev");
        assert_eq!(lines[2].number::<i32>("err"), Some(-5));
        assert_eq!(lines[3].comm, b"a: [0] b: c=");
        assert_eq!(lines[3].path(), Some(b"/a b=c\\\n\xff".to_vec()));
    }

    #[test]
    fn pieces_of_any_length() {
        let (whole, _) = parsed(RECORDED);
        for size in [1, 2, 7, 100] {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in RECORDED.as_bytes().chunks(size) {
                lines.feed(piece, |line| found.push(line));
            }
            assert_eq!(found, whole);
        }
    }

    #[test]
    fn names_with_line_ends() {
        let text = format!(
            "{:>16}-5       [000] .....     1.000000: sync: dev=0:1\n",
            "a\nb-1 [0] \x1b"
        );
        let (lines, _) = parsed(&(text.clone() + &text));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].comm, b"a\nb-1 [0] \x1b");
        assert_eq!((lines[0].pid, lines[0].event.as_str()), (5, "sync"));
    }

    #[test]
    fn what_is_no_line() {
        for text in [
            "",
            "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION",
            "            bash-812     [001] d..1.  1234.5: sync: dev=0:1",
            "            bash-x       [001] d..1.  1234.567890: sync: dev=0:1",
            "            bash-1",
        ] {
            assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
        }
        let long = "x".repeat(1 << 20);
        assert_eq!(parsed(&long).0, []);
    }
}
