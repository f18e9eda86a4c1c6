/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of the C part of the crates vfs and stacking, which is in helpers/.
 * Both the C compiler and bindgen read this file, so that a wrong prototype does
 * not build.
 *
 * The C part holds only what Rust cannot say: inline functions, macros, and lock
 * classes.  One function a thing; what to do with them is decided in Rust.
 */
#ifndef ROVL_VFS_HELPERS_H
#define ROVL_VFS_HELPERS_H

#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/delayed_call.h>
#include <linux/exportfs.h>
#include <linux/file.h>
#include <linux/fileattr.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/fs_stack.h>
#include <linux/fsverity.h>
#include <linux/fiemap.h>
#include <linux/filelock.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/statfs.h>
#include <linux/uuid.h>
#include <linux/xattr.h>

/* Constants that bindgen does not see, because they are casts or BIT(). */
enum rvfs_const {
	RVFS_SB_RDONLY = SB_RDONLY,
	RVFS_SB_SILENT = SB_SILENT,
	RVFS_SB_NOSEC = SB_NOSEC,
	RVFS_SB_LAZYTIME = SB_LAZYTIME,
	RVFS_SB_SYNCHRONOUS = SB_SYNCHRONOUS,
	RVFS_SB_POSIXACL = SB_POSIXACL,
	RVFS_LOOKUP_FOLLOW = LOOKUP_FOLLOW,
	RVFS_LOOKUP_RCU = LOOKUP_RCU,
	RVFS_LOOKUP_EXCL = LOOKUP_EXCL,
	RVFS_LOOKUP_IN_LAYER = LOOKUP_BENEATH | LOOKUP_NO_SYMLINKS |
			       LOOKUP_NO_XDEV,
	RVFS_MAY_EXEC = MAY_EXEC,
	RVFS_MAY_WRITE = MAY_WRITE,
	RVFS_MAY_READ = MAY_READ,
	RVFS_MAY_APPEND = MAY_APPEND,
	RVFS_MAY_OPEN = MAY_OPEN,
	RVFS_MAY_NOT_BLOCK = MAY_NOT_BLOCK,
	RVFS_MAX_STACK_DEPTH = FILESYSTEM_MAX_STACK_DEPTH,
	RVFS_FS_USERNS_MOUNT = FS_USERNS_MOUNT,
	RVFS_FS_ALLOW_IDMAP = FS_ALLOW_IDMAP,
	RVFS_IOCB_NOWAIT = IOCB_NOWAIT,
	RVFS_IOCB_DIRECT = IOCB_DIRECT,
	RVFS_IOCB_DSYNC = IOCB_DSYNC,
	RVFS_IOCB_SYNC = IOCB_SYNC,
	RVFS_FMODE_WRITE = (__force int)FMODE_WRITE,
	RVFS_FMODE_CAN_ODIRECT = (__force int)FMODE_CAN_ODIRECT,
	RVFS_FILEID_INO32_GEN = FILEID_INO32_GEN,
	RVFS_FILEID_INVALID = FILEID_INVALID,
	RVFS_MAX_HANDLE_SZ = MAX_HANDLE_SZ,
	RVFS_WHITEOUT_DEV = WHITEOUT_DEV,
	RVFS_STATX_CHANGES = STATX_CTIME | STATX_MTIME | STATX_CHANGE_COOKIE,
	RVFS_FMODE_OPENED = (__force int)FMODE_OPENED,
	RVFS_S_NOCMTIME = S_NOCMTIME,
	RVFS_S_DEAD = S_DEAD,
	RVFS_S_SYNC = S_SYNC,
	RVFS_S_NOATIME = S_NOATIME,
	RVFS_S_APPEND = S_APPEND,
	RVFS_S_IMMUTABLE = S_IMMUTABLE,
	RVFS_S_CASEFOLD = S_CASEFOLD,
	RVFS_ACL_TYPE_ACCESS = ACL_TYPE_ACCESS,
	RVFS_ACL_TYPE_DEFAULT = ACL_TYPE_DEFAULT,
	RVFS_ATTR_MODE = ATTR_MODE,
	RVFS_ATTR_UID = ATTR_UID,
	RVFS_ATTR_GID = ATTR_GID,
	RVFS_ATTR_SIZE = ATTR_SIZE,
	RVFS_ATTR_ATIME = ATTR_ATIME,
	RVFS_ATTR_MTIME = ATTR_MTIME,
	RVFS_ATTR_CTIME = ATTR_CTIME,
	RVFS_ATTR_ATIME_SET = ATTR_ATIME_SET,
	RVFS_ATTR_MTIME_SET = ATTR_MTIME_SET,
	RVFS_ATTR_KILL_SUID = ATTR_KILL_SUID,
	RVFS_ATTR_KILL_SGID = ATTR_KILL_SGID,
	RVFS_ATTR_FILE = ATTR_FILE,
	RVFS_ATTR_OPEN = ATTR_OPEN,
	RVFS_SPLICE_F_MOVE = SPLICE_F_MOVE,
	RVFS_PARAM_NEG_WITH_NO = fs_param_neg_with_no,
	RVFS_PARAM_CAN_BE_EMPTY = fs_param_can_be_empty,
	RVFS_VERITY_MAX_DIGEST_SIZE = FS_VERITY_MAX_DIGEST_SIZE,
};

