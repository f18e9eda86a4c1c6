// SPDX-License-Identifier: GPL-2.0

//! Layers as archives of container images, in both directions, and the layouts of such images.

pub mod apply;
pub mod compress;
mod digest;
mod holes;
mod image;
mod json;
pub mod tar;
mod write_layer;

pub use digest::{Digest, Digesting};
pub use image::{Layout, NewLayer};
pub use json::{Descriptor, Image, Index};
pub use write_layer::{write_layer, Options, Watch};

/// What the names of whiteouts begin with in layers of images.
pub const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// What the names begin with that mean something else than a whiteout.
pub const META_PREFIX: &[u8] = b".wh..wh.";

/// What stands in a directory that is opaque.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
