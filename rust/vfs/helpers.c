// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions, macros and lock classes of the VFS as functions, for the vfs
 * crate.  One function a thing; what to do with them is decided in Rust.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/siphash.h>
#include <linux/unicode.h>
#include "helpers.h"

/* Credentials */

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

void rvfs_put_cred(const struct cred *cred)
{
	put_cred(cred);
}

void rvfs_lower_cap_sys_resource(struct cred *cred)
{
	cap_lower(cred->cap_effective, CAP_SYS_RESOURCE);
}

bool rvfs_is_admin_noaudit(void)
{
	return ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

/* Dentries */

void rvfs_dget(struct dentry *dentry)
{
	dget(dentry);
}

bool rvfs_d_is_negative(const struct dentry *dentry)
{
	/* A dentry turns positive without a lock that its reader could hold. */
	return d_flags_negative(smp_load_acquire(&dentry->d_flags));
}

bool rvfs_d_can_lookup(const struct dentry *dentry)
{
	return d_can_lookup(dentry);
}

bool rvfs_d_is_dir(const struct dentry *dentry)
{
	return d_is_dir(dentry);
}

bool rvfs_d_is_reg(const struct dentry *dentry)
{
	return d_is_reg(dentry);
}

bool rvfs_d_is_symlink(const struct dentry *dentry)
{
	return d_is_symlink(dentry);
}

bool rvfs_d_unhashed(const struct dentry *dentry)
{
	return d_unhashed(dentry);
}

/* An automount point, or a file system with its own idea of names. */
bool rvfs_d_weird(const struct dentry *dentry)
{
	if (!d_can_lookup(dentry) && !d_is_file(dentry) &&
	    !d_is_symlink(dentry))
		return true;
	if (dentry->d_flags & (DCACHE_NEED_AUTOMOUNT | DCACHE_MANAGE_TRANSIT))
		return true;
	/* Casefolding file systems hash and compare names themselves. */
	if (sb_has_encoding(dentry->d_sb))
		return false;
	return dentry->d_flags & (DCACHE_OP_HASH | DCACHE_OP_COMPARE);
}

bool rvfs_d_casefolded(const struct dentry *dentry)
{
	return sb_has_encoding(dentry->d_sb) && IS_CASEFOLDED(d_inode(dentry));
}

void rvfs_d_replace_flags(struct dentry *dentry, unsigned int mask,
			  unsigned int flags)
{
	spin_lock(&dentry->d_lock);
	dentry->d_flags &= ~mask;
	dentry->d_flags |= flags & mask;
	spin_unlock(&dentry->d_lock);
}

void rvfs_d_fsdata_set_bit(struct dentry *dentry, unsigned int bit)
{
	set_bit(bit, (unsigned long *)&dentry->d_fsdata);
}

bool rvfs_d_fsdata_test_bit(struct dentry *dentry, unsigned int bit)
{
	return test_bit(bit, (unsigned long *)&dentry->d_fsdata);
}

/* Lock d_lock, if the dentry is a child of parent. */
bool rvfs_d_lock_child(struct dentry *dentry, const struct dentry *parent)
{
	spin_lock(&dentry->d_lock);
	if (dentry->d_parent == parent)
		return true;
	spin_unlock(&dentry->d_lock);
	return false;
}

void rvfs_d_unlock(struct dentry *dentry)
{
	spin_unlock(&dentry->d_lock);
}

/* Unhash a negative dentry that nobody but the caller holds. */
bool rvfs_d_drop_if_unused_negative(struct dentry *dentry)
{
	bool dropped = false;

	if (dentry->d_lockref.count != 1)
		return false;
	spin_lock(&dentry->d_lock);
	if (d_is_negative(dentry) && dentry->d_lockref.count == 1) {
		__d_drop(dentry);
		dropped = true;
	}
	spin_unlock(&dentry->d_lock);
	return dropped;
}

bool rvfs_has_hashed_alias_other_than(struct inode *inode,
				      const struct dentry *dentry)
{
	struct dentry *alias;
	bool found = false;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		if (alias != dentry && !d_unhashed(alias)) {
			found = true;
			break;
		}
	}
	spin_unlock(&inode->i_lock);
	return found;
}

