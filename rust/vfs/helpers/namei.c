// SPDX-License-Identifier: GPL-2.0
/* Names in directories. */
#include <linux/siphash.h>
#include "helpers.h"

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
