// SPDX-License-Identifier: GPL-2.0
/* Open files, and what file systems know of a file: attributes and digests. */
#include "helpers.h"

void rvfs_file_replace_flags(struct file *file, unsigned int mask,
			     unsigned int flags)
{
	spin_lock(&file->f_lock);
	file->f_flags = (file->f_flags & ~mask) | (flags & mask);
	file->f_iocb_flags = iocb_flags(file);
	spin_unlock(&file->f_lock);
}

/* ->open() may set this bit of f_mode; a later change is as that of fadvise(). */
void rvfs_file_take_direct_io(struct file *file, const struct file *real)
{
	spin_lock(&file->f_lock);
	file->f_mode |= real->f_mode & FMODE_CAN_ODIRECT;
	spin_unlock(&file->f_lock);
}

/* Whether what is written through the mapping goes to the file. */
bool rvfs_vma_may_write_file(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) ==
	       (VM_SHARED | VM_MAYWRITE);
}

void rvfs_init_sync_kiocb(struct kiocb *iocb, struct file *file, loff_t pos)
{
	init_sync_kiocb(iocb, file);
	iocb->ki_pos = pos;
}

bool rvfs_file_can_seek(const struct file *file)
{
	return file->f_mode & FMODE_LSEEK;
}

const struct inode *rvfs_file_user_inode(const struct file *file)
{
	return file_user_inode(file);
}

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
