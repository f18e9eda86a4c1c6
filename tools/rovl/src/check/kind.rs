// SPDX-License-Identifier: GPL-2.0

//! The table of all that can be found.

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Of no use, or gone with the next mount: it does not make a layer unsound.
    Note,
    /// Something is shown wrongly, is hidden, gives an error or keeps the layers from being mounted.
    Error,
}

/// When something may be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ease {
    /// Without asking: nothing is lost by it.
    Safe,
    /// If it was asked for: what is shown may change, or there is more than one way.
    Asked,
    /// Not by this program.
    Never,
}

/// Gives [`Kind`] its table.
macro_rules! kinds {
    ($($(#[doc = $text:literal])+ $kind:ident = $slug:literal, $severity:ident, $ease:ident;)+) => {
        /// What can be found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[doc = $text])+ $kind,)+
        }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Its name, in messages and in JSON.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$kind => $slug,)+
                }
            }

            /// What it is, in a sentence or two.
            pub fn text(self) -> &'static str {
                let text = match self {
                    $(Self::$kind => concat!($($text),+),)+
                };
                text.trim_start()
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$kind => Severity::$severity,)+
                }
            }

            /// When it may be repaired.
            pub const fn ease(self) -> Ease {
                match self {
                    $(Self::$kind => Ease::$ease,)+
                }
            }
        }
    };
}

kinds! {
    /// A whiteout that hides nothing, because no layer below has its name.
    OrphanWhiteout = "orphan-whiteout", Error, Safe;
    /// A whiteout in the form of a file that listings show, although it cannot be looked up.
    ShownWhiteout = "shown-whiteout", Error, Safe;
    /// A directory whose mark of being opaque has an unknown value.
    InvalidOpaque = "invalid-opaque", Error, Safe;
    /// A redirect that is no name and no path: what has it cannot be looked up.
    InvalidRedirect = "invalid-redirect", Error, Safe;
    /// A directory whose redirect leads to no directory below.
    RedirectNowhere = "redirect-nowhere", Error, Safe;
    /// A directory whose redirect leads to a directory that another one shows, too.
    DuplicateRedirect = "duplicate-redirect", Error, Asked;
    /// A directory that was renamed, and shows under its old name as well.
    MissingWhiteout = "missing-whiteout", Error, Safe;
    /// A directory whose mark of being impure has an unknown value.
    InvalidImpure = "invalid-impure", Error, Safe;
    /// A directory with entries that were copied up, without the mark that says so: their inode numbers change.
    MissingImpure = "missing-impure", Error, Safe;
    /// A directory with entries that merge, without that mark, because no mount has seen them yet: the next one sets it.
    UnmarkedMerge = "unmarked-merge", Note, Safe;
    /// A directory with the mark of having entries that were copied up, without one.
    NeedlessImpure = "needless-impure", Note, Asked;
    /// An origin that is no file handle of an overlay, or claims to be in the upper layer.
    DamagedOrigin = "damaged-origin", Error, Safe;
    /// An origin that was written by a later version or by a machine of another kind.
    ForeignOrigin = "foreign-origin", Note, Never;
    /// An origin that is in no lower layer: these were copied or replaced.
    OriginNotFound = "origin-not-found", Note, Asked;
    /// An origin that is an object of another type.
    OriginType = "origin-type", Error, Safe;
    /// A directory whose origin is not the one that it merges with.
    OtherOrigin = "other-origin", Note, Asked;
    /// An upper layer that is bound to another topmost lower layer: with index=on it cannot be mounted.
    RootOrigin = "root-origin", Error, Asked;
    /// A number of links that cannot be read.
    DamagedNlink = "damaged-nlink", Error, Safe;
    /// A number of links that is not positive: a mount would take the file for removed.
    NlinkImpossible = "nlink-impossible", Error, Safe;
    /// A number of links that is not that of the names that are shown.
    NlinkWrong = "nlink-wrong", Note, Asked;
    /// Protecting attributes that cannot be read.
    DamagedProtattr = "damaged-protattr", Error, Safe;
    /// An identity of a wrong length: the overlay is mounted without.
    DamagedUuid = "damaged-uuid", Error, Safe;
    /// A file without data whose attribute has a length that cannot be: it cannot be looked up.
    MetacopyLength = "metacopy-length", Error, Asked;
    /// A file without data whose attribute cannot be read: it cannot be opened with verity=on.
    MetacopyFormat = "metacopy-format", Error, Asked;
    /// A file without data, and no layer has the data.
    MetacopyNoData = "metacopy-no-data", Error, Never;
    /// A file without data whose size is not that of the data.
    MetacopySize = "metacopy-size", Error, Asked;
    /// A file without data, and the data has another digest than it says.
    DigestMismatch = "digest-mismatch", Error, Never;
    /// A file without data that says a digest, and the data is not protected by fs-verity: it cannot be opened with verity=on.
    DigestUnprotected = "digest-unprotected", Note, Never;
    /// An object in the making, left in the index. The next mount removes it.
    IndexLeftover = "index-leftover", Note, Asked;
    /// An entry of the index whose name is no file handle: it cannot be mounted with index=on.
    IndexName = "index-name", Error, Asked;
    /// An entry of the index without an origin that can be read: it cannot be mounted with index=on.
    IndexNoOrigin = "index-no-origin", Error, Safe;
    /// An entry of the index with another origin than its name says.
    IndexOtherOrigin = "index-other-origin", Error, Asked;
    /// An entry of the index whose origin is of another type, or gone, with all other names.
    IndexStale = "index-stale", Error, Safe;
    /// An entry of the index of a file that has no name any more. Some mount removes it.
    IndexOrphan = "index-orphan", Note, Asked;
    /// A directory of the index that does not say which upper directory it is for, or whose origin is no directory.
    IndexDirStale = "index-dir-stale", Error, Safe;
    /// A directory of the index whose upper directory was removed.
    IndexDirOrphan = "index-dir-orphan", Error, Safe;
    /// A directory of the index that is for something that is no directory: it cannot be mounted with index=on.
    IndexDirType = "index-dir-type", Error, Asked;
    /// A directory of the index whose upper directory does not merge with its origin: with nfs_export=on that cannot be looked up.
    IndexDirUnmerged = "index-dir-unmerged", Error, Asked;
    /// A whiteout of the index for something that is shown: it cannot be looked up.
    IndexWhiteout = "index-whiteout", Error, Safe;
    /// An index that is bound to another upper layer: with index=on it cannot be mounted.
    IndexUpper = "index-upper", Error, Asked;
    /// What is left in the work directory. The next mount removes it.
    WorkLeftover = "work-leftover", Note, Asked;
    /// The mark of a volatile mount that was not ended well: data may be lost, and it cannot be mounted.
    VolatileMark = "volatile-mark", Error, Asked;
    /// The mark of a feature that is not known here: it cannot be mounted.
    IncompatMark = "incompat-mark", Error, Never;
}

#[cfg(test)]
mod tests {
    use super::{Ease, Kind};
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let slugs: HashSet<_> = Kind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), Kind::ALL.len());
        assert!(Kind::ALL.len() >= 30);
        assert!(Kind::ALL.iter().all(|kind| !kind.text().is_empty()));
        assert!(Kind::ALL.iter().any(|kind| kind.ease() == Ease::Never));
    }
}