/* Credentials */
const struct cred *rvfs_override_creds(const struct cred *cred);
const struct cred *rvfs_revert_creds(const struct cred *cred);
const struct cred *rvfs_current_cred(void);
void rvfs_lower_cap_sys_resource(struct cred *cred);
bool rvfs_cred_same_rights(const struct cred *a, const struct cred *b);
bool rvfs_is_admin_noaudit(void);
bool rvfs_is_admin_of(const struct super_block *sb);

/* Dentries */
void rvfs_dget(struct dentry *dentry);
bool rvfs_d_weird(const struct dentry *dentry);
bool rvfs_d_casefolded(const struct dentry *dentry);
void rvfs_d_replace_flags(struct dentry *dentry, unsigned int mask,
			  unsigned int flags);
void rvfs_d_fsdata_set_bit(struct dentry *dentry, unsigned int bit);
void rvfs_d_fsdata_clear_bit(struct dentry *dentry, unsigned int bit);
bool rvfs_d_lock_child(struct dentry *dentry, const struct dentry *parent);
void rvfs_d_unlock(struct dentry *dentry);
bool rvfs_d_drop_if_unused_negative(struct dentry *dentry);
bool rvfs_has_hashed_alias_other_than(struct inode *inode,
				      const struct dentry *dentry);
struct dentry *rvfs_d_real(struct dentry *dentry, unsigned int type);
int rvfs_revalidate(struct dentry *dentry, unsigned int flags, bool weak);
bool rvfs_d_is_in_use(struct dentry *dentry, const struct dentry *child);
bool rvfs_d_has_mounts(struct dentry *dentry);
struct dentry *rvfs_dget_parent(struct dentry *dentry);
struct dentry *rvfs_find_mountpoint(const struct path *root, unsigned int names,
				    unsigned int *dirs, unsigned int *count);

/* Inodes */
struct inode *rvfs_alloc_inode_sb(struct super_block *sb,
				  struct kmem_cache *cache);
struct kmem_cache *rvfs_inode_cache_create(const char *name, unsigned int size,
					   unsigned int align);
void rvfs_mutex_init(struct mutex *lock);
int rvfs_mutex_lock_interruptible(struct mutex *lock);
void rvfs_set_lock_classes(struct inode *inode, struct mutex *lock);
bool rvfs_inode_is_new(struct inode *inode);
bool rvfs_inode_unhashed(struct inode *inode);
void rvfs_inode_mark_creating(struct inode *inode);
bool rvfs_inode_has_dentries(struct inode *inode);
void rvfs_remove_inode_hash(struct inode *inode);
void rvfs_insert_inode_hash(struct inode *inode, unsigned long hash);
void rvfs_inode_no_acl_cache(struct inode *inode);
void rvfs_inode_set_pages(struct inode *inode,
			  const struct address_space_operations *ops);
