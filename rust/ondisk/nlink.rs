// SPDX-License-Identifier: GPL-2.0

//! The `nlink` xattr of an indexed inode: the link count of the union, relative to that of the
//! upper or of the lower inode, as `U+1` or `L-2`.

use crate::error::impl_fault;
use crate::inline::Inline;

/// The length of the longest value.
pub const MAX_LEN: usize = 12;

/// The value of an `nlink` xattr.
pub type NlinkValue = Inline<MAX_LEN>;

/// What is wrong with an `nlink` xattr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NlinkError {
    /// Longer than [`MAX_LEN`].
    TooLong,
    /// Not of the form `U+1` or `L-2`, or the number is out of range.
    Malformed,
}

impl_fault!(NlinkError {
    TooLong => Range, "nlink xattr is too long";
    Malformed => Inval, "nlink xattr is not of the form U+1 or L-2";
});

/// Which inode's link count a difference is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The upper inode.
    Upper,
    /// The lower inode.
    Lower,
}

/// The difference between the link count of the union and that of a real inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nlink {
    /// The real inode.
    pub base: Base,
    /// What to add to its link count.
    pub diff: i32,
}

impl Nlink {
    /// Makes the difference between two link counts.
    pub const fn new(base: Base, union: u32, real: u32) -> Self {
        Self {
            base,
            diff: union.wrapping_sub(real) as i32,
        }
    }

    /// Returns the link count of the union for that of the [base](Self::base) inode, unless it would
    /// not be positive.
    pub fn apply(self, real: u32) -> Option<u32> {
        let union = (real as i32).wrapping_add(self.diff);
        u32::try_from(union).ok().filter(|&union| union > 0)
    }

    /// Returns the value of the xattr.
    pub fn encode(self) -> NlinkValue {
        let mut value = NlinkValue::new();
        // There is room for all: the longest number has ten digits.
        value.push(match self.base {
            Base::Upper => b'U',
            Base::Lower => b'L',
        });
        value.push(if self.diff < 0 { b'-' } else { b'+' });
        let mut rest = self.diff.unsigned_abs();
        let mut digits = [0_u8; 10];
        for digit in digits.iter_mut().rev() {
            // CAST: Less than ten.
            *digit = b'0'.saturating_add((rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        for digit in digits.into_iter().filter(|&digit| digit != 0) {
            value.push(digit);
        }
        value
    }

    /// Reads the value of the xattr. A NUL ends it, and a line end may be last, as in the in-tree
    /// module.
    pub fn parse(value: &[u8]) -> Result<Self, NlinkError> {
        if value.len() > MAX_LEN {
            return Err(NlinkError::TooLong);
        }
        let text = value.split(|&byte| byte == 0).next().unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);

        let (base, sign, digits) = match text {
            [b'U', b'+', digits @ ..] => (Base::Upper, 1, digits),
            [b'U', b'-', digits @ ..] => (Base::Upper, -1, digits),
            [b'L', b'+', digits @ ..] => (Base::Lower, 1, digits),
            [b'L', b'-', digits @ ..] => (Base::Lower, -1, digits),
            _ => return Err(NlinkError::Malformed),
        };
        let diff = number(sign, digits).ok_or(NlinkError::Malformed)?;
        Ok(Self { base, diff })
    }
}

/// Reads a decimal number of which the sign was taken off; it has to have a digit.
fn number(sign: i32, digits: &[u8]) -> Option<i32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_i32, |number, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        let digit = sign.checked_mul(i32::try_from(digit).ok()?)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Result<(Base, i32), NlinkError> {
        Nlink::parse(value.as_bytes()).map(|n| (n.base, n.diff))
    }

    #[test]
    fn forms() {
        assert_eq!(Nlink::new(Base::Upper, 3, 2).encode().as_bytes(), b"U+1");
        assert_eq!(Nlink::new(Base::Upper, 2, 2).encode().as_bytes(), b"U+0");
        assert_eq!(Nlink::new(Base::Lower, 2, 4).encode().as_bytes(), b"L-2");
        let min = Nlink {
            base: Base::Lower,
            diff: i32::MIN,
        };
        assert_eq!(min.encode().as_bytes(), b"L-2147483648");
        assert_eq!(Nlink::parse(&min.encode()), Ok(min));

        assert_eq!(parse("U+1"), Ok((Base::Upper, 1)));
        assert_eq!(parse("L-10"), Ok((Base::Lower, -10)));
        assert_eq!(parse("L-0"), Ok((Base::Lower, 0)));
        assert_eq!(parse("U+007\n"), Ok((Base::Upper, 7)));
        assert_eq!(parse("U+7\0junk"), Ok((Base::Upper, 7)));
        assert_eq!(parse("U+7\n\0junk"), Ok((Base::Upper, 7)));
    }

    #[test]
    fn errors() {
        for value in [
            "",
            "U",
            "U+",
            "U1",
            "u+1",
            "X+1",
            "U++1",
            "U+-1",
            "U-+1",
            "U+1 ",
            "U+ 1",
            "U+1a",
            "U+0x1",
            "U+2147483648",
            "U+\n",
            "U+1\n\n",
            "\0U+1",
            "U\0+1",
        ] {
            assert_eq!(parse(value), Err(NlinkError::Malformed), "{value:?}");
        }
        assert_eq!(parse("U+00000000001"), Err(NlinkError::TooLong));
    }

    #[test]
    fn apply() {
        let plus = |diff| Nlink {
            base: Base::Upper,
            diff,
        };
        assert_eq!(plus(1).apply(1), Some(2));
        assert_eq!(plus(-1).apply(2), Some(1));
        assert_eq!(plus(-1).apply(1), None);
        assert_eq!(plus(-5).apply(1), None);
        assert_eq!(plus(i32::MAX).apply(1), None);
        assert_eq!(plus(i32::MIN).apply(1), None);
    }
}
