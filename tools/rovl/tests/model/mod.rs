// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes that are taken for an archive or for a document of an image. The property
//! tests and the fuzzer run the same checks.

pub(crate) mod archive;
pub(crate) mod document;