void rvfs_inode_touch(struct inode *inode);
void rvfs_inode_touch_ctime(struct inode *inode);
bool rvfs_inuse_trylock(struct inode *inode);
void rvfs_inuse_unlock(struct inode *inode);
bool rvfs_is_inuse(struct inode *inode);
u64 rvfs_inode_stamp(const struct inode *inode);
loff_t rvfs_i_size_read(const struct inode *inode);
void rvfs_copyattr(struct inode *to, struct inode *from,
		   struct mnt_idmap *idmap);
void rvfs_copy_atime(struct inode *to, const struct inode *from);
void rvfs_copy_times(struct inode *to, const struct inode *from);
bool rvfs_inode_wrong_type(const struct inode *inode, umode_t mode);
const char *rvfs_vfs_get_link(struct dentry *dentry, struct delayed_call *done,
			      bool in_walk);
void rvfs_do_delayed_call(struct delayed_call *done);
void rvfs_kstat_map_owner(struct kstat *stat, const struct inode *inode,
			  struct mnt_idmap *idmap);
void rvfs_iattr_unmap_owner(struct iattr *attr, const struct inode *inode,
			    struct mnt_idmap *idmap);
int rvfs_get_write_access(struct inode *inode);
void rvfs_put_write_access(struct inode *inode);
bool rvfs_inode_is_open_for_write(const struct inode *inode);
bool rvfs_inode_is_mapped_writable(const struct inode *inode);
bool rvfs_inode_has_direct_io(const struct inode *inode);
void rvfs_inode_wait_for_direct_io(struct inode *inode);
int rvfs_count_mapping(struct file *file, struct file *user_file);
bool rvfs_vma_is_shared_maywrite(const struct vm_area_struct *vma);
void rvfs_drop_other_aliases(struct inode *inode, const struct dentry *keep);
void rvfs_init_rwsem(struct rw_semaphore *sem, u32 place, u32 depth);
unsigned int rvfs_memalloc_noio_save(void);
void rvfs_memalloc_noio_restore(unsigned int flags);
void rvfs_nap(void);
bool rvfs_inode_has_unwritten_data(const struct inode *inode);
int rvfs_inode_start_writeback(struct inode *inode);
void rvfs_inode_wait_for_writeback(struct inode *inode);
u32 rvfs_inode_wb_err(const struct inode *inode);
bool rvfs_kuid_mapped_here(kuid_t uid);
bool rvfs_kgid_mapped_here(kgid_t gid);

/* Access control lists */
void rvfs_posix_acl_release(struct posix_acl *acl);
int rvfs_posix_acl_create(struct inode *dir, umode_t *mode,
			  struct posix_acl **default_acl,
			  struct posix_acl **acl);
void rvfs_posix_acl_map(struct posix_acl *acl, const struct inode *inode,
			struct mnt_idmap *idmap);
struct posix_acl *rvfs_posix_acl_clone(const struct posix_acl *acl);
struct posix_acl *rvfs_vfs_get_acl(struct mnt_idmap *idmap,
				   struct dentry *dentry, const char *name);
int rvfs_vfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		     const char *name, struct posix_acl *acl);
int rvfs_vfs_remove_acl(struct mnt_idmap *idmap, struct dentry *dentry,
			const char *name);
struct posix_acl *rvfs_get_inode_acl(struct inode *inode, int type);
struct posix_acl *rvfs_get_cached_acl_rcu(struct inode *inode, int type);
bool rvfs_in_group_or_capable(struct mnt_idmap *idmap,
			      const struct inode *inode);

/* File attributes */
int rvfs_security_fileattr(struct file *file, const struct file_kattr *fa,
			   bool set);

