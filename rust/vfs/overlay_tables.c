// SPDX-License-Identifier: GPL-2.0
/*
 * What the overlay needs from C macros: its table of mount options and its
 * module parameters.  Names, types and permissions are those of fs/overlayfs in
 * 7.3, because tools probe them under /sys/module.
 */
#include <linux/module.h>
#include "helpers.h"

#define rvfs_bool_param(name, text)					\
	static bool rvfs_##name##_param;				\
	module_param_named(name, rvfs_##name##_param, bool, 0644);	\
	MODULE_PARM_DESC(name, text);					\
	bool rvfs_param_##name(void)					\
	{								\
		return READ_ONCE(rvfs_##name##_param);			\
	}

rvfs_bool_param(redirect_dir,
		"Default to on or off for the redirect_dir feature");
rvfs_bool_param(xino_auto, "Auto enable xino feature");
rvfs_bool_param(index, "Default to on or off for the inodes index feature");
rvfs_bool_param(nfs_export, "Default to on or off for the NFS export feature");
rvfs_bool_param(metacopy,
		"Default to on or off for the metadata only copy up feature");

static bool rvfs_redirect_always_follow_param = true;
module_param_named(redirect_always_follow, rvfs_redirect_always_follow_param,
		   bool, 0644);
MODULE_PARM_DESC(redirect_always_follow,
		 "Follow redirects even if redirect_dir feature is turned off");

bool rvfs_param_redirect_always_follow(void)
{
	return READ_ONCE(rvfs_redirect_always_follow_param);
}

static unsigned short rvfs_redirect_max_param = 256;
module_param_named(redirect_max, rvfs_redirect_max_param, ushort, 0644);
MODULE_PARM_DESC(redirect_max,
		 "Maximum length of absolute redirect xattr value");

unsigned short rvfs_param_redirect_max(void)
{
	return READ_ONCE(rvfs_redirect_max_param);
}

static int rvfs_check_copy_up_set(const char *buf,
				  const struct kernel_param *param)
{
	pr_warn("%s: \"check_copy_up\" module option is obsolete\n",
		KBUILD_MODNAME);
	return 0;
}

static int rvfs_check_copy_up_get(char *buf, const struct kernel_param *param)
{
	return sysfs_emit(buf, "N\n");
}

module_param_call(check_copy_up, rvfs_check_copy_up_set, rvfs_check_copy_up_get,
		  NULL, 0644);
MODULE_PARM_DESC(check_copy_up, "Obsolete; does nothing");

/* The values of the tables are those of the enums in rovl's options. */
static const struct constant_table rvfs_bool[] = {
	{ "off", 0 }, { "on", 1 }, {}
};

static const struct constant_table rvfs_uuid[] = {
	{ "off", 0 }, { "null", 1 }, { "auto", 2 }, { "on", 3 }, {}
};

static const struct constant_table rvfs_xino[] = {
	{ "off", 0 }, { "auto", 1 }, { "on", 2 }, {}
};

static const struct constant_table rvfs_redirect[] = {
	{ "off", 0 }, { "follow", 1 }, { "nofollow", 2 }, { "on", 3 }, {}
};

static const struct constant_table rvfs_verity[] = {
	{ "off", 0 }, { "on", 1 }, { "require", 2 }, {}
};

static const struct constant_table rvfs_fsync[] = {
	{ "volatile", 0 }, { "auto", 1 }, { "strict", 2 }, {}
};

const struct fs_parameter_spec rvfs_overlay_parameters[] = {
	fsparam_string_empty("lowerdir", RVFS_OPT_LOWERDIR),
	fsparam_file_or_string("lowerdir+", RVFS_OPT_LOWERDIR_ADD),
	fsparam_file_or_string("datadir+", RVFS_OPT_DATADIR_ADD),
	fsparam_file_or_string("upperdir", RVFS_OPT_UPPERDIR),
	fsparam_file_or_string("workdir", RVFS_OPT_WORKDIR),
	fsparam_flag("default_permissions", RVFS_OPT_DEFAULT_PERMISSIONS),
	fsparam_enum("redirect_dir", RVFS_OPT_REDIRECT_DIR, rvfs_redirect),
	fsparam_enum("index", RVFS_OPT_INDEX, rvfs_bool),
	fsparam_enum("uuid", RVFS_OPT_UUID, rvfs_uuid),
	fsparam_enum("nfs_export", RVFS_OPT_NFS_EXPORT, rvfs_bool),
	fsparam_flag("userxattr", RVFS_OPT_USERXATTR),
	fsparam_enum("xino", RVFS_OPT_XINO, rvfs_xino),
	fsparam_enum("metacopy", RVFS_OPT_METACOPY, rvfs_bool),
	fsparam_enum("verity", RVFS_OPT_VERITY, rvfs_verity),
	fsparam_enum("fsync", RVFS_OPT_FSYNC, rvfs_fsync),
	fsparam_flag("volatile", RVFS_OPT_VOLATILE),
	fsparam_flag_no("override_creds", RVFS_OPT_OVERRIDE_CREDS),
	/* Not an option of fs/overlayfs. */
	fsparam_flag("require_rw", RVFS_OPT_REQUIRE_RW),
	{}
};

MODULE_ALIAS_FS(KBUILD_MODNAME);

/* Tells the drop-in from the in-tree module, which has no version. */
MODULE_VERSION("rovl");
