// SPDX-License-Identifier: GPL-2.0

//! Sizes as users write them.

use kernel::prelude::*;

/// The number of bytes in `text`: a decimal number, with `k`, `m` or `g` behind it for multiples of
/// 1024, small or capital.
///
/// Returns `EINVAL` for anything else and `ERANGE` for more than 64 bits.
pub(crate) fn parse(text: &[u8]) -> Result<u64> {
    let (digits, shift) = match text.split_last() {
        Some((b'k' | b'K', digits)) => (digits, 10),
        Some((b'm' | b'M', digits)) => (digits, 20),
        Some((b'g' | b'G', digits)) => (digits, 30),
        _ => (text, 0),
    };
    if digits.is_empty() {
        return Err(EINVAL);
    }
    let mut number: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return Err(EINVAL);
        }
        let value = u64::from(digit.saturating_sub(b'0'));
        let next = number.checked_mul(10).and_then(|n| n.checked_add(value));
        number = next.ok_or(ERANGE)?;
    }
    number.checked_mul(1 << shift).ok_or(ERANGE)
}
