// SPDX-License-Identifier: GPL-2.0

//! Why an operation fails, where one errno has several reasons.
//!
//! Users get the errno; messages in the kernel's log name the reason behind it. See [`vfs::errno`].

use kernel::prelude::*;
use vfs::errno::{
    Class,
    WithReason, //
};

macro_rules! reasons {
    ($($class:ident { $($(#[doc = $doc:literal])+ $name:ident,)* })*) => {
        $($(
            $(#[doc = $doc])+
            pub(crate) const $name: Error = Class::$class.reason(Index::$name as u8);
        )*)*

        /// The place of each reason in [`NAMES`].
        #[allow(
            clippy::upper_case_acronyms,
            non_camel_case_types,
            reason = "named as the reasons are"
        )]
        enum Index {
            $($($name,)*)*
        }

        /// The names of all reasons, each with a space behind it.
        const NAMES: &[u8] = concat!($($(stringify!($name), " ",)*)*).as_bytes();

        #[cfg(rovl_kunit)]
        const ALL: &[(Error, Error, &str)] = &[
            $($(($name, Class::$class.errno(), stringify!($name)),)*)*
        ];
    };
}

reasons! {
    Einval {
        /// The text of an option has a NUL in it.
        NUL_IN_TEXT,
        /// A flag of rename(2) that is neither `RENAME_NOREPLACE` nor `RENAME_EXCHANGE`.
        RENAME_FLAGS,
        /// A flag of `->remap_file_range` that is not known.
        REMAP_FLAGS,
        /// A flag of a request of ioctl(2) that is not known.
        QUERY_FLAGS,
        /// A change of the layers is asked for on what is not the root.
        NOT_THE_ROOT,
        /// The name of a checkpoint or a layer has control characters, or is too long.
        CHECKPOINT_NAME,
        /// Only a checkpoint can be gone back to.
        NO_CHECKPOINT,
        /// The upper layer and the last lower one cannot be taken away.
        MUST_STAY,
        /// What cannot be a lower layer of this mount.
        NO_LOWER_DIRECTORY,
        /// What cannot be an upper or a work directory of this mount.
        NO_UPPER_DIRECTORY,
        /// An upper and a work directory that are not on one mount, or of which one is in the other.
        NO_PAIR,
        /// lseek(2) in a merged directory to what is no position.
        DIR_POSITION,
        /// A directory that was made in the upper layer does not fold case as its layer does.
        MADE_OTHER_CASEFOLD,
        /// The attribute `nlink` leads to a number of links that cannot be.
        LINK_COUNT,
        /// An attribute, a handle or a name of a layer is not in its format.
        FORMAT,
    }
    Eio {
        /// An inode has no layers.
        NO_LAYERS,
        /// A layer has a number that none has.
        NO_SUCH_LAYER,
        /// A dentry of a layer has lost its inode.
        NEGATIVE_IN_LAYER,
        /// What has to be in the upper layer by now is not.
        NOT_IN_UPPER,
        /// The data of a file was not looked for, or is in no layer.
        NO_DATA,
        /// A file says that its data is below, and nothing is.
        METACOPY_WITHOUT_DATA,
        /// The place where data is said to be is no path.
        DATA_PLACE,
        /// There is no index directory.
        NO_INDEX,
        /// An entry of the index is not of the type of its origin.
        INDEX_OF_ANOTHER_TYPE,
        /// An entry of the index is of no type that an overlay has.
        WEIRD_INDEX,
        /// The attribute `upper` of an entry of the index leads to what is no directory.
        INDEX_UPPER,
        /// A lower directory has an upper one that the lookup did not come by.
        UNCOVERED_REDIRECT,
        /// Two upper directories lead to one lower directory.
        REDIRECTED_TWICE,
        /// What is to be indexed has no file handle.
        NO_HANDLE,
        /// A file handle is longer than one can be.
        HANDLE_LENGTH,
        /// A directory has no parent from which its file handle could lead to it.
        NOT_CONNECTABLE,
        /// The overlay object to which a file handle leads is made of something else.
        NOT_PART_OF_FOUND,
        /// What was made in the upper layer is not found there.
        MADE_SOMETHING_ELSE,
        /// The upper layer cannot store that a directory is opaque.
        CANNOT_STORE_OPAQUE,
        /// What was being made in the work directory is gone.
        TEMP_GONE,
        /// A directory that was found by its handle has no place in which to copy it up.
        DISCONNECTED_DIR,
        /// A copy has no directory to be put in.
        NO_PARENT,
        /// The place of a copy cannot be locked.
        PLACE_OF_COPY,
        /// The target of a symbolic link to be copied was not read.
        NO_TARGET,
        /// The list of a layer's extended attributes does not end with a NUL.
        XATTR_LIST,
        /// A file without data has to say which digest that has, and does not.
        NO_DIGEST,
        /// Data is not as its digest says.
        WRONG_DIGEST,
        /// Data has to have a digest of fs-verity, and has none.
        NO_VERITY,
        /// What fs-verity knows of data cannot be read.
        VERITY_UNREADABLE,
        /// The upper file of an open one could not be opened.
        NO_UPPER_FILE,
        /// The upper file of an open one was replaced behind the back of the mount.
        UPPER_FILE_CHANGED,
        /// An attribute of a layer says what cannot be.
        DAMAGED,
    }
    Estale {
        /// A dentry of the overlay has no inode.
        NEGATIVE,
        /// A dentry of a layer lost its inode while it was looked at.
        NEGATIVE_MEANWHILE,
        /// What was looked up in the upper layer is not in it any more.
        NOT_IN_UPPER_ANY_MORE,
        /// The upper layer has something else under a name than the overlay knows.
        UPPER_CHANGED,
        /// What shows was removed from its lower layer.
        LOWER_REMOVED,
        /// A file that has no name any more cannot be copied up without one.
        NO_NAME,
        /// The inode cache has one that is made of something else.
        INODE_OF_OTHERS,
        /// A directory in which a name is looked up does not fold case as the overlay does.
        PARENT_CASEFOLD,
        /// The caller may not decode file handles.
        MAY_NOT_DECODE,
        /// A file handle leads to nothing.
        HANDLE_OF_NOTHING,
        /// An attribute holds another file handle than it has to.
        VERIFY_OTHER,
        /// An origin is not of the type of its copy.
        ORIGIN_OF_ANOTHER_TYPE,
        /// The index has a whiteout: the object was removed.
        REMOVED_BY_INDEX,
        /// Where the data of a file is depends on the name that its handle does not have.
        DATA_BY_NAME,
        /// The object, or a directory that leads to it, is in a layer that has left the mount, or is hidden by one
        /// that has come.
        GONE,
        /// Another layer has the place than the one that is meant.
        ANOTHER_LAYER,
        /// A directory was moved while the way to it was looked for.
        MOVED_MEANWHILE,
        /// The mount has no root yet, or none any more.
        NO_ROOT,
    }
    Eperm {
        /// Layers are changed by somebody without CAP_SYS_ADMIN in the user namespace of the mount.
        NOT_ADMIN,
        /// Who asks for a file handle in a layer may not open by it.
        MAY_NOT_HAVE_HANDLES,
        /// A device that is to be made would be a whiteout.
        WOULD_BE_WHITEOUT,
        /// Files to be deduplicated are not both in the upper layer.
        DEDUPE_LOWER,
        /// The upper file can only be appended to.
        APPEND_ONLY,
        /// An access control list is changed by somebody who does not own the object.
        NOT_OWNER_OF_ACL,
        /// The options forbid to look elsewhere for the rest of an object.
        MAY_NOT_FOLLOW,
        /// The upper layer cannot store the attribute `protattr`.
        NO_PROTATTR,
        /// Something is of a type that cannot be copied up.
        TYPE_OF_COPY,
    }
    Eremote {
        /// An object of the upper layer is an overlay's.
        REAL_UPPER,
        /// A lower directory does not fold case as the overlay does.
        CHILD_CASEFOLD,
        /// An object of a layer is of no type that an overlay has.
        WEIRD_OBJECT,
    }
    Eloop {
        /// A new layer is in another one, or that in it.
        LAYERS_OVERLAP,
        /// A lookup arrives at the root of another layer.
        OVERLAPPING_LAYERS,
    }
    Exdev {
        /// A new upper layer is on another file system, or shows other owners.
        OTHER_FILE_SYSTEM,
        /// A directory of a lower layer is not renamed without `redirect_dir=on`.
        NO_REDIRECTS,
        /// The upper layer cannot store a redirect.
        CANNOT_STORE_REDIRECT,
        /// A redirect would be too long.
        REDIRECT_LENGTH,
        /// The upper layer cannot store that a directory that is renamed is opaque.
        CANNOT_BE_OPAQUE,
        /// What a file handle leads to is outside of its layer.
        OUTSIDE_OF_LAYER,
    }
}

/// The name of the reason behind `err`; none where it has none.
#[cold]
pub(crate) fn name(err: Error) -> &'static [u8] {
    let mut names = NAMES.split(|&byte| byte == b' ');
    let name = err.reason().and_then(|index| names.nth(usize::from(index)));
    name.unwrap_or_default()
}

#[cfg(rovl_kunit)]
#[kernel::macros::kunit_tests(rovl_reason)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_errno_and_its_name() {
        for &(err, errno, expected) in ALL {
            assert!(err.is(errno));
            assert!(err != errno);
            assert_eq!(name(err), expected.as_bytes());
        }
        assert!(name(EIO).is_empty());
    }
}
