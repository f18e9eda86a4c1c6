// SPDX-License-Identifier: GPL-2.0
/*
 * What a module declares with C macros: its parameters, alias and version.
 * Names, types and permissions of the parameters are those of fs/overlayfs in
 * 7.3, because tools probe them under /sys/module.
 */
#include <linux/module.h>
#include "helpers.h"

rvfs_module_parameter(bool, redirect_dir, false,
		      "Default to on or off for the redirect_dir feature");
rvfs_module_parameter(bool, redirect_always_follow, true,
		      "Follow redirects even if redirect_dir feature is turned off");
rvfs_module_parameter(ushort, redirect_max, 256,
		      "Maximum length of absolute redirect xattr value");
rvfs_module_parameter(bool, xino_auto, false, "Auto enable xino feature");
rvfs_module_parameter(bool, index, false,
		      "Default to on or off for the inodes index feature");
rvfs_module_parameter(bool, nfs_export, false,
		      "Default to on or off for the NFS export feature");
rvfs_module_parameter(bool, metacopy, false,
		      "Default to on or off for the metadata only copy up feature");
#ifdef ROVL_DROPIN
/* What fs/overlayfs does not have. */
rvfs_module_parameter(bool, quiet_mount_log, false,
		      "Leave out of a mount's own log what is in the kernel's log");
#endif

static int rovl_check_copy_up_set(const char *buf,
				  const struct kernel_param *param)
{
	pr_warn("%s: \"check_copy_up\" module option is obsolete\n",
		KBUILD_MODNAME);
	return 0;
}

static int rovl_check_copy_up_get(char *buf, const struct kernel_param *param)
{
	return sysfs_emit(buf, "N\n");
}

module_param_call(check_copy_up, rovl_check_copy_up_set, rovl_check_copy_up_get,
		  NULL, 0644);
MODULE_PARM_DESC(check_copy_up, "Obsolete; does nothing");

MODULE_ALIAS_FS(KBUILD_MODNAME);

/* Tells the drop-in from the in-tree module, which has no version. */
MODULE_VERSION("rovl");
