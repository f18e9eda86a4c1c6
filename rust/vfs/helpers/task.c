// SPDX-License-Identifier: GPL-2.0
/* The caller: credentials, ids and signals. */
#include <linux/sched/signal.h>
#include "helpers.h"

const struct cred *rvfs_override_creds(const struct cred *cred)
{
	return override_creds(cred);
}

const struct cred *rvfs_revert_creds(const struct cred *cred)
{
	return revert_creds(cred);
}

const struct cred *rvfs_current_cred(void)
{
	return current_cred();
}

void rvfs_lower_cap_sys_resource(struct cred *cred)
{
	cap_lower(cred->cap_effective, CAP_SYS_RESOURCE);
}

/* CAP_SYS_RESOURCE does not count, because a mounter gives it up. */
bool rvfs_cred_same_rights(const struct cred *a, const struct cred *b)
{
	kernel_cap_t caps_a = a->cap_effective;
	kernel_cap_t caps_b = b->cap_effective;

	cap_lower(caps_a, CAP_SYS_RESOURCE);
	cap_lower(caps_b, CAP_SYS_RESOURCE);
	return !cred_fscmp(a, b) && a->user_ns == b->user_ns &&
	       caps_a.val == caps_b.val;
}

bool rvfs_is_admin_noaudit(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

/* Of the user namespace in which the file system was mounted. */
bool rvfs_is_admin_of(const struct super_block *sb)
{
	return ns_capable(sb->s_user_ns, CAP_SYS_ADMIN);
}

bool rvfs_kuid_mapped_here(kuid_t uid)
{
	return kuid_has_mapping(current_user_ns(), uid);
}

bool rvfs_kgid_mapped_here(kgid_t gid)
{
	return kgid_has_mapping(current_user_ns(), gid);
}

bool rvfs_is_killed(void)
{
	return signal_pending_state(TASK_KILLABLE, current);
}

bool rvfs_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}
