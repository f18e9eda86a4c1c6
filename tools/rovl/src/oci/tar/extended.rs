// SPDX-License-Identifier: GPL-2.0

//! Extended headers: records of a length, a key and a value.

use crate::layer::Time;

/// Appends a record: its length in decimal, which counts itself, a space, the key, `=`, the value and a
/// line end.
pub(super) fn push(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len().saturating_add(value.len()).saturating_add(3);
    // The length of the length may make it longer by one.
    let mut len = rest;
    for _ in 0..2 {
        len = rest.saturating_add(len.to_string().len());
    }
    records.extend(len.to_string().bytes());
    records.push(b' ');
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

/// A key and a value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// Cuts the first record off `rest`, and returns its key and value.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Record<'a>>, &'static str> {
    const WRONG: &str = "a record of an extended header is damaged";
    if rest.is_empty() {
        return Ok(None);
    }
    let space = rest.iter().take(12).position(|&byte| byte == b' ');
    let (len, _) = rest.split_at_checked(space.ok_or(WRONG)?).ok_or(WRONG)?;
    let number = usize::try_from(decimal(len).ok_or(WRONG)?).map_err(|_| WRONG)?;
    let (record, after) = rest.split_at_checked(number).ok_or(WRONG)?;
    let body = record.get(len.len().saturating_add(1)..).ok_or(WRONG)?;
    let body = body.strip_suffix(b"\n").ok_or(WRONG)?;
    let equals = body.iter().position(|&byte| byte == b'=').ok_or(WRONG)?;
    let (key, value) = body.split_at_checked(equals).ok_or(WRONG)?;
    *rest = after;
    Ok(Some((key, value.strip_prefix(b"=").unwrap_or_default())))
}

/// Reads a number in decimal.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()
}

/// Writes a time: seconds in decimal, with a fraction if there is one.
pub(super) fn time(time: Time) -> String {
    let (sec, nsec) = (time.sec, time.nsec);
    let (sign, sec, nsec) = match (sec < 0, nsec) {
        (false, _) | (true, 0) => (if sec < 0 { "-" } else { "" }, sec.unsigned_abs(), nsec),
        // Nanoseconds count forwards from the second before.
        _ => {
            let up = 1_000_000_000u32.saturating_sub(nsec);
            ("-", sec.unsigned_abs().saturating_sub(1), up)
        }
    };
    let text = format!("{sign}{sec}.{nsec:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads a time. Digits after the nanoseconds are dropped.
pub(super) fn parse_time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let sec = i64::try_from(decimal(parts.next()?)?).ok()?;
    let nsec = match parts.next() {
        None => 0,
        Some(fraction) if !fraction.iter().all(u8::is_ascii_digit) => return None,
        Some(fraction) => {
            let digits = fraction.iter().copied().chain(std::iter::repeat(b'0'));
            digits.take(9).fold(0u32, |sum, digit| {
                sum.wrapping_mul(10)
                    .wrapping_add(u32::from(digit.wrapping_sub(b'0')))
            })
        }
    };
    Some(match (negative, nsec) {
        (false, _) => Time { sec, nsec },
        (true, 0) => Time {
            sec: sec.checked_neg()?,
            nsec,
        },
        (true, _) => Time {
            sec: sec.checked_neg()?.checked_sub(1)?,
            nsec: 1_000_000_000u32.checked_sub(nsec)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        for len in (0..120).chain([980, 985, 990, 995, 1000, 9985, 9990, 9995]) {
            let mut records = Vec::new();
            push(&mut records, b"key", &vec![b'='; len]);
            push(&mut records, b"next", b"\n");
            let mut rest = records.as_slice();
            assert_eq!(
                next(&mut rest),
                Ok(Some((b"key".as_slice(), vec![b'='; len].as_slice())))
            );
            assert_eq!(
                next(&mut rest),
                Ok(Some((b"next".as_slice(), b"\n".as_slice())))
            );
            assert_eq!(next(&mut rest), Ok(None));
        }
    }

    #[test]
    fn damaged_records() {
        for text in [
            "x",
            "5 a=b",
            "7 a=b\n",
            "6 a=b ",
            "6 aab\n",
            " 6 a=b\n",
            "3 \n",
            "99999999999999999999 a=b\n",
            "+6 a=b\n",
            "0 a=b\n",
        ] {
            assert!(next(&mut text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        for (sec, nsec, text) in [
            (0, 0, "0"),
            (1_700_000_000, 0, "1700000000"),
            (1, 500_000_000, "1.5"),
            (10, 1, "10.000000001"),
            (-1, 0, "-1"),
            (-1, 500_000_000, "-0.5"),
            (-3, 999_999_999, "-2.000000001"),
        ] {
            assert_eq!(time(Time { sec, nsec }), text);
            assert_eq!(parse_time(text.as_bytes()), Some(Time { sec, nsec }));
        }
        assert_eq!(
            parse_time(b"1.1234567899"),
            Some(Time {
                sec: 1,
                nsec: 123_456_789
            })
        );
        for wrong in ["", "-", "1.x", "x", "1e5", "99999999999999999999"] {
            assert_eq!(parse_time(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
