// SPDX-License-Identifier: GPL-2.0
/* Access control lists. */
#include "helpers.h"

void rvfs_posix_acl_release(struct posix_acl *acl)
{
	posix_acl_release(acl);
}

int rvfs_posix_acl_create(struct inode *dir, umode_t *mode,
			  struct posix_acl **default_acl,
			  struct posix_acl **acl)
{
	return posix_acl_create(dir, mode, default_acl, acl);
}

/* The ids in @acl, a list of @inode, as a mount with @idmap shows them. */
void rvfs_posix_acl_map(struct posix_acl *acl, const struct inode *inode,
			struct mnt_idmap *idmap)
{
	struct user_namespace *ns = i_user_ns(inode);
	struct posix_acl_entry *pa, *pe;

	FOREACH_ACL_ENTRY(pa, acl, pe) {
		if (pa->e_tag == ACL_USER)
			pa->e_uid = vfsuid_into_kuid(make_vfsuid(idmap, ns,
								 pa->e_uid));
		else if (pa->e_tag == ACL_GROUP)
			pa->e_gid = vfsgid_into_kgid(make_vfsgid(idmap, ns,
								 pa->e_gid));
	}
}

/* Without CONFIG_FS_POSIX_ACL some of these are missing and some are inline. */
struct posix_acl *rvfs_posix_acl_clone(const struct posix_acl *acl)
{
#ifdef CONFIG_FS_POSIX_ACL
	return posix_acl_clone(acl, GFP_KERNEL);
#else
	return NULL;
#endif
}

struct posix_acl *rvfs_vfs_get_acl(struct mnt_idmap *idmap,
				   struct dentry *dentry, const char *name)
{
	return vfs_get_acl(idmap, dentry, name);
}

int rvfs_vfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		     const char *name, struct posix_acl *acl)
{
	return vfs_set_acl(idmap, dentry, name, acl);
}

int rvfs_vfs_remove_acl(struct mnt_idmap *idmap, struct dentry *dentry,
			const char *name)
{
	return vfs_remove_acl(idmap, dentry, name);
}

struct posix_acl *rvfs_get_inode_acl(struct inode *inode, int type)
{
#ifdef CONFIG_FS_POSIX_ACL
	return get_inode_acl(inode, type);
#else
	return NULL;
#endif
}

struct posix_acl *rvfs_get_cached_acl_rcu(struct inode *inode, int type)
{
#ifdef CONFIG_FS_POSIX_ACL
	return get_cached_acl_rcu(inode, type);
#else
	return NULL;
#endif
}

bool rvfs_in_group_or_capable(struct mnt_idmap *idmap,
			      const struct inode *inode)
{
	return in_group_or_capable(idmap, inode,
				   i_gid_into_vfsgid(idmap, inode));
}
