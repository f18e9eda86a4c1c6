// SPDX-License-Identifier: GPL-2.0

//! Names of the extended attributes in which overlay state is kept.

use core::ffi::CStr;

/// Where overlay xattrs live; the mount option `userxattr` chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `trusted.overlay.`: the default; needs `CAP_SYS_ADMIN` in the initial user namespace.
    Trusted,
    /// `user.overlay.`: for mounts made in a user namespace.
    User,
}

impl Namespace {
    /// Returns the namespace for the value of the `userxattr` option.
    pub const fn from_userxattr(userxattr: bool) -> Self {
        if userxattr {
            Self::User
        } else {
            Self::Trusted
        }
    }

    /// Returns the prefix of all overlay xattrs, with its final dot.
    pub const fn prefix(self) -> &'static CStr {
        match self {
            Self::Trusted => c"trusted.overlay.",
            Self::User => c"user.overlay.",
        }
    }

    /// Returns the prefix of escaped names (see [`escape`](crate::escape)), with its final dot.
    pub const fn escape_prefix(self) -> &'static CStr {
        match self {
            Self::Trusted => c"trusted.overlay.overlay.",
            Self::User => c"user.overlay.overlay.",
        }
    }
}

/// The overlay xattrs, by the part of their name after the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `opaque`: a directory that hides what is below, or holds xattr whiteouts
    /// (see [`marker::Opaque`](crate::marker::Opaque)).
    Opaque,
    /// `redirect`: where the lower part of a renamed object is
    /// (see [`redirect`](crate::redirect)).
    Redirect,
    /// `origin`: the file handle of the lower inode that was copied up, or empty when unknown
    /// (see [`file_handle`](crate::file_handle)).
    Origin,
    /// `impure`: an upper directory that may hold entries with an origin
    /// (see [`marker::is_impure`](crate::marker::is_impure)).
    Impure,
    /// `nlink`: the link count of the union (see [`nlink`](crate::nlink)).
    Nlink,
    /// `upper`: the file handle of an upper directory, on its index entry.
    Upper,
    /// `uuid`: the identity of the overlay, on the upper root (see [`uuid`](crate::uuid)).
    Uuid,
    /// `metacopy`: a file of which only the metadata was copied up
    /// (see [`metacopy`](crate::metacopy)).
    Metacopy,
    /// `protattr`: the append-only and immutable flags (see [`protattr`](crate::protattr)).
    Protattr,
    /// `whiteout`: an empty regular file that stands for a deleted one
    /// (see [`whiteout`](crate::whiteout)).
    Whiteout,
}

/// Gives [`Name`] its table: each suffix is written once, the full names follow.
macro_rules! names {
    ($($name:ident = $suffix:literal,)+) => {
        impl Name {
            /// All names.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the part of the name after the prefix.
            pub const fn suffix(self) -> &'static str {
                match self {
                    $(Self::$name => $suffix,)+
                }
            }

            /// Returns the whole name, as the xattr calls take it.
            pub const fn full(self, namespace: Namespace) -> &'static CStr {
                match (self, namespace) {
                    $(
                        (Self::$name, Namespace::Trusted) => {
                            const NAME: &CStr =
                                literal(concat!("trusted.overlay.", $suffix, "\0").as_bytes());
                            NAME
                        }
                        (Self::$name, Namespace::User) => {
                            const NAME: &CStr =
                                literal(concat!("user.overlay.", $suffix, "\0").as_bytes());
                            NAME
                        }
                    )+
                }
            }
        }
    };
}

names! {
    Opaque = "opaque",
    Redirect = "redirect",
    Origin = "origin",
    Impure = "impure",
    Nlink = "nlink",
    Upper = "upper",
    Uuid = "uuid",
    Metacopy = "metacopy",
    Protattr = "protattr",
    Whiteout = "whiteout",
}

/// Makes a C string of a literal while compiling, where a failure is a compile error.
const fn literal(bytes: &'static [u8]) -> &'static CStr {
    match CStr::from_bytes_with_nul(bytes) {
        Ok(name) => name,
        Err(_) => panic!("an xattr name has a NUL inside"),
    }
}

impl Name {
    /// Returns which overlay xattr `name` (without NUL) is, if it is one.
    #[inline]
    pub fn from_full(namespace: Namespace, name: &[u8]) -> Option<Self> {
        let suffix = name.strip_prefix(namespace.prefix().to_bytes())?;
        Self::ALL
            .iter()
            .copied()
            .find(|n| n.suffix().as_bytes() == suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names() {
        assert_eq!(
            Name::Opaque.full(Namespace::Trusted),
            c"trusted.overlay.opaque"
        );
        assert_eq!(
            Name::Whiteout.full(Namespace::User),
            c"user.overlay.whiteout"
        );
        for namespace in [Namespace::Trusted, Namespace::User] {
            for &name in Name::ALL {
                let full = name.full(namespace).to_bytes();
                assert_eq!(Name::from_full(namespace, full), Some(name));
            }
        }
    }

    #[test]
    fn foreign_names() {
        let none = |name: &[u8]| Name::from_full(Namespace::Trusted, name).is_none();
        assert!(none(b"user.overlay.opaque"));
        assert!(none(b"trusted.overlay."));
        assert!(none(b"trusted.overlay.opaque2"));
        assert!(none(b"trusted.overlay.overlay.opaque"));
    }

    #[test]
    fn mount_option() {
        assert_eq!(Namespace::from_userxattr(false), Namespace::Trusted);
        assert_eq!(Namespace::from_userxattr(true), Namespace::User);
    }
}
