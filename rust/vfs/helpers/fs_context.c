// SPDX-License-Identifier: GPL-2.0
/* Mount contexts and their logs. */
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

/* Whether a mount is being made or changed, and not only its options given. */
bool rvfs_fc_is_making(const struct fs_context *fc)
{
	return fc->phase == FS_CONTEXT_CREATING ||
	       fc->phase == FS_CONTEXT_RECONFIGURING;
}

bool rvfs_fc_in_init_userns(const struct fs_context *fc)
{
	return fc->user_ns == &init_user_ns;
}

bool rvfs_fc_ratelimit(void)
{
	static DEFINE_RATELIMIT_STATE(state, DEFAULT_RATELIMIT_INTERVAL,
				      DEFAULT_RATELIMIT_BURST);

	return __ratelimit(&state);
}

void rvfs_fc_error(struct fs_context *fc, const char *msg)
{
	errorfc(fc, "%s", msg);
}

void rvfs_fc_warn(struct fs_context *fc, const char *msg)
{
	warnfc(fc, "%s", msg);
}

void rvfs_fc_info(struct fs_context *fc, const char *msg)
{
	infofc(fc, "%s", msg);
}

void rvfs_pr_err(const char *prefix, const char *msg)
{
	pr_err("%s: %s\n", prefix, msg);
}

void rvfs_pr_warn(const char *prefix, const char *msg)
{
	pr_warn("%s: %s\n", prefix, msg);
}

void rvfs_pr_info(const char *prefix, const char *msg)
{
	pr_info("%s: %s\n", prefix, msg);
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
