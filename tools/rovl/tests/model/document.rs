// SPDX-License-Identifier: GPL-2.0

//! Documents of image layouts.

use rovl::oci::{Descriptor, Digest, Image, Index};

/// What is read of any bytes can be changed and read again.
pub(crate) fn check(bytes: &[u8]) {
    let image = Descriptor::of(bytes);
    if let Ok(mut index) = Index::parse(bytes) {
        // There may be an image with this tag that cannot be used.
        let _ = index.find("t");
        index.set("t", &image).expect("a list");
        let again = Index::parse(&index.to_bytes()).expect("a document that was written here");
        assert_eq!(again.find("t").expect("an image"), Some(image.clone()));
    }
    let _ = Image::config_of(bytes);
    let (manifest, config) =
        bytes.split_at(bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0));
    if let Ok(mut parsed) = Image::parse(manifest, config) {
        if parsed
            .push(&image, "+gzip", &Digest::of(b""), "now")
            .is_ok()
        {
            let (manifest, config) = parsed.to_bytes();
            let of = Image::config_of(&manifest).expect("a configuration");
            assert_eq!(of, Descriptor::of(&config));
            Image::parse(&manifest, &config).expect("documents that were written here");
        }
    }
    if let Some(digest) = std::str::from_utf8(bytes).ok().and_then(Digest::parse) {
        assert_eq!(digest.to_string().as_bytes(), bytes);
    }
}
