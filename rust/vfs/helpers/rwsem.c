// SPDX-License-Identifier: GPL-2.0
/* Semaphores, and what is counted of shared mappings while one is made. */
#include <linux/delay.h>
#include <linux/task_work.h>
#include "helpers.h"

/*
 * A stacking file system can be the lower layer of another one, so there is one
 * class for each stacking depth.
 */
void rvfs_init_rwsem(struct rw_semaphore *sem, u32 place, u32 depth)
{
	static struct lock_class_key keys[2][FILESYSTEM_MAX_STACK_DEPTH + 1];

	if (place > 1)
		place = 1;
	if (depth > FILESYSTEM_MAX_STACK_DEPTH)
		depth = FILESYSTEM_MAX_STACK_DEPTH;
	__init_rwsem(sem, place ? "rovl_changing" : "rovl_writing",
		     &keys[place][depth]);
}

/* What is given back when the task has left the kernel. */
struct rvfs_mapped {
	struct callback_head work;
	struct file *file;
	struct file *user_file;
};

static void rvfs_mapped_end(struct callback_head *work)
{
	struct rvfs_mapped *mapped = container_of(work, struct rvfs_mapped, work);

	mapping_unmap_writable(mapped->file->f_mapping);
	fput(mapped->file);
	fput(mapped->user_file);
	kfree(mapped);
}

/*
 * Count a shared and writable mapping of file until the task returns to user space:
 * by then the mapping that it makes is counted itself, or was not made.  user_file, of
 * this module, keeps that: it is closed by this task, later.
 */
int rvfs_count_mapping(struct file *file, struct file *user_file)
{
	struct rvfs_mapped *mapped;
	int err;

	mapped = kmalloc_obj(*mapped);
	if (!mapped)
		return -ENOMEM;
	err = mapping_map_writable(file->f_mapping);
	if (err)
		goto free;
	init_task_work(&mapped->work, rvfs_mapped_end);
	mapped->file = get_file(file);
	mapped->user_file = get_file(user_file);
	err = task_work_add(current, &mapped->work, TWA_RESUME);
	if (!err)
		return 0;
	mapping_unmap_writable(file->f_mapping);
	fput(file);
	fput(user_file);
free:
	kfree(mapped);
	return err;
}

/* Whether a mapping is, or may become, shared and writable. */
bool rvfs_vma_is_shared_maywrite(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) ==
	       (VM_SHARED | VM_MAYWRITE);
}

bool rvfs_inode_is_mapped_writable(const struct inode *inode)
{
	return mapping_writably_mapped(inode->i_mapping);
}

bool rvfs_inode_has_direct_io(const struct inode *inode)
{
	return atomic_read(&inode->i_dio_count);
}

void rvfs_inode_wait_for_direct_io(struct inode *inode)
{
	inode_dio_wait(inode);
}

unsigned int rvfs_memalloc_noio_save(void)
{
	return memalloc_noio_save();
}

void rvfs_memalloc_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

void rvfs_nap(void)
{
	usleep_range(20, 50);
}

/*
 * Unhash all names of inode but one, which are looked up again then. Something may
 * be mounted on a name: that one stays.
 */
void rvfs_drop_other_aliases(struct inode *inode, const struct dentry *keep)
{
	struct dentry *alias;

	spin_lock(&inode->i_lock);
	for_each_alias(alias, inode) {
		if (alias == keep)
			continue;
		spin_lock_nested(&alias->d_lock, DENTRY_D_LOCK_NESTED);
		if (!d_unhashed(alias) && !d_mountpoint(alias))
			__d_drop(alias);
		spin_unlock(&alias->d_lock);
	}
	spin_unlock(&inode->i_lock);
}
