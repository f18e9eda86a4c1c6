// SPDX-License-Identifier: GPL-2.0
/* Super blocks and mounts. */
#include <linux/blkdev.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/shrinker.h>
#include <linux/unicode.h>
#include "helpers.h"

/*
 * Waits until nobody has a reference on a module but who loads or unloads it. A
 * mount, and what prepares one, has one. Where that cannot be known it waits for
 * good.
 */
void rvfs_module_await_unused(struct module *module)
{
#ifdef CONFIG_MODULE_UNLOAD
	/* Who loads it has a reference, who unloads it has taken its own back. */
	while (module && module_refcount(module) >
			 (module->state == MODULE_STATE_COMING))
		msleep(20);
	if (module)
		return;
#endif
	for (;;)
		ssleep(3600);
}

unsigned long rvfs_nr_to_scan(const struct shrink_control *control)
{
	return control->nr_to_scan;
}

unsigned long rvfs_totalram_pages(void)
{
	return totalram_pages();
}

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

/*
 * The encoding of @from, loaded once more: that of @from goes with it. It stays
 * the same once it is set, because dentries may have been hashed with it.
 */
int rvfs_sb_take_encoding(struct super_block *sb, const struct super_block *from)
{
	if (!sb_has_encoding(from))
		return 0;
	if (sb_has_encoding(sb))
		return -EEXIST;
#if IS_ENABLED(CONFIG_UNICODE)
	struct unicode_map *encoding;

	if (sb_has_strict_encoding(from))
		return -EINVAL;
	encoding = utf8_load(from->s_encoding->version);
	if (IS_ERR(encoding))
		return PTR_ERR(encoding);
	sb->s_encoding = encoding;
	sb->s_encoding_flags = from->s_encoding_flags;
#endif
	return 0;
}

/*
 * An inode that is lost while a mount is made, which then fails, stays in the
 * inode cache. It must not be found for another super block in this place;
 * generic_shutdown_super() sees to that only where there is a root.
 */
static void poison_lost_inodes(struct super_block *sb)
{
	struct inode *inode;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		inode->i_op = VFS_PTR_POISON;
		inode->i_sb = VFS_PTR_POISON;
		inode->i_mapping = VFS_PTR_POISON;
	}
	spin_unlock(&sb->s_inode_list_lock);
}

/* Whoever is in RCU walk may still use the encoding, so the pointer stays. */
void rvfs_kill_sb(struct super_block *sb)
{
	if (!sb->s_root)
		poison_lost_inodes(sb);
	kill_anon_super(sb);
#if IS_ENABLED(CONFIG_UNICODE)
	utf8_unload(sb->s_encoding);
#endif
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

bool rvfs_sb_start_write_trylock(struct super_block *sb)
{
	return sb_start_write_trylock(sb);
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

void rvfs_sb_lock_umount(struct super_block *sb)
{
	down_read(&sb->s_umount);
}

void rvfs_sb_unlock_umount(struct super_block *sb)
{
	up_read(&sb->s_umount);
}

/* What sync_filesystem() ends with, for file systems with a journal. */
int rvfs_sb_sync_fs(struct super_block *sb)
{
	return sb->s_op->sync_fs ? sb->s_op->sync_fs(sb, 1) : 0;
}

int rvfs_sb_flush_device(struct super_block *sb)
{
	return sb->s_bdev ? blkdev_issue_flush(sb->s_bdev) : 0;
}

void rvfs_sb_errseq_set(struct super_block *sb, int err)
{
	errseq_set(&sb->s_wb_err, err);
}

/*
 * Reads what is at @pos of the block device of @sb, all in one page, as the
 * page cache of the device has it: what a file system reads with sb_bread() and
 * changes there is seen as it is now.
 */
int rvfs_sb_read_device(const struct super_block *sb, u64 pos, u8 *to,
			size_t len)
{
	struct folio *folio;

	if (!sb->s_bdev)
		return -ENODEV;
	if (offset_in_page(pos) + len > PAGE_SIZE)
		return -EINVAL;
	folio = read_mapping_folio(sb->s_bdev->bd_mapping, pos >> PAGE_SHIFT,
				   NULL);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	memcpy_from_folio(to, folio, offset_in_folio(folio, pos), len);
	folio_put(folio);
	return 0;
}

/*
 * The options that @sb shows of itself in /proc/mounts, each after a comma. Only
 * for file systems that do not ask who opened that file. Returns their length.
 */
ssize_t rvfs_sb_options(const struct super_block *sb, u8 *to, size_t len)
{
	struct seq_file m = { .buf = (char *)to, .size = len };
	int err;

	if (!sb->s_op->show_options)
		return 0;
	err = sb->s_op->show_options(&m, sb->s_root);
	if (err)
		return err;
	return seq_has_overflowed(&m) ? -E2BIG : m.count;
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

void rvfs_fsid_from_uuid(struct kstatfs *buf, struct super_block *sb)
{
	buf->f_fsid = uuid_to_fsid(sb->s_uuid.b);
}

void rvfs_set_statfs(struct kstatfs *buf, long type, long namelen)
{
	buf->f_type = type;
	buf->f_namelen = namelen;
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