struct dentry *rvfs_d_real(struct dentry *dentry, unsigned int type)
{
	return d_real(dentry, type);
}

static int rvfs_call_d_revalidate(struct dentry *dentry, unsigned int flags)
{
	struct dentry *parent;
	struct inode *dir;
	struct name_snapshot name;
	int ret;

	if (flags & LOOKUP_RCU) {
		parent = READ_ONCE(dentry->d_parent);
		dir = d_inode_rcu(parent);
		if (!dir)
			return -ECHILD;
	} else {
		parent = dget_parent(dentry);
		dir = d_inode(parent);
	}
	take_dentry_name_snapshot(&name, dentry);
	ret = dentry->d_op->d_revalidate(dir, &name.name, dentry, flags);
	release_dentry_name_snapshot(&name);
	if (!(flags & LOOKUP_RCU))
		dput(parent);
	return ret;
}

/* The layer's own revalidation of @dentry; 1 where it has none. */
int rvfs_revalidate(struct dentry *dentry, unsigned int flags, bool weak)
{
	int ret;

	if (weak) {
		if (dentry->d_flags & DCACHE_OP_WEAK_REVALIDATE)
			return dentry->d_op->d_weak_revalidate(dentry, flags);
		return 1;
	}
	if (!(dentry->d_flags & DCACHE_OP_REVALIDATE))
		return 1;
	ret = rvfs_call_d_revalidate(dentry, flags);
	if (!ret) {
		if (!(flags & LOOKUP_RCU))
			d_invalidate(dentry);
		ret = -ESTALE;
	}
	return ret;
}

struct dentry *rvfs_dget_parent(struct dentry *dentry)
{
	return dget_parent(dentry);
}

