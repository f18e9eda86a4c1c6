// SPDX-License-Identifier: GPL-2.0
//! The options of a mount, chosen at random, each feature for itself.

use super::source::Source;

/// Options, and what they mean for the steps that follow.
pub struct Chosen {
    /// As a script has them, with blanks in between.
    pub text: String,
    /// Whether something can be written through the mount.
    pub writable: bool,
    /// Whether directories of lower layers can be renamed.
    pub redirects: bool,
    /// Whether the mount can be made once only.
    pub volatile: bool,
}

/// The values of a feature that are tried; often it is left alone.
const REDIRECT: &[&str] = &[
    "",
    "",
    "redirect_dir=on",
    "redirect_dir=on",
    "redirect_dir=follow",
    "redirect_dir=off",
    "redirect_dir=nofollow",
];
const METACOPY: &[&str] = &["", "", "metacopy=off", "metacopy=on", "metacopy=on"];
const INDEX: &[&str] = &["", "", "index=off", "index=on", "index=on"];
const XINO: &[&str] = &["", "", "xino=off", "xino=auto", "xino=on"];
const UUID: &[&str] = &[
    "",
    "",
    "",
    "",
    "uuid=off",
    "uuid=null",
    "uuid=auto",
    "uuid=on",
];
const CREDENTIALS: &[&str] = &["", "", "", "", "", "", "override_creds", "nooverride_creds"];
const SYNC: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "fsync=strict",
    "fsync=auto",
    "volatile",
    "fsync=volatile",
];
const ATTRIBUTES: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "attr:noatime",
    "attr:nosuid attr:nodev",
    "attr:strictatime",
];

/// One mount in so many has options that exclude each other.
const CONFLICTS: u32 = 40;

/// Options of a mount over `lowers` lower layers, whose attributes are in `user.` if `userxattr`.
pub fn choose(source: &mut Source, userxattr: bool, lowers: usize) -> Chosen {
    // Now and then they are not read.
    let userxattr = userxattr != source.one_in(10);
    let careless = source.one_in(CONFLICTS);
    let metacopy = if userxattr && !careless {
        source.pick(&["", "metacopy=off"])
    } else {
        source.pick(METACOPY)
    };
    let redirect = match metacopy {
        _ if careless => source.pick(REDIRECT),
        _ if userxattr => source.pick(&["", "", "redirect_dir=nofollow"]),
        "metacopy=on" => source.pick(&["", "redirect_dir=on"]),
        _ => source.pick(REDIRECT),
    };
    let sync = source.pick(SYNC);
    let mut options = vec![
        if userxattr { "userxattr" } else { "" },
        metacopy,
        redirect,
        source.pick(INDEX),
        source.pick(XINO),
        source.pick(UUID),
        source.pick(CREDENTIALS),
        sync,
        source.pick(ATTRIBUTES),
    ];
    if source.one_in(10) {
        options.push("default_permissions");
    }
    let access = match source.rng.u8(0..30) {
        0 => source.pick(&["ro", "attr:ro"]),
        1 if lowers > 1 => "noupper",
        _ => "",
    };
    options.push(access);
    options.retain(|option| !option.is_empty());
    Chosen {
        text: options.join(" "),
        writable: access.is_empty(),
        redirects: redirect == "redirect_dir=on" || metacopy == "metacopy=on",
        volatile: sync.ends_with("volatile") && access != "noupper",
    }
}
