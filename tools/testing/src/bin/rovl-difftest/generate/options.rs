// SPDX-License-Identifier: GPL-2.0
//! The options of a mount, chosen at random, each feature for itself.

use super::source::Source;
use super::Plan;
use crate::intended;

/// Options, and what they mean for the steps that follow.
pub struct Chosen {
    /// As a script has them, with blanks in between.
    pub text: String,
    /// Whether something can be written through the mount.
    pub writable: bool,
    /// Whether directories of lower layers can be renamed.
    pub redirects: bool,
    /// Whether objects can be opened by handles.
    pub export: bool,
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
const EXPORT: &[&str] = &[
    "",
    "nfs_export=off",
    "nfs_export=on",
    "nfs_export=on",
    "nfs_export=on",
    "nfs_export=on",
];
const VERITY: &[&str] = &["", "verity=off", "verity=on", "verity=on", "verity=require"];
const XINO: &[&str] = &["", "", "xino=off", "xino=auto", "xino=on"];
/// The same where inode numbers are compared only with it.
const MAPPED: &[&str] = &["", "xino=off", "xino=auto", "xino=on", "xino=on", "xino=on"];
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
/// What only rovl has.
const SYNCFS: &[&str] = &["", "", "", "", "rovl:syncfs=own", "rovl:syncfs=upper"];
const ATTRIBUTES: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "attr:noatime",
    "attr:nosuid attr:nodev",
    "attr:noexec",
    "attr:strictatime",
];

/// How the layers are given, and with which ids they and the mount are seen.
const GIVEN: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "descriptors",
    "detached",
    "mapped-lower",
    "mapped-upper",
    "mapped",
];

/// One mount in so many has options that exclude each other.
const CONFLICTS: u32 = 40;

/// Options of a mount.
pub fn choose(source: &mut Source, plan: &Plan) -> Chosen {
    let other = intended::reads_other_attributes(plan.export) && source.one_in(10);
    let userxattr = plan.userxattr != other;
    let careless = source.one_in(CONFLICTS);
    let metacopy = metacopy(source, plan, userxattr, careless);
    let redirect = match metacopy {
        _ if careless => source.pick(REDIRECT),
        _ if userxattr => source.pick(&["", "", "redirect_dir=nofollow"]),
        "metacopy=on" => source.pick(&["", "redirect_dir=on"]),
        _ => source.pick(REDIRECT),
    };
    let export = match metacopy {
        _ if !plan.export => source.pick(&["", "", "nfs_export=off"]),
        "metacopy=on" if !careless => source.pick(&["", "nfs_export=off"]),
        _ => source.pick(EXPORT),
    };
    let index = match export {
        "nfs_export=on" if !careless => source.pick(&["", "index=on"]),
        _ if userxattr && !plan.plain && plan.defaults.index => "index=off",
        _ if userxattr && !plan.plain => source.pick(&["", "index=off"]),
        _ => source.pick(INDEX),
    };
    let sync = source.pick(SYNC);
    let mut options = vec![
        if userxattr { "userxattr" } else { "" },
        metacopy,
        redirect,
        index,
        export,
        if plan.verity { source.pick(VERITY) } else { "" },
        source.pick(if plan.several { MAPPED } else { XINO }),
        source.pick(UUID),
        source.pick(CREDENTIALS),
        sync,
        source.pick(SYNCFS),
        source.pick(ATTRIBUTES),
    ];
    if source.one_in(10) {
        options.push("default_permissions");
    }
    // The text of an option may not be longer.
    if plan.lowers < 6 && source.one_in(8) {
        options.push("list");
    } else {
        let given = source.pick(GIVEN);
        let refused = given == "mapped-upper" && !intended::maps_upper(plan.export);
        options.push(if refused { "mapped-lower" } else { given });
    }
    let access = match source.rng.u8(0..30) {
        0 => source.pick(&["ro", "attr:ro"]),
        1 if plan.lowers > 1 => "noupper",
        _ => "",
    };
    options.push(access);
    options.retain(|option| !option.is_empty());
    let defaults = &plan.defaults;
    Chosen {
        text: options.join(" "),
        writable: access.is_empty(),
        redirects: match redirect {
            "" if userxattr => false,
            "" => defaults.redirects || is_on(metacopy, defaults.metacopy),
            redirect => redirect == "redirect_dir=on",
        },
        export: match export {
            "" => defaults.export && index != "index=off" && metacopy != "metacopy=on",
            export => export == "nfs_export=on",
        },
        volatile: sync.ends_with("volatile") && access != "noupper",
    }
}

/// Options of the overlay that is a lower layer, which nothing is written through. An index with odd
/// content in it would be cleaned in the order of inode numbers, see [`intended::ends`], and an
/// identifier made at random would be in its handles.
pub fn nested(source: &mut Source, plan: &Plan) -> Vec<String> {
    let userxattr = plan.userxattr != source.one_in(12);
    let upper = source.one_in(2);
    let metacopy = if userxattr { "" } else { source.pick(METACOPY) };
    let mut options = vec![
        if upper { "upper" } else { "" },
        if userxattr { "userxattr" } else { "" },
        metacopy,
        match metacopy {
            _ if userxattr => source.pick(&["", "redirect_dir=nofollow"]),
            "metacopy=on" => source.pick(&["", "redirect_dir=on"]),
            _ => source.pick(REDIRECT),
        },
        if plan.verity { source.pick(VERITY) } else { "" },
        source.pick(MAPPED),
        if upper {
            source.pick(&["uuid=off", "uuid=null"])
        } else {
            ""
        },
    ];
    options.extend(
        match plan.export && !plan.hostile && metacopy != "metacopy=on" {
            true => [source.pick(INDEX), source.pick(&["", "nfs_export=on"])],
            false => ["index=off", "nfs_export=off"],
        },
    );
    let given = options.into_iter().filter(|option| !option.is_empty());
    given.map(str::to_owned).collect()
}

/// Whether a feature is on, with the option `text` for it or without one.
fn is_on(text: &str, default: bool) -> bool {
    text.ends_with("=on") || (text.is_empty() && default)
}

/// That of `metacopy`: what the script is about needs it, or excludes it.
fn metacopy(source: &mut Source, plan: &Plan, userxattr: bool, careless: bool) -> &'static str {
    if (userxattr && !careless) || (plan.export && !source.one_in(6)) {
        source.pick(&["", "metacopy=off"])
    } else if (plan.data || plan.verity) && !source.one_in(6) {
        "metacopy=on"
    } else {
        source.pick(METACOPY)
    }
}
