// SPDX-License-Identifier: GPL-2.0

//! The identity of an overlay.

use crate::object::config::{
    Config,
    UuidMode, //
};
use kernel::prelude::*;
use ondisk::{
    uuid::{
        self,
        Uuid, //
    },
    xattr::Name, //
};
use stacking::{
    cred::AsMounter,
    mount::UpperMount,
    path::LayerPath, //
};
use vfs::{
    errno::WithReason,
    fs_context::FsContext,
    super_block, //
};

/// Reads the UUID of the overlay from the upper root, or makes one where the options ask for it.
///
/// Where it can be neither read nor stored, the overlay has none.
pub(crate) fn load_or_make(
    fc: &FsContext,
    config: &mut Config,
    m: &AsMounter,
    mount: UpperMount<'_>,
) -> Result<Option<Uuid>> {
    let upper = LayerPath::new(mount.mount(), mount.mount().root())?;
    let result = match load(config, m, upper) {
        Ok(Some(uuid)) => return Ok(Some(uuid)),
        Ok(None) if config.uuid == UuidMode::Auto => is_new(config, m, upper),
        Ok(None) => Ok(true),
        Err(err) => Err(err),
    };
    let (doing, err) = match result {
        Ok(true) => match make(config, m, mount) {
            Ok(uuid) => return Ok(Some(uuid)),
            Err(err) => ("set", err),
        },
        // One that was mounted before without stays without.
        Ok(false) => {
            config.uuid = UuidMode::Null;
            return Ok(None);
        }
        Err(err) => ("get", err),
    };
    config.uuid = UuidMode::Null;
    fc.warn(fmt!(
        "upperdir: failed to {doing} uuid (errno: {}); falling back to uuid=null",
        err.class().to_errno().saturating_neg()
    ));
    Ok(None)
}

/// Reads the attribute, if there is one.
fn load(config: &Config, m: &AsMounter, upper: LayerPath<'_>) -> Result<Option<Uuid>> {
    let mut value = [0; uuid::LEN];
    let name = Name::Uuid.full(config.namespace());
    match upper.getxattr(m, name, &mut value) {
        Ok(len) => {
            let value = value.get(..len).unwrap_or_default();
            uuid::parse(value).map(Some).ok_or(EINVAL)
        }
        Err(err) if err == ENODATA => Ok(None),
        Err(err) => Err(err),
    }
}

/// Whether this is the first mount of an overlay: a copy up or a lookup would have marked its root.
fn is_new(config: &mut Config, m: &AsMounter, upper: LayerPath<'_>) -> Result<bool> {
    let name = Name::Impure.full(config.namespace());
    match upper.getxattr(m, name, &mut []) {
        Ok(len) => Ok(len == 0),
        Err(err) if err == ENODATA => {
            config.uuid = UuidMode::On;
            Ok(true)
        }
        Err(err) => Err(err),
    }
}

/// Makes a UUID and stores it.
fn make(config: &Config, m: &AsMounter, upper: UpperMount<'_>) -> Result<Uuid> {
    let uuid = super_block::new_uuid();
    let name = Name::Uuid.full(config.namespace());
    let write = upper.want_write()?;
    write.setxattr(m, upper.mount().root(), name, &uuid)?;
    Ok(uuid)
}
