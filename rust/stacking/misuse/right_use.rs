// SPDX-License-Identifier: GPL-2.0

//! What the other programs do wrong, done right. This one compiles, so that what the others fail for
//! is what is written in them, and not the way in which they are built.

use kernel::{
    fs,
    prelude::*, //
};
use stacking::{
    backing_file::{
        BackingFile,
        Callbacks, //
    },
    copy::DataCopy,
    cred::{
        AsMounter,
        Mounter, //
    },
    mount::{
        UpperMount,
        WriteGuard, //
    },
    namei::Creating,
    path::LayerPath,
    prelude::*, //
};
use vfs::{
    dentry::{
        Child,
        Dentry,
        LockedDentry,
        Negative,
        Positive, //
    },
    file::{
        File,
        IovIterDest,
        IovIterSource,
        Kiocb,
        PipeDest,
        PipeSource, //
    },
    iattr::{
        Iattr,
        Setattr, //
    },
    inode::{
        Inode,
        InodeLock,
        Locked,
        LockedByInode,
        NewInode,
        RcuInode, //
    },
    mount::{
        Idmap,
        Mount, //
    },
    namei::{
        InLookup,
        Spliced, //
    },
    path::Path,
    super_block::{
        Filled,
        NewSuperBlock,
        SuperBlock, //
    },
    FileSystem,
    Foreign,
    Ref, //
};

fn as_mounter(mounter: &Mounter) -> bool {
    mounter.run(|m| m.is_admin())
}

fn read<C: Callbacks>(
    real: &BackingFile,
    mounter: &Mounter,
    iocb: Kiocb<'_, C::FileSystem>,
    iter: IovIterDest<'_>,
) -> Result<usize> {
    real.read_iter::<C>(mounter, iocb, iter)
}

fn write<C: Callbacks>(
    real: &BackingFile,
    mounter: &Mounter,
    lock: &InodeLock<'_, C::FileSystem>,
    iocb: Kiocb<'_, C::FileSystem>,
    iter: IovIterSource<'_>,
) -> Result<usize> {
    real.write_iter::<C>(mounter, lock, iocb.without_sync(), iter)
}

fn splice<F: FileSystem>(file: &File<F>, to: PipeDest<'_>, from: PipeSource<'_>) -> Result {
    file.splice_page_cache(&mut 0, to, 1, 0)?;
    file.splice_by_write(from, &mut 0, 1, 0).map(drop)
}

fn seek<F: FileSystem>(m: &AsMounter, real: &BackingFile, file: &File<F>) -> Result<i64> {
    let lock = file.inode().lock_mutex();
    real.llseek(m, &lock, file, 0, 0)
}

fn copy(mounter: &Mounter, from: LayerPath<'_>, to: &fs::File) -> Result<i64> {
    mounter.run(|m| DataCopy::new(m, from, to)?.share(1))
}

fn fill<'a, F: FileSystem>(
    mut sb: NewSuperBlock<'a, F>,
    data: F::Super,
    root: impl FnOnce(&SuperBlock<F>) -> Result<NewInode<'_, F>>,
) -> Result<Filled<'a, F>> {
    sb.set_rdonly();
    sb.finish(data, root, |_: &Dentry<F>| ())
}

fn instantiate<F: FileSystem>(
    dir: &Locked<'_, F>,
    dentry: Negative<'_, F>,
    mut inode: NewInode<'_, F>,
) -> Result {
    inode.set_size(1);
    let dentry: Child<'_, F> = dentry.instantiate(inode)?;
    dir.touch();
    dentry.drop_from_hash();
    Ok(())
}

fn link<F: FileSystem>(old: &LockedDentry<'_, F>, new: Negative<'_, F>) -> Result {
    old.inode().inc_nlink();
    new.instantiate(Ref::from(old.inode().inode())).map(drop)
}

fn unlink<F: FileSystem>(dir: &Locked<'_, F>, dentry: &Positive<'_, F>) {
    dir.drop_nlink();
    dentry.inode().clear_nlink();
    dentry.make_discardable();
}

fn setattr<F: FileSystem>(
    idmap: Idmap<'_>,
    dentry: &LockedDentry<'_, F>,
    mut change: Setattr<'_>,
) -> Result {
    change.prepare(idmap, dentry)?;
    change.apply(idmap, dentry)
}

fn links<F: FileSystem>(inode: &Inode<F>) {
    inode.lock_rwsem().set_nlink(1);
}

fn make(mount: UpperMount<'_>, m: &AsMounter, dir: &Dentry<Foreign>) -> Result {
    let write = mount.want_write()?;
    let name: Creating<'_> = write.start_creating(m, dir, b"name")?;
    name.create(0).map(drop)
}

fn change(write: &WriteGuard<'_>, m: &AsMounter, dentry: &Dentry<Foreign>) -> Result {
    let lock = dentry.inode().ok_or(ENOENT)?.lock();
    write.notify_change(m, &lock, dentry, &mut Iattr::mode(0))
}

fn proof<F: FileSystem>(inode: &Inode<F>, data: &LockedByInode<F, u32>) -> Result<u32> {
    let mut lock = inode.lock_rwsem();
    let mut proof: Locked<'_, F> = lock.proof();
    Ok(*data.get(&mut proof)?)
}

fn lookup<'a, F: FileSystem>(
    dentry: InLookup<'a, F>,
    inode: impl FnOnce(&[u8]) -> Option<Ref<'a, Inode<F>>>,
) -> Result<Spliced<'a, F>> {
    let inode = inode(dentry.name());
    dentry.splice(inode)
}

fn rcu<'a, F: FileSystem>(inode: &RcuInode<'a, F>) -> &'a F::Super {
    inode.super_data()
}

fn kept_by_the_mount<'a>(
    mount: &'a Mount,
    dentry: &Dentry<Foreign>,
) -> Result<Ref<'a, Dentry<Foreign>>> {
    mount.adopt(Ref::from(dentry))
}

fn kept_for_ever(mount: &Mount, dentry: &Dentry<Foreign>) -> Result<Path> {
    Ok(LayerPath::new(mount, dentry)?.to_path())
}

fn name<F>(dentry: &Dentry<F>) -> usize {
    dentry.with_name(|name| name.len())
}
