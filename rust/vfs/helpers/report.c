// SPDX-License-Identifier: GPL-2.0
/* What is shown to users: options and messages. */
#include "helpers.h"

void rvfs_seq_show_option(struct seq_file *m, const char *name,
			  const char *value)
{
	seq_show_option(m, name, value);
}

void rvfs_warn_dentry(const char *prefix, const char *msg, int len,
		      struct dentry *dentry, int err, const char *reason,
		      int reason_len)
{
	pr_warn_ratelimited("%s: %.*s (%pd2, err=%d%s%.*s)\n", prefix, len, msg,
			    dentry, err, reason_len ? " " : "", reason_len,
			    reason);
}

void rvfs_warn_name(const char *prefix, const char *msg, struct dentry *dir,
		    const char *name, int len, int err, const char *reason,
		    int reason_len)
{
	pr_warn_ratelimited("%s: %s (%pd2/%*pE, err=%d%s%.*s)\n", prefix, msg,
			    dir, len, name, err, reason_len ? " " : "",
			    reason_len, reason);
}

void rvfs_warn(const char *prefix, const char *msg)
{
	pr_warn_ratelimited("%s: %s\n", prefix, msg);
}