/* fs-verity */
bool rvfs_fsverity_active(const struct inode *inode);
bool rvfs_fsverity_is_loaded(const struct inode *inode);
int rvfs_fsverity_get_digest(struct inode *inode, u8 *digest, u8 *algorithm);

/* Files */
void rvfs_file_replace_flags(struct file *file, unsigned int mask,
			     unsigned int flags);
void rvfs_file_take_direct_io(struct file *file, const struct file *real);
bool rvfs_vma_may_write_file(const struct vm_area_struct *vma);
void rvfs_init_sync_kiocb(struct kiocb *iocb, struct file *file, loff_t pos);

/* Copying data */
bool rvfs_file_can_seek(const struct file *file);
const struct inode *rvfs_file_user_inode(const struct file *file);
bool rvfs_is_killed(void);

/* Folios, which are marked by their private data */
bool rvfs_folio_is_marked(const struct folio *folio);
void rvfs_folio_mark(struct folio *folio);
void rvfs_folio_unmark(struct folio *folio);
struct super_block *rvfs_folio_sb(const struct folio *folio);
size_t rvfs_folio_size(const struct folio *folio);
void rvfs_folio_unlock_put(struct folio *folio);
void rvfs_folio_clean_unlock(struct folio *folio);
struct folio *rvfs_vmf_folio(struct vm_fault *vmf);

/* Counters of which each CPU has its own */
u64 __percpu *rvfs_percpu_alloc(size_t count);
void rvfs_percpu_free(u64 __percpu *counters);
void rvfs_percpu_add(u64 __percpu *counter, u64 n);
u64 rvfs_percpu_sum(u64 __percpu *counter);

/* Super blocks and mounts */
unsigned long rvfs_nr_to_scan(const struct shrink_control *control);
unsigned long rvfs_totalram_pages(void);
void rvfs_uuid_gen(u8 *uuid);
bool rvfs_sb_has_encoding(const struct super_block *sb);
int rvfs_sb_casefold(const struct super_block *sb, const char *name, size_t len,
		     u8 *folded, size_t room);
int rvfs_sb_take_encoding(struct super_block *sb, const struct super_block *from);
bool rvfs_sb_same_encoding(const struct super_block *a,
			   const struct super_block *b);
int rvfs_can_decode_fh(struct super_block *sb);
void rvfs_sb_start_write(struct super_block *sb);
bool rvfs_sb_start_write_trylock(struct super_block *sb);
void rvfs_sb_end_write(struct super_block *sb);
int rvfs_sync_filesystem(struct super_block *sb);
void rvfs_sb_lock_umount(struct super_block *sb);
void rvfs_sb_unlock_umount(struct super_block *sb);
int rvfs_sb_sync_fs(struct super_block *sb);
int rvfs_sb_flush_device(struct super_block *sb);
void rvfs_sb_errseq_set(struct super_block *sb, int err);
int rvfs_sb_read_device(const struct super_block *sb, u64 pos, u8 *to,
			size_t len);
ssize_t rvfs_sb_options(const struct super_block *sb, u8 *to, size_t len);
struct vfsmount *rvfs_clone_private_mount(const struct path *path);
void rvfs_fsid_from_uuid(struct kstatfs *buf, struct super_block *sb);
void rvfs_set_statfs(struct kstatfs *buf, long type, long namelen);
void rvfs_kill_sb(struct super_block *sb);
void rvfs_module_await_unused(struct module *module);
void rvfs_sb_set_stacking_flags(struct super_block *sb);
void rvfs_sb_set_in_memory(struct super_block *sb);
u32 rvfs_errseq_sample(struct super_block *sb);
int rvfs_errseq_check(struct super_block *sb, u32 since);

