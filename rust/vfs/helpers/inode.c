// SPDX-License-Identifier: GPL-2.0
/* Inodes, their locks and attributes. */
#include <linux/hash.h>
#include <linux/iversion.h>
#include "helpers.h"

struct inode *rvfs_alloc_inode_sb(struct super_block *sb,
				  struct kmem_cache *cache)
{
	return alloc_inode_sb(sb, cache, GFP_KERNEL);
}

static void rvfs_inode_init_once(void *inode)
{
	inode_init_once(inode);
}

/* Objects of this cache start with a struct inode. */
struct kmem_cache *rvfs_inode_cache_create(const char *name, unsigned int size,
					   unsigned int align)
{
	return kmem_cache_create(name, size, align,
				 SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
				 rvfs_inode_init_once);
}

void rvfs_mutex_init(struct mutex *lock)
{
	mutex_init(lock);
}

int rvfs_mutex_lock_interruptible(struct mutex *lock)
{
	return mutex_lock_interruptible(lock);
}

/*
 * A stacking file system can be the lower layer of another one, so the locks of
 * its inodes have one class for each stacking depth.
 */
void rvfs_set_lock_classes(struct inode *inode, struct mutex *lock)
{
#ifdef CONFIG_LOCKDEP
	static struct lock_class_key file_keys[FILESYSTEM_MAX_STACK_DEPTH];
	static struct lock_class_key dir_keys[FILESYSTEM_MAX_STACK_DEPTH];
	static struct lock_class_key lock_keys[FILESYSTEM_MAX_STACK_DEPTH];
	int depth = inode->i_sb->s_stack_depth - 1;

	if (depth < 0 || depth >= FILESYSTEM_MAX_STACK_DEPTH)
		depth = 0;
	if (S_ISDIR(inode->i_mode))
		lockdep_set_class(&inode->i_rwsem, &dir_keys[depth]);
	else
		lockdep_set_class(&inode->i_rwsem, &file_keys[depth]);
	lockdep_set_class(lock, &lock_keys[depth]);
#endif
}

bool rvfs_inode_is_new(struct inode *inode)
{
	return inode_state_read_once(inode) & I_NEW;
}

bool rvfs_inode_unhashed(struct inode *inode)
{
	return inode_unhashed(inode);
}

void rvfs_inode_mark_creating(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	inode_state_set(inode, I_CREATING);
	spin_unlock(&inode->i_lock);
}

bool rvfs_inode_has_dentries(struct inode *inode)
{
	bool found;

	spin_lock(&inode->i_lock);
	found = !hlist_empty(&inode->i_dentry);
	spin_unlock(&inode->i_lock);
	return found;
}

void rvfs_remove_inode_hash(struct inode *inode)
{
	remove_inode_hash(inode);
}

void rvfs_insert_inode_hash(struct inode *inode, unsigned long hash)
{
	__insert_inode_hash(inode, hash);
}

void rvfs_inode_no_acl_cache(struct inode *inode)
{
#ifdef CONFIG_FS_POSIX_ACL
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
#endif
}

/* Nothing but the page cache has the data, so memory reclaim must not try. */
void rvfs_inode_set_pages(struct inode *inode,
			  const struct address_space_operations *ops)
{
	inode->i_mapping->a_ops = ops;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_unevictable(inode->i_mapping);
}

void rvfs_inode_touch(struct inode *inode)
{
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
}

void rvfs_inode_touch_ctime(struct inode *inode)
{
	inode_set_ctime_current(inode);
}

/* I_OVL_INUSE is shared with fs/overlayfs, so each sees the other's layers. */
bool rvfs_inuse_trylock(struct inode *inode)
{
	bool locked = false;

	spin_lock(&inode->i_lock);
	if (!(inode_state_read(inode) & I_OVL_INUSE)) {
		inode_state_set(inode, I_OVL_INUSE);
		locked = true;
	}
	spin_unlock(&inode->i_lock);
	return locked;
}

void rvfs_inuse_unlock(struct inode *inode)
{
	spin_lock(&inode->i_lock);
	inode_state_clear(inode, I_OVL_INUSE);
	spin_unlock(&inode->i_lock);
}

bool rvfs_is_inuse(struct inode *inode)
{
	bool inuse;

	spin_lock(&inode->i_lock);
	inuse = inode_state_read(inode) & I_OVL_INUSE;
	spin_unlock(&inode->i_lock);
	return inuse;
}

/*
 * What changes with the content of a directory: the times, of which some file
 * systems set that of a child, in ticks; the size; the version, where there is one.
 */
u64 rvfs_inode_stamp(const struct inode *inode)
{
	u64 stamp = hash_64(inode->i_ino, 64);

	stamp ^= inode_get_ctime_sec(inode) * NSEC_PER_SEC +
		 inode_get_ctime_nsec(inode);
	stamp = hash_64(stamp, 64);
	stamp ^= inode_get_mtime_sec(inode) * NSEC_PER_SEC +
		 inode_get_mtime_nsec(inode);
	stamp = hash_64(stamp, 64) ^ i_size_read(inode);
	stamp = hash_64(stamp, 64);
	return stamp ^ (inode_peek_iversion_raw(inode) >> I_VERSION_QUERIED_SHIFT);
}

