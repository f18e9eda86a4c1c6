// SPDX-License-Identifier: GPL-2.0

//! Reads what libFuzzer makes up as the documents of an image layout, and checks what
//! `tools/rovl/tests/model` says of that.

#![no_main]

#[path = "../../rovl/tests/model/document.rs"]
mod document;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| document::check(data));