/* Inodes */

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
struct kmem_cache *rvfs_inode_cache_create(const char *name, unsigned int size)
{
	return kmem_cache_create(name, size, 0,
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

static const struct address_space_operations rvfs_stacking_aops = {
	/* open(2) with O_DIRECT asks for this; the real file does the I/O. */
	.direct_IO = noop_direct_IO,
};

void rvfs_inode_set_direct_io(struct inode *inode)
{
	inode->i_mapping->a_ops = &rvfs_stacking_aops;
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

void rvfs_inode_lock(struct inode *inode)
{
	inode_lock(inode);
}

void rvfs_inode_unlock(struct inode *inode)
{
	inode_unlock(inode);
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

loff_t rvfs_i_size_read(const struct inode *inode)
{
	return i_size_read(inode);
}

/* Owner, mode, times and size of @from, with its ids seen through @idmap. */
void rvfs_copyattr(struct inode *to, struct inode *from,
		   struct mnt_idmap *idmap)
{
	spin_lock(&to->i_lock);
	to->i_uid = vfsuid_into_kuid(i_uid_into_vfsuid(idmap, from));
	to->i_gid = vfsgid_into_kgid(i_gid_into_vfsgid(idmap, from));
	to->i_mode = from->i_mode;
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

bool rvfs_is_posixacl(const struct inode *inode)
{
	return IS_POSIXACL(inode);
}

bool rvfs_is_deaddir(const struct inode *inode)
{
	return IS_DEADDIR(inode);
}

bool rvfs_inode_wrong_type(const struct inode *inode, umode_t mode)
{
	return inode_wrong_type(inode, mode);
}

const char *rvfs_vfs_get_link(struct dentry *dentry, struct delayed_call *done)
{
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

bool rvfs_kuid_mapped_here(kuid_t uid)
{
	return kuid_has_mapping(current_user_ns(), uid);
}

bool rvfs_kgid_mapped_here(kgid_t gid)
{
	return kgid_has_mapping(current_user_ns(), gid);
}

/* Access control lists */

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

/* File attributes */

/* Security modules know the ioctl commands only. */
int rvfs_security_fileattr(struct file *file, const struct file_kattr *fa,
			   bool set)
{
	unsigned int cmd;

	if (set)
		cmd = fa->fsx_valid ? FS_IOC_FSSETXATTR : FS_IOC_SETFLAGS;
	else
		cmd = fa->fsx_valid ? FS_IOC_FSGETXATTR : FS_IOC_GETFLAGS;
	return security_file_ioctl(file, cmd, 0);
}

/* fs-verity */

bool rvfs_fsverity_active(const struct inode *inode)
{
	return fsverity_active(inode);
}

bool rvfs_fsverity_is_loaded(const struct inode *inode)
{
	return fsverity_get_info(inode);
}

int rvfs_fsverity_get_digest(struct inode *inode, u8 *digest, u8 *algorithm)
{
	return fsverity_get_digest(inode, digest, algorithm, NULL);
}

/* Files */

void rvfs_file_replace_flags(struct file *file, unsigned int mask,
			     unsigned int flags)
{
	spin_lock(&file->f_lock);
	file->f_flags = (file->f_flags & ~mask) | (flags & mask);
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

void rvfs_init_sync_kiocb(struct kiocb *iocb, struct file *file, loff_t pos)
{
	init_sync_kiocb(iocb, file);
	iocb->ki_pos = pos;
}

/* Copying data */

bool rvfs_file_can_seek(const struct file *file)
{
	return file->f_mode & FMODE_LSEEK;
}

bool rvfs_is_killed(void)
{
	return signal_pending_state(TASK_KILLABLE, current);
}

/* Folios */

bool rvfs_folio_is_marked(const struct folio *folio)
{
	return folio_test_private(folio);
}

void rvfs_folio_mark(struct folio *folio)
{
	folio_attach_private(folio, (void *)1UL);
}

void rvfs_folio_unmark(struct folio *folio)
{
	folio_detach_private(folio);
}

struct super_block *rvfs_folio_sb(const struct folio *folio)
{
	return folio->mapping->host->i_sb;
}

size_t rvfs_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

void rvfs_folio_unlock_put(struct folio *folio)
{
	folio_unlock(folio);
	folio_put(folio);
}

void rvfs_folio_clean_unlock(struct folio *folio)
{
	folio_cancel_dirty(folio);
	folio_unlock(folio);
}

struct folio *rvfs_vmf_folio(struct vm_fault *vmf)
{
	return page_folio(vmf->page);
}

/* Super blocks and mounts */

void rvfs_uuid_gen(u8 *uuid)
{
	uuid_t new;

	uuid_gen(&new);
	export_uuid(uuid, &new);
}

bool rvfs_sb_has_encoding(const struct super_block *sb)
{
	return sb_has_encoding(sb);
}

/* The length of the folded name; an error where the name has no folded form. */
int rvfs_sb_casefold(const struct super_block *sb, const char *name, size_t len,
		     u8 *folded, size_t room)
{
#if IS_ENABLED(CONFIG_UNICODE)
	const struct qstr qstr = QSTR_INIT(name, len);

	if (sb_has_encoding(sb))
		return utf8_casefold(sb->s_encoding, &qstr, folded, room);
#endif
	return -EINVAL;
}

int rvfs_sb_take_encoding(struct super_block *sb, const struct super_block *from)
{
	if (!sb_has_encoding(from))
		return 0;
#if IS_ENABLED(CONFIG_UNICODE)
	if (sb_has_strict_encoding(from))
		return -EINVAL;
	sb->s_encoding = from->s_encoding;
	sb->s_encoding_flags = from->s_encoding_flags;
#endif
	return 0;
}

bool rvfs_sb_same_encoding(const struct super_block *a,
			   const struct super_block *b)
{
	return sb_same_encoding(a, b);
}

/*
 * 0: no file handles; FILEID_INO32_GEN: the default ones with a 32-bit inode
 * number; -1: another kind.
 */
int rvfs_can_decode_fh(struct super_block *sb)
{
	if (!capable(CAP_DAC_READ_SEARCH))
		return 0;
	if (!exportfs_can_decode_fh(sb->s_export_op))
		return 0;
	if (sb->s_export_op->encode_fh == generic_encode_ino32_fh)
		return FILEID_INO32_GEN;
	return -1;
}

void rvfs_sb_start_write(struct super_block *sb)
{
	sb_start_write(sb);
}

void rvfs_sb_end_write(struct super_block *sb)
{
	sb_end_write(sb);
}

int rvfs_sync_filesystem(struct super_block *sb)
{
	int ret;

	down_read(&sb->s_umount);
	ret = sync_filesystem(sb);
	up_read(&sb->s_umount);
	return ret;
}

struct mnt_idmap *rvfs_mnt_idmap(const struct vfsmount *mnt)
{
	return mnt_idmap(mnt);
}

/*
 * The right to clone is that of the task that mounts, not of the credentials
 * that it may have stashed for the layers.
 */
struct vfsmount *rvfs_clone_private_mount(const struct path *path)
{
	scoped_with_creds(current_real_cred())
		return clone_private_mount(path);
}

bool rvfs_is_idmapped(const struct vfsmount *mnt)
{
	return is_idmapped_mnt(mnt);
}

void rvfs_fsid_from_uuid(struct kstatfs *buf, struct super_block *sb)
{
	buf->f_fsid = uuid_to_fsid(sb->s_uuid.b);
}

void rvfs_set_statfs(struct kstatfs *buf, long type, long namelen)
{
	buf->f_type = type;
	buf->f_namelen = namelen;
}

void rvfs_set_d_op(struct super_block *sb, const struct dentry_operations *ops,
		   bool casefold, const struct dentry_operations *ci_ops)
{
	set_default_d_op(sb, casefold ? ci_ops : ops);
}

/*
 * The upper layer masks modes and syncs itself, and attributes of a stacked
 * inode change under EVM's feet.
 */
void rvfs_sb_set_stacking_flags(struct super_block *sb)
{
#ifdef CONFIG_FS_POSIX_ACL
	sb->s_flags |= SB_POSIXACL;
#endif
	sb->s_iflags |= SB_I_SKIP_SYNC | SB_I_NOUMASK | SB_I_EVM_HMAC_UNSUPPORTED;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
}

void rvfs_sb_set_in_memory(struct super_block *sb)
{
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_time_gran = 1;
}

u32 rvfs_errseq_sample(struct super_block *sb)
{
	return errseq_sample(&sb->s_wb_err);
}

int rvfs_errseq_check(struct super_block *sb, u32 since)
{
	return errseq_check(&sb->s_wb_err, since);
}

/* Mount contexts */

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
		pr_err("%s: %s\n", THIS_MODULE->name, msg);
	else
		errorfc(fc, "%s", msg);
}

void rvfs_fc_warn(struct fs_context *fc, const char *msg)
{
	if (rvfs_fc_log_is_kernels(fc))
		pr_warn("%s: %s\n", THIS_MODULE->name, msg);
	else
		warnfc(fc, "%s", msg);
}

void rvfs_fc_info(struct fs_context *fc, const char *msg)
{
	if (rvfs_fc_log_is_kernels(fc))
		pr_info("%s: %s\n", THIS_MODULE->name, msg);
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

/* Changing directories of a layer */

int rvfs_vfs_whiteout(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry)
{
	return vfs_whiteout(idmap, dir, dentry);
}

bool rvfs_dir_emit(struct dir_context *ctx, const char *name, int len, u64 ino,
		   unsigned int type)
{
	return dir_emit(ctx, name, len, ino, type);
}

u32 rvfs_name_hash(const char *name, size_t len, u64 key0, u64 key1)
{
	hsiphash_key_t key = { { key0, key1 } };

	return hsiphash(name, len, &key);
}

bool rvfs_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

/* Reports */

void rvfs_seq_show_option(struct seq_file *m, const char *name,
			  const char *value)
{
	seq_show_option(m, name, value);
}

void rvfs_warn_dentry(const char *msg, struct dentry *dentry, int err)
{
	pr_warn_ratelimited("%s: %s (%pd2, err=%d)\n", THIS_MODULE->name, msg,
			    dentry, err);
}

void rvfs_warn_name(const char *msg, struct dentry *dir, const char *name,
		    int len, int err)
{
	pr_warn_ratelimited("%s: %s (%pd2/%*pE, err=%d)\n", THIS_MODULE->name,
			    msg, dir, len, name, err);
}

void rvfs_warn(const char *msg)
{
	pr_warn_ratelimited("%s: %s\n", THIS_MODULE->name, msg);
}
