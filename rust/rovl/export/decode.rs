// SPDX-License-Identifier: GPL-2.0

//! Finding the object of a file handle.
//!
//! The handle names an object of a layer, which may have been copied up, renamed or removed since.
//! The index entry of a lower object tells which upper one has taken its place, or that it was
//! removed. Files become disconnected dentries; directories are looked up, see [`crate::export::connect`].

use crate::{
    export::connect::Connector,
    identity::{
        handle,
        index,
        origin, //
    },
    object::{
        fault,
        inode::{
            self,
            Parts, //
        },
        layer_xattr::SHORT_REDIRECT,
        log,
        reason,
        super_data::Super, //
    },
    observe::{
        stats::Counter,
        trace, //
    },
    Rovl, //
};
use kernel::prelude::*;
use ondisk::{
    file_handle::FileHandle,
    metacopy,
    redirect::Redirect, //
};
use stacking::{
    cred::AsMounter,
    exportfs::{
        Accept,
        MayDecode, //
    },
    path::LayerPath,
    prelude::*,
    stack::{
        LowerEntry,
        LowerStack, //
    },
};
use vfs::{
    dentry::Dentry,
    errno::WithReason,
    export::{
        Found,
        Handle, //
    },
    super_block::SuperBlock,
    Foreign,
    Ref, //
};

/// `->fh_to_dentry`
pub(super) fn decode<'a>(sb: &'a SuperBlock<Rovl>, handle: Handle<'_>) -> Found<'a, Rovl> {
    // The mounter can; that must not help a caller who cannot.
    let Some(may_decode) = MayDecode::by_caller() else {
        return Err(reason::MAY_NOT_DECODE);
    };
    let ofs = sb.data();
    let found = FileHandle::parse_wire(handle.kind, handle.bytes)
        .map_err(fault::to_error)
        .and_then(|handle| {
            ofs.as_mounter(|m| {
                let decoder = Decoder {
                    m,
                    may_decode,
                    sb,
                    ofs,
                };
                if handle.is_upper() {
                    decoder.upper(handle)
                } else {
                    decoder.lower(handle)
                }
            })
        });
    found.inspect_err(|err| {
        if err.is(ESTALE) {
            ofs.stats.count(Counter::StaleHandles);
            let reason = reason::name(*err);
            trace::stale_handle(sb.dev(), handle.kind, handle.bytes.len(), reason);
        }
        if let Some(root) = sb.root().filter(|_| !err.is(ESTALE)) {
            log::warn_dentry(c"failed to decode file handle", root, *err);
        }
    })
}

struct Decoder<'a, 'sb> {
    m: &'a AsMounter,
    may_decode: MayDecode,
    sb: &'sb SuperBlock<Rovl>,
    ofs: &'sb Super,
}