/* Mount contexts */
bool rvfs_fc_is_reconfigure(const struct fs_context *fc);
bool rvfs_fc_is_oldapi(const struct fs_context *fc);
bool rvfs_fc_in_current_userns(const struct fs_context *fc);
bool rvfs_current_in_userns_of(const struct fs_context *fc);
bool rvfs_fc_is_making(const struct fs_context *fc);
bool rvfs_fc_in_init_userns(const struct fs_context *fc);
bool rvfs_fc_ratelimit(void);
void rvfs_fc_error(struct fs_context *fc, const char *msg);
void rvfs_fc_warn(struct fs_context *fc, const char *msg);
void rvfs_fc_info(struct fs_context *fc, const char *msg);
void rvfs_pr_err(const char *prefix, const char *msg);
void rvfs_pr_warn(const char *prefix, const char *msg);
void rvfs_pr_info(const char *prefix, const char *msg);
enum fs_value_type rvfs_param_type(const struct fs_parameter *param);
char *rvfs_next_option(char **s);

/* Changing directories of a layer */
int rvfs_vfs_whiteout(struct mnt_idmap *idmap, struct inode *dir,
		      struct dentry *dentry);

/* Reading directories */
bool rvfs_dir_emit(struct dir_context *ctx, const char *name, int len, u64 ino,
		   unsigned int type);
u32 rvfs_name_hash(const char *name, size_t len, u64 key0, u64 key1);
bool rvfs_fatal_signal_pending(void);

/* Reports */
void rvfs_seq_show_option(struct seq_file *m, const char *name,
			  const char *value);
void rvfs_warn_dentry(const char *prefix, const char *msg, int len,
		      struct dentry *dentry, int err, const char *reason,
		      int reason_len);
void rvfs_warn_name(const char *prefix, const char *msg, struct dentry *dir,
		    const char *name, int len, int err, const char *reason,
		    int reason_len);
void rvfs_warn(const char *prefix, const char *msg);

/* Reports of mounts in sysfs */
struct rvfs_report;
typedef ssize_t (*rvfs_report_show_t)(const void *data, char *page,
				      size_t room);

struct kobject *rvfs_reports_create(const char *name);
void rvfs_reports_remove(struct kobject *reports);
bool rvfs_sb_in_init_userns(const struct super_block *sb);
struct rvfs_report *rvfs_report_add(struct super_block *sb,
				    struct kobject *reports, const void *data,
				    rvfs_report_show_t show);
void rvfs_report_del(struct rvfs_report *report);

/* Tracepoints: what vfs::trace tells one. */
#define RVFS_TRACE_VALUES 5

struct rvfs_trace {
	struct dentry *dentry;	/* whose path is told, or NULL */
	const char *text;
	size_t len;
	dev_t dev;
	int err;
	u64 ino;
	u64 values[RVFS_TRACE_VALUES];
};

char *rvfs_trace_path(const struct rvfs_trace *told);
char *rvfs_trace_text(const struct rvfs_trace *told);

/*
 * A tracepoint, which the macro tracepoints! of the crate calls.  All have the same
 * arguments, so that Rust cannot pass wrong ones.
 */
#define rvfs_tracepoint(name)						\
	void rvfs_trace_##name(const struct rvfs_trace *told);		\
	void rvfs_trace_##name(const struct rvfs_trace *told)		\
	{								\
		char *path = rvfs_trace_path(told);			\
		char *text = rvfs_trace_text(told);			\
									\
		trace_##name(told, path ?: "", text ?: "");		\
		kfree(path);						\
		kfree(text);						\
	}								\
	static_assert(true)

/*
 * A module parameter, which the macro module_parameters! of the crate reads.  Its
 * type is a part of the function's name, so that Rust cannot take it for another.
 */
#define rvfs_module_parameter(type, name, value, text)			\
	static type rvfs_##name##_value = value;			\
	module_param_named(name, rvfs_##name##_value, type, 0644);	\
	MODULE_PARM_DESC(name, text);					\
	type rvfs_parameter_##type##_##name(void);			\
	type rvfs_parameter_##type##_##name(void)			\
	{								\
		return READ_ONCE(rvfs_##name##_value);			\
	}								\
	static_assert(true)

#endif /* ROVL_VFS_HELPERS_H */
