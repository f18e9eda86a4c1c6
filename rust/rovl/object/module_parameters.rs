// SPDX-License-Identifier: GPL-2.0

//! The current values of the module parameters, which `parameters.c` declares.

vfs::module_parameters! {
    /// `redirect_dir`
    redirect_dir: bool;
    /// `redirect_always_follow`
    redirect_always_follow: bool;
    /// `redirect_max`, a number of bytes.
    redirect_max: u16;
    /// `xino_auto`
    xino_auto: bool;
    /// `index`
    index: bool;
    /// `nfs_export`
    nfs_export: bool;
    /// `metacopy`
    metacopy: bool;
    /// `quiet_mount_log`
    #[cfg(rovl_dropin)]
    quiet_mount_log: bool;
}
