// SPDX-License-Identifier: GPL-2.0

//! Reads what libFuzzer makes up as the layer of an image, and checks what `tools/rovl/tests/model` says
//! of that. Blocks that look like headers get the right checksum, which would not be found otherwise.

#![no_main]

#[path = "../../rovl/tests/model/archive.rs"]
mod archive;

use libfuzzer_sys::fuzz_target;

fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    archive::check(data);
    archive::check(&with_checksums(data.to_vec()));
});
