// SPDX-License-Identifier: GPL-2.0
/* Dentries. */
#include "helpers.h"

void rvfs_dget(struct dentry *dentry)
{
	dget(dentry);
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

void rvfs_d_fsdata_clear_bit(struct dentry *dentry, unsigned int bit)
{
	clear_bit(bit, (unsigned long *)&dentry->d_fsdata);
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

/*
 * Whether something is mounted on @dentry, or something below it but @child is
 * used. May sleep.
 */
bool rvfs_d_is_in_use(struct dentry *dentry, const struct dentry *child)
{
	struct dentry *other;
	bool in_use;

	if (d_is_dir(dentry))
		shrink_dcache_parent(dentry);
	spin_lock(&dentry->d_lock);
	in_use = d_mountpoint(dentry);
	hlist_for_each_entry(other, &dentry->d_children, d_sib)
		in_use |= other != child;
	spin_unlock(&dentry->d_lock);
	return in_use;
}

struct dentry *rvfs_dget_parent(struct dentry *dentry)
{
	return dget_parent(dentry);
}

/* Dentries that are still to be looked at, as a ring.  RCU keeps their memory. */
#define RVFS_QUEUE_LEN 64

struct rvfs_queue {
	struct dentry *dentry[RVFS_QUEUE_LEN];
	unsigned int head, tail;
};

/*
 * Queue the mount points among the cached children of @dir and, to go @deeper,
 * those that have children there themselves.  The children that came last are the
 * first.
 */
static void rvfs_queue_children(struct rvfs_queue *queue, struct dentry *dir,
				unsigned int names, bool deeper)
{
	struct dentry *child;

	spin_lock(&dir->d_lock);
	hlist_for_each_entry(child, &dir->d_children, d_sib) {
		if (!names-- || queue->tail - queue->head == RVFS_QUEUE_LEN)
			break;
		if (d_mountpoint(child) ||
		    (deeper && !hlist_empty(&child->d_children)))
			queue->dentry[queue->tail++ % RVFS_QUEUE_LEN] = child;
	}
	spin_unlock(&dir->d_lock);
}

/*
 * Whether something is mounted on @dentry or below it, in any namespace, or so
 * much is in use there that it cannot be told.  May sleep.
 */
bool rvfs_d_has_mounts(struct dentry *dentry)
{
	struct rvfs_queue queue __uninitialized;
	bool found = d_mountpoint(dentry);

	if (found || !d_is_dir(dentry))
		return found;
	shrink_dcache_parent(dentry);
	queue.head = 0;
	queue.tail = 0;
	rcu_read_lock();
	rvfs_queue_children(&queue, dentry, UINT_MAX, true);
	while (!found && queue.head != queue.tail) {
		if (queue.tail - queue.head == RVFS_QUEUE_LEN) {
			/* There may be more that were not queued. */
			found = true;
			break;
		}
		dentry = queue.dentry[queue.head++ % RVFS_QUEUE_LEN];
		found = d_mountpoint(dentry);
		rvfs_queue_children(&queue, dentry, UINT_MAX, true);
	}
	rcu_read_unlock();
	return found;
}

/*
 * The first dentry below @root, with a reference, on which something is mounted
 * as seen through the mount of @root.  Looks at no more than @names cached
 * children of a directory; and into @root and *@dirs directories below, nearest
 * first, of which it takes off those that it looked into.  *@count is how many it
 * saw.
 */
struct dentry *rvfs_find_mountpoint(const struct path *root, unsigned int names,
				    unsigned int *dirs, unsigned int *count)
{
	struct path path = *root;
	struct dentry *first = NULL;
	struct rvfs_queue queue __uninitialized;

	*count = 0;
	queue.head = 0;
	queue.tail = 0;
	rcu_read_lock();
	rvfs_queue_children(&queue, root->dentry, names, *dirs);
	while (queue.head != queue.tail) {
		path.dentry = queue.dentry[queue.head++ % RVFS_QUEUE_LEN];
		/* Not under d_lock, which is taken under mount_lock. */
		if (d_mountpoint(path.dentry) && path_is_mountpoint(&path)) {
			++*count;
			if (!first && lockref_get_not_dead(&path.dentry->d_lockref))
				first = path.dentry;
		}
		if (hlist_empty(&path.dentry->d_children) || !*dirs)
			continue;
		--*dirs;
		rvfs_queue_children(&queue, path.dentry, names, *dirs);
	}
	rcu_read_unlock();
	return first;
}
