// SPDX-License-Identifier: GPL-2.0
//! What may differ between the two sides: all of it is here, each with its reason.

use rovl_testing::overlay_xattr::{ORIGIN, UUID};

/// Times before this are set by a step, or come from a lower layer; later ones are the clock's.
pub const CLOCK: i64 = 1_000_000_000;

/// Text of the value of an attribute.
///
/// - `uuid` is random for each overlay.
/// - `origin` has the handle of an inode of the side's own lower layers: the bytes differ, the
///   length and the header before the identifier of the file system do not.
pub fn attribute(name: &str, value: &[u8]) -> String {
    let name = name.replacen("user.overlay.", "trusted.overlay.", 1);
    if name == UUID {
        return format!("{} bytes", value.len());
    }
    if name == ORIGIN {
        return format!("{} bytes, {:02x?}", value.len(), value.get(..5));
    }
    format!("{value:02x?}")
}

/// Modification time: what the clock gave is not the same on both sides.
pub fn time(seconds: i64) -> String {
    if seconds < CLOCK {
        seconds.to_string()
    } else {
        "now".to_owned()
    }
}

/// Whiteouts of one mount are links to a shared inode, made when it is first needed and again when
/// it has too many links. How many share it depends on mounts before this one, not on the steps
/// alone, and nobody can see it through the mount.
pub const WHITEOUT: &str = "whiteout";
