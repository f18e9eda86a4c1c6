// SPDX-License-Identifier: GPL-2.0

//! Runs the checks of `rust/ondisk/tests/model` on what libFuzzer makes up: the crate must do what
//! the models do, on any bytes.
//!
//! The first byte chooses the format, the rest is the input.

#![no_main]

#[path = "../../../rust/ondisk/tests/model/mod.rs"]
mod model;

use libfuzzer_sys::fuzz_target;
use model::{handle, names, options, values};

/// The part of an option string that the kernel sees.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Reads a number from the start of the input.
fn number(data: &[u8]) -> u32 {
    data.first_chunk().copied().map_or(0, u32::from_le_bytes)
}

/// Checks the making of a handle from fields in the input.
fn encode(data: &[u8]) {
    if let Some((&[fid_type, upper], rest)) = data.split_first_chunk() {
        if let Some((uuid, fid)) = rest.split_first_chunk() {
            handle::check_encode(fid_type, fid, uuid, upper & 1 != 0);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&format, data)) = data.split_first() else {
        return;
    };
    match format % 14 {
        0 => options::check_lowerdir(until_nul(data)),
        1 => options::check_unescape(until_nul(data)),
        2 => options::check_mount_data(until_nul(data)),
        3 => {
            for namespace in names::NAMESPACES {
                names::check_escape(namespace, data);
                names::check_name(namespace, data);
            }
        }
        4 => {
            for namespace in names::NAMESPACES {
                names::check_list(namespace, data, true);
                names::check_list(namespace, data, false);
            }
        }
        5 => values::check_markers(data),
        6 => values::check_redirect(data),
        7 => values::check_nlink(data),
        8 => values::check_nlink_counts(number(data), number(data.get(4..).unwrap_or_default())),
        9 => values::check_metacopy(data),
        10 => values::check_protattr(data),
        11 => handle::check_value(data),
        12 => {
            handle::check_wire(data);
            encode(data);
        }
        _ => {
            handle::check_index(data);
            handle::check_temp_name(number(data));
        }
    }
});
