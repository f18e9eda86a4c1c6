// SPDX-License-Identifier: GPL-2.0

//! Names of objects in the making: `#` and a hexadecimal number.

use crate::inline::Inline;
use core::fmt::Write;

/// The length of the longest temporary name.
pub const MAX_LEN: usize = 9;

/// The name of an object that is being made in the work directory.
pub type TempName = Inline<MAX_LEN>;

/// Returns the temporary name with number `id`, as C's `"#%x"` prints it.
pub fn format(id: u32) -> TempName {
    let mut name = TempName::new();
    // Cannot fail: the longest number has eight digits.
    let _ = write!(name, "#{id:x}");
    name
}

/// Returns whether a name in the index directory was left by an operation that did not finish.
pub fn is_leftover(name: &[u8]) -> bool {
    name.first() == Some(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(format(0).as_bytes(), b"#0");
        assert_eq!(format(0xab).as_bytes(), b"#ab");
        assert_eq!(format(u32::MAX).as_bytes(), b"#ffffffff");
        assert_eq!(format(u32::MAX).len(), MAX_LEN);
        assert!(is_leftover(b"#1") && is_leftover(b"#"));
        assert!(!is_leftover(b"00fb") && !is_leftover(b""));
    }
}