impl<'sb> Decoder<'_, 'sb> {
    /// Finds the object of an upper one's handle.
    fn upper(&self, handle: FileHandle<'_>) -> Result<Ref<'sb, Dentry<Rovl>>> {
        let root = self.ofs.mounts.root(0).ok_or(EACCES)?;
        let upper = handle::decode(
            self.m,
            Some(self.may_decode),
            &self.ofs.config,
            root,
            (handle, Accept::InLayer),
        )?;
        self.of_upper(upper.ok_or(reason::HANDLE_OF_NOTHING)?)
    }

    /// The overlay dentry of an upper object.
    #[inline]
    fn of_upper(&self, upper: Ref<'_, Dentry<Foreign>>) -> Result<Ref<'sb, Dentry<Rovl>>> {
        if upper.is_dir() {
            return self.of_dir(&upper, 0);
        }
        self.alias(Some(upper), LowerStack::new(), false)
    }

    /// Finds the object of a lower one's handle.
    fn lower(&self, handle: FileHandle<'_>) -> Result<Ref<'sb, Dentry<Rovl>>> {
        let (origin, layer) = self.origin(handle, Accept::Any)?;
        if !origin.is_dir() || !origin.is_disconnected() {
            if let Some(inode) = inode::find(self.sb, &origin, false)? {
                if let Some(dentry) = inode.any_alias() {
                    return Ok(dentry);
                }
            }
        }
        let index = index::of_handle(self.m, self.ofs, handle)?;
        if let Some(index) = index.as_ref().filter(|index| index.is_dir()) {
            let upper = index::upper_of(self.m, self.ofs, index, Accept::InLayer)?;
            return self.of_upper(upper.ok_or(reason::HANDLE_OF_NOTHING)?);
        }
        if !origin.is_dir() {
            return self.of_file(origin, layer, index);
        }
        if index.is_some() {
            // Something else than a directory cannot have taken its place.
            return Err(reason::INDEX_OF_ANOTHER_TYPE);
        }
        // Which of the layers on one file system it lies in did not matter until now.
        let (origin, layer) = self.origin(handle, Accept::InLayer)?;
        self.of_dir(&origin, layer)
    }

    fn origin(
        &self,
        handle: FileHandle<'_>,
        accept: Accept,
    ) -> Result<(Ref<'sb, Dentry<Foreign>>, usize)> {
        origin::decode_in_any(self.m, Some(self.may_decode), self.ofs, handle, accept)?
            .ok_or(reason::HANDLE_OF_NOTHING)
    }

    /// The overlay dentry of a lower file, whose copy in the upper layer is `index`.
    fn of_file(
        &self,
        origin: Ref<'_, Dentry<Foreign>>,
        layer: usize,
        index: Option<Ref<'_, Dentry<Foreign>>>,
    ) -> Result<Ref<'sb, Dentry<Rovl>>> {
        if let Some(index) = &index {
            self.ofs.verify_origin(self.m, index, &origin)?;
        }
        let mut lower = LowerStack::new();
        lower.push(origin.clone(), layer)?;
        let has_digest = self.defer_data(&origin, layer, index.as_deref(), &mut lower)?;
        self.alias(index, lower, has_digest)
    }

    /// Leaves it for later to look into the data-only layers for the data of the file `origin`, if it is
    /// not in the file itself. Returns whether the file says which digest the data has to have.
    ///
    /// Returns `ESTALE` for any other file without data: where that is depends on the name.
    fn defer_data(
        &self,
        origin: &Dentry<Foreign>,
        layer: usize,
        index: Option<&Dentry<Foreign>>,
        lower: &mut LowerStack<'_>,
    ) -> Result<bool> {
        // Elsewhere a file without data has no handle: it takes `metacopy=on` to look its name up. So it
        // does in all merged layers but the lowest, below which there is nothing but data.
        if !self.ofs.has_data_layers() || !origin.is_reg() {
            return Ok(false);
        }
        if let Some(index) = index {
            let path = self.ofs.upper_path(index)?;
            return match self.ofs.metacopy_len(self.m, path)? {
                Some(_) => Err(reason::DATA_BY_NAME),
                None => Ok(false),
            };
        }
        let path = LayerPath::new(
            self.ofs.mounts.get(layer).ok_or(reason::NO_SUCH_LAYER)?,
            origin,
        )?;
        let Some(len) = self.ofs.metacopy_len(self.m, path)? else {
            return Ok(false);
        };
        let (mut short, mut long) = ([0; SHORT_REDIRECT], None);
        match self.ofs.redirect(self.m, path, &mut short, &mut long)? {
            Some(Redirect::Absolute(redirect)) => {
                let mut place = KVec::with_capacity(redirect.len(), GFP_KERNEL)?;
                place.extend_from_slice(redirect, GFP_KERNEL)?;
                lower.defer_data(place)?;
                Ok(len > metacopy::HEADER_LEN)
            }
            _ => Err(reason::DATA_BY_NAME),
        }
    }

    /// The overlay dentry of a directory that is `real` in layer `layer`.
    fn of_dir(&self, real: &Dentry<Foreign>, layer: usize) -> Result<Ref<'sb, Dentry<Rovl>>> {
        // Removed?
        if real.is_disconnected() || real.is_unhashed() {
            return Err(ENOENT);
        }
        let connector = Connector {
            m: self.m,
            sb: self.sb,
            ofs: self.ofs,
        };
        connector.find(real, layer)
    }

    /// A dentry, which may be disconnected, of what is no directory.
    fn alias(
        &self,
        upper: Option<Ref<'_, Dentry<Foreign>>>,
        lower: LowerStack<'_>,
        has_digest: bool,
    ) -> Result<Ref<'sb, Dentry<Rovl>>> {
        let mut parts = Parts {
            upper_has_data: upper.is_some(),
            // An upper object that was found by its lower one was found in the index.
            indexed: upper.is_some() && !lower.is_empty(),
            upper,
            lower,
            has_digest,
            ..Parts::new()
        };
        let inode = inode::get(self.m, self.sb, &mut parts)?;
        let dentry = Dentry::obtain_alias(inode)?;
        let layers = dentry.inode().map(|inode| (inode.upper(), inode.lower()));
        if let Some((upper, lower)) = layers {
            let lower = lower.iter_found().map(LowerEntry::dentry);
            Iterator::chain(upper.into_iter(), lower)
                .for_each(|layer| dentry.add_revalidation(layer));
        }
        Ok(dentry)
    }
}