loff_t rvfs_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

/*
 * Owner, permissions, times and size of @from, with its ids seen through
 * @idmap. The type stays: it says which member of a union of struct inode is in
 * use.
 */
void rvfs_copyattr(struct inode *to, struct inode *from,
		   struct mnt_idmap *idmap)
{
	spin_lock(&to->i_lock);
	to->i_uid = vfsuid_into_kuid(i_uid_into_vfsuid(idmap, from));
	to->i_gid = vfsgid_into_kgid(i_gid_into_vfsgid(idmap, from));
	to->i_mode = (to->i_mode & S_IFMT) | (from->i_mode & ~S_IFMT);
	inode_set_atime_to_ts(to, inode_get_atime(from));
	inode_set_mtime_to_ts(to, inode_get_mtime(from));
	inode_set_ctime_to_ts(to, inode_get_ctime(from));
	i_size_write(to, i_size_read(from));
	spin_unlock(&to->i_lock);
}

void rvfs_copy_atime(struct inode *to, const struct inode *from)
{
	inode_set_atime_to_ts(to, inode_get_atime(from));
}

/* mtime and ctime, if they differ. */
void rvfs_copy_times(struct inode *to, const struct inode *from)
{
	struct timespec64 mtime = inode_get_mtime(from);
	struct timespec64 ctime = inode_get_ctime(from);
	struct timespec64 to_mtime = inode_get_mtime(to);
	struct timespec64 to_ctime = inode_get_ctime(to);

	if (timespec64_equal(&mtime, &to_mtime) &&
	    timespec64_equal(&ctime, &to_ctime))
		return;
	inode_set_mtime_to_ts(to, mtime);
	inode_set_ctime_to_ts(to, ctime);
}

bool rvfs_inode_wrong_type(const struct inode *inode, umode_t mode)
{
	return inode_wrong_type(inode, mode);
}

/*
 * Links that lead to an object and not to a name, as in /proc/PID/fd, change what
 * the task is walking to, which there has to be.  They have an ->readlink() for
 * when there is not; afs has one for other reasons.
 */
static bool rvfs_is_magic_link(const struct dentry *dentry)
{
	return d_is_symlink(dentry) && d_inode(dentry)->i_op->readlink &&
	       dentry->d_sb->s_magic != AFS_FS_MAGIC;
}

const char *rvfs_vfs_get_link(struct dentry *dentry, struct delayed_call *done,
			      bool in_walk)
{
	if (rvfs_is_magic_link(dentry) && !(in_walk && current->nameidata))
		return ERR_PTR(-EINVAL);
	return vfs_get_link(dentry, done);
}

void rvfs_do_delayed_call(struct delayed_call *done)
{
	do_delayed_call(done);
}

void rvfs_kstat_map_owner(struct kstat *stat, const struct inode *inode,
			  struct mnt_idmap *idmap)
{
	struct user_namespace *ns = i_user_ns(inode);

	stat->uid = vfsuid_into_kuid(make_vfsuid(idmap, ns, stat->uid));
	stat->gid = vfsgid_into_kgid(make_vfsgid(idmap, ns, stat->gid));
}

/* Owners as a mount with @idmap shows them become those of the file system. */
void rvfs_iattr_unmap_owner(struct iattr *attr, const struct inode *inode,
			    struct mnt_idmap *idmap)
{
	struct user_namespace *ns = i_user_ns(inode);

	if (attr->ia_valid & ATTR_UID)
		attr->ia_vfsuid = VFSUIDT_INIT(from_vfsuid(idmap, ns,
							   attr->ia_vfsuid));
	if (attr->ia_valid & ATTR_GID)
		attr->ia_vfsgid = VFSGIDT_INIT(from_vfsgid(idmap, ns,
							   attr->ia_vfsgid));
}

int rvfs_get_write_access(struct inode *inode)
{
	return get_write_access(inode);
}

void rvfs_put_write_access(struct inode *inode)
{
	put_write_access(inode);
}

bool rvfs_inode_is_open_for_write(const struct inode *inode)
{
	return inode_is_open_for_write(inode);
}

/* Whether data is dirty or being written. */
bool rvfs_inode_has_unwritten_data(const struct inode *inode)
{
	const struct address_space *mapping = inode->i_mapping;

	return mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK);
}

int rvfs_inode_start_writeback(struct inode *inode)
{
	return filemap_fdatawrite(inode->i_mapping);
}

/* Leaves it to rvfs_inode_wb_err() and to others to see errors. */
void rvfs_inode_wait_for_writeback(struct inode *inode)
{
	filemap_fdatawait_keep_errors(inode->i_mapping);
}

/*
 * The last error of writeback, which is in the low bits, with a number that
 * changes with each new error. The bit that tells whether somebody has seen it
 * (lib/errseq.c) is left out: this one is seen by another way.
 */
u32 rvfs_inode_wb_err(const struct inode *inode)
{
	BUILD_BUG_ON(!is_power_of_2(MAX_ERRNO + 1));
	return READ_ONCE(inode->i_mapping->wb_err) & ~(MAX_ERRNO + 1);
}
