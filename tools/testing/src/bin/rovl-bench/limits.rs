// SPDX-License-Identifier: GPL-2.0
//! What a ratio may be at most: for rows that have to be far better than the in-tree module, and for all others.

/// Parts of titles, and the limit of the rows that have all of them. The first that fits counts.
const LIMITS: [(&[&str], f64); 14] = [
    (&["sync: ", "200 small dirty files"], 0.05),
    (&["sync: ", "nothing changed"], 0.02),
    (&["slow disk: copy up"], 0.30),
    (&["slow disk: dpkg"], 0.75),
    (&["first misses", "nothing cached, 128 layers"], 0.10),
    (&["first misses", "known below, 128 layers"], 0.25),
    (&["first misses", "10 layers"], 0.50),
    (&["names of the lowest layer", "128 layers"], 0.15),
    (&["create, rename and unlink, 128 layers"], 0.60),
    (&["mount and umount, 128 layers"], 0.70),
    (&["10000 entries, merged, again"], 0.25),
    (&["merged, in-tree the directory of a layer"], 1.00),
    (&["change: create and unlink, one name"], 0.80),
    (&["change: create and unlink"], 0.92),
];

/// The limit of a row, or `other` where it has none of its own.
pub fn of(title: &str, other: f64) -> f64 {
    let own = LIMITS
        .iter()
        .find(|(parts, _)| parts.iter().all(|part| title.contains(part)));
    own.map_or(other, |(_, limit)| *limit)
}
