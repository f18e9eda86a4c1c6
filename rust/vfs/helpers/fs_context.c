// SPDX-License-Identifier: GPL-2.0
/* Mount contexts and their logs. */
#include <linux/module.h>
#include <linux/ratelimit.h>
#include "helpers.h"

bool rvfs_fc_is_reconfigure(const struct fs_context *fc)
{
	return fc->purpose == FS_CONTEXT_FOR_RECONFIGURE;
}

bool rvfs_fc_is_oldapi(const struct fs_context *fc)
{
	return fc->oldapi;
}

bool rvfs_fc_in_current_userns(const struct fs_context *fc)
{
	return fc->user_ns == current_user_ns();
}

bool rvfs_current_in_userns_of(const struct fs_context *fc)
{
	return current_in_userns(fc->user_ns);
}

/*
 * mount(8) prints the log of the context. A module that stands in for another
 * one must not make it print what that one has in the kernel's log: all that is
 * found while a mount is made or changed. Programs compare that output. Users in
 * a namespace cannot flood the kernel's log: what is too much for it goes to the
 * context's.
 */
static bool rvfs_fc_log_is_kernels(const struct fs_context *fc)
{
	static DEFINE_RATELIMIT_STATE(of_namespaces, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	if (!RVFS_DROPIN || (fc->phase != FS_CONTEXT_CREATING &&
			     fc->phase != FS_CONTEXT_RECONFIGURING))
		return false;
	return fc->user_ns == &init_user_ns || __ratelimit(&of_namespaces);
}

void rvfs_fc_error(struct fs_context *fc, const char *msg)
{
	if (rvfs_fc_log_is_kernels(fc))
		pr_err("%s: %s\n", RVFS_LOG_PREFIX, msg);
	else
		errorfc(fc, "%s", msg);
}

void rvfs_fc_warn(struct fs_context *fc, const char *msg)
{
	if (rvfs_fc_log_is_kernels(fc))
		pr_warn("%s: %s\n", RVFS_LOG_PREFIX, msg);
	else
		warnfc(fc, "%s", msg);
}

void rvfs_fc_info(struct fs_context *fc, const char *msg)
{
	if (rvfs_fc_log_is_kernels(fc))
		pr_info("%s: %s\n", RVFS_LOG_PREFIX, msg);
	else
		infofc(fc, "%s", msg);
}

enum fs_value_type rvfs_param_type(const struct fs_parameter *param)
{
	return param->type;
}

/* Options of mount(2) end at a comma that no backslash precedes. */
char *rvfs_next_option(char **s)
{
	char *start = *s;
	char *p;

	if (!start)
		return NULL;
	for (p = start; *p; p++) {
		if (*p == '\\') {
			p++;
			if (!*p)
				break;
		} else if (*p == ',') {
			*p = '\0';
			*s = p + 1;
			return start;
		}
	}
	*s = NULL;
	return start;
}
