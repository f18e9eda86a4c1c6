// SPDX-License-Identifier: GPL-2.0

//! Which layers an object is made of.

use crate::layout::exchanged;

/// The number of layers that the bitmap has room for: an overlay has at most 500 lower layers and an upper
/// one.
pub const MAX_LAYERS: usize = 512;

/// No layer.
pub const NONE: u32 = u32::MAX;

/// In [`Layer::flags`]: the object is that of the descriptor [`Layer::object`], which may be one for its
/// path only (`O_PATH`), and not that of the descriptor on which the request is made. Both are of
/// one mount.
pub const OBJECT: u32 = 1 << 0;

/// What there is to be said of an object, bits of [`Layer::attributes`].
pub mod attribute {
    /// It is in the upper layer.
    pub const UPPER: u64 = 1 << 0;
    /// A directory of more than one layer.
    pub const MERGED: u64 = 1 << 1;
    /// A file whose data is in a lower layer than its attributes.
    pub const METACOPY: u64 = 1 << 2;
    /// A directory of the upper layer that hides what is below it.
    pub const OPAQUE: u64 = 1 << 3;
    /// The upper part says where the lower part is, which has another name or place.
    pub const REDIRECTED: u64 = 1 << 4;
    /// A directory that may have whiteouts in it, and so is not read straight from its layer.
    pub const WHITEOUTS: u64 = 1 << 5;
    /// A directory of the upper layer that may have entries in it that were copied up.
    pub const IMPURE: u64 = 1 << 6;
    /// It was copied up, and the lower object that it was copied from is known: the lower layer of a file
    /// is that.
    pub const ORIGIN: u64 = 1 << 7;
    /// It has an entry in the index, so that hard links stay hard links.
    pub const INDEXED: u64 = 1 << 8;
    /// The data is in a data-only layer, and has not been looked for yet.
    pub const DATA_LATER: u64 = 1 << 9;
    /// A file without data says with which digest of fs-verity the data has to be.
    pub const DIGEST: u64 = 1 << 10;
    /// The data was found to be so.
    pub const VERIFIED: u64 = 1 << 11;

    /// The names of all, by the number of the bit.
    pub const NAMES: [&str; 12] = [
        "upper",
        "merged",
        "metacopy",
        "opaque",
        "redirected",
        "whiteouts",
        "impure",
        "origin",
        "indexed",
        "data_later",
        "digest",
        "verified",
    ];
}

exchanged! {
    /// What an object is made of. Layer 0 is the upper one, whether there is one or not; the lower layers
    /// follow from the top, in the order in which the options name them, and the data-only ones are the last.
    pub struct Layer, "rovl_layer", first 112 {
        /// See [`Head`](crate::Head).
        pub size: u32,
        /// 0 or [`OBJECT`].
        pub flags: u32,
        /// A descriptor, with [`OBJECT`]. Otherwise it is not looked at.
        pub object: i32,
        /// How many lower layers the mount has, with the data-only ones.
        pub lower_layers: u32,
        /// How many of them are data-only.
        pub data_layers: u32,
        /// The layer that shows the attributes.
        pub top: u32,
        /// The layer that has the data of a regular file, or [`NONE`] where it has not been looked for
        /// and of other objects.
        pub data: u32,
        /// How many layers there are in `layers`.
        pub count: u32,
        /// See [`attribute`].
        pub attributes: u64,
        /// The number that the object has in its topmost layer, which stat(2) may not show.
        pub ino: u64,
        /// The layers that have a part of the object: layer n is bit n % 64 of number n / 64.
        pub layers: [u64; MAX_LAYERS / 64],
    }
}

impl Layer {
    /// One that asks for the object of the descriptor itself.
    pub fn new() -> Self {
        let mut asked = <Self as crate::Exchange>::from_bytes(&[]);
        // CAST: a small constant.
        asked.size = size_of::<Self>() as u32;
        asked
    }

    /// Notes that `layer` has a part of the object. Without effect for one that cannot be.
    pub fn add(&mut self, layer: usize) {
        if let Some(word) = self.layers.get_mut(layer / 64) {
            *word |= 1 << (layer % 64);
        }
    }

    /// The layers that have a part of the object, from the top.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..MAX_LAYERS).filter(|layer| {
            let word = self.layers.get(layer / 64);
            word.is_some_and(|word| word & (1 << (layer % 64)) != 0)
        })
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmap_of_layers() {
        let mut layer = Layer::new();
        for number in [0, 1, 63, 64, 500, 511, 512, 9999] {
            layer.add(number);
        }
        assert!(layer.iter().eq([0, 1, 63, 64, 500, 511]));
    }
}
