// SPDX-License-Identifier: GPL-2.0
//! Attributes that passfs keeps and memfs does not.

use rovl_testing::caller::{as_user, ALICE, BOB};
use rovl_testing::ops::{
    chmod, getxattr, listxattr, mkdir, mknod, mode, open_read, set_file_flags, setxattr, stat,
    write,
};
use rovl_testing::{acl, cases, ok, Test};
use rustix::fs::{self, FileType, IFlags, OFlags, XattrFlags};

use crate::pair::compare_passfs;

cases! {
    extended_attributes,
    hidden_attributes,
    access_control_lists,
    default_access_control_lists,
    file_attributes,
}

fn extended_attributes(t: &Test) {
    compare_passfs(t, |p| {
        write(p.path("f"), "x");
        mkdir(p.path("d"));
        for path in ["f", "d"] {
            let path = p.path(path);
            p.try_step("set", setxattr(&path, "user.a", "one"));
            p.try_step("empty", setxattr(&path, "user.empty", ""));
            p.try_step("trusted", setxattr(&path, "trusted.t", "two"));
            let create = fs::setxattr(&path, "user.a", b"x", XattrFlags::CREATE);
            p.try_step("create", create);
            let replace = fs::setxattr(&path, "user.no", b"x", XattrFlags::REPLACE);
            p.try_step("replace", replace);
            p.see("get", getxattr(&path, "user.a"));
            p.see("get empty", getxattr(&path, "user.empty"));
            p.see("get nothing", getxattr(&path, "user.no"));
            p.see("length", fs::getxattr(&path, "user.a", &mut [0u8; 0]));
            p.see("too short", fs::getxattr(&path, "user.a", &mut [0u8; 1]));
            p.see("list", listxattr(&path));
            p.see("length of list", fs::listxattr(&path, &mut [0u8; 0]));
            p.see("list too short", fs::listxattr(&path, &mut [0u8; 3]));
            p.try_step("remove", fs::removexattr(&path, "user.a"));
            p.try_step("remove again", fs::removexattr(&path, "user.a"));
            p.try_step("too long", setxattr(&path, "user.long", vec![0u8; 70_000]));
            p.try_step("no prefix", setxattr(&path, "plain", "x"));
        }
        let f = p.path("f");
        p.try_step("as another", as_user(ALICE, || setxattr(&f, "user.b", "x")));
    });
}

fn hidden_attributes(t: &Test) {
    compare_passfs(t, |p| {
        let f = p.path("f");
        write(&f, "x");
        chmod(&f, 0o666);
        ok(setxattr(&f, "trusted.hidden", "x"));
        ok(setxattr(&f, "user.seen", "x"));
        ok(setxattr(&f, "trusted.too", "x"));
        p.see("as another", as_user(ALICE, || listxattr(&f)));
        p.see("value", as_user(ALICE, || getxattr(&f, "trusted.hidden")));
        p.see("seen", as_user(ALICE, || getxattr(&f, "user.seen")));
    });
}

fn access_control_lists(t: &Test) {
    compare_passfs(t, |p| {
        let f = p.path("f");
        write(&f, "x");
        let list = acl::value(&[
            acl::owner(6),
            acl::user(ALICE, 4),
            acl::group_owner(0),
            acl::mask(6),
            acl::other(0),
        ]);
        p.try_step("set", setxattr(&f, acl::ACCESS, &list));
        p.see("mode", stat(&f).st_mode);
        p.see("get", getxattr(&f, acl::ACCESS));
        let access = |flags| fs::open(&f, flags, mode(0)).map(drop);
        p.try_step("named, read", as_user(ALICE, || access(OFlags::RDONLY)));
        p.try_step("named, write", as_user(ALICE, || access(OFlags::WRONLY)));
        p.try_step("other", as_user(BOB, || access(OFlags::RDONLY)));
        chmod(&f, 0o600);
        p.try_step("masked", as_user(ALICE, || access(OFlags::RDONLY)));
        let foreign = as_user(ALICE, || setxattr(&f, acl::ACCESS, &list));
        p.try_step("another one's", foreign);
        p.try_step("default of a file", setxattr(&f, acl::DEFAULT, &list));
        p.try_step("remove", fs::removexattr(&f, acl::ACCESS));
        p.see("mode without", stat(&f).st_mode);
        // Whoever is not in the group loses the bit with the change.
        rovl_testing::ops::chown(&f, ALICE, BOB);
        chmod(&f, 0o2755);
        p.try_step(
            "by its owner",
            as_user(ALICE, || setxattr(&f, acl::ACCESS, &list)),
        );
        p.see("mode then", stat(&f).st_mode);
    });
}

fn default_access_control_lists(t: &Test) {
    compare_passfs(t, |p| {
        mkdir(p.path("d"));
        let list = acl::value(&[
            acl::owner(7),
            acl::user(ALICE, 7),
            acl::group_owner(5),
            acl::mask(7),
            acl::other(0),
        ]);
        ok(setxattr(p.path("d"), acl::DEFAULT, &list));
        write(p.path("d/f"), "x");
        mkdir(p.path("d/sub"));
        ok(mknod(p.path("d/fifo"), FileType::Fifo, 0o666, 0));
        for path in ["d/f", "d/sub", "d/fifo"] {
            p.see(path, stat(p.path(path)).st_mode);
            p.see(path, getxattr(p.path(path), acl::ACCESS));
            p.see(path, getxattr(p.path(path), acl::DEFAULT));
        }
    });
}

fn file_attributes(t: &Test) {
    compare_passfs(t, |p| {
        let f = p.path("f");
        write(&f, "x");
        let ours = IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME;
        let shown = || ok(fs::ioctl_getflags(open_read(&f))) & ours;
        p.try_step("immutable", set_file_flags(&f, IFlags::IMMUTABLE));
        p.see("flags", shown());
        p.try_step("write", fs::open(&f, OFlags::WRONLY, mode(0)));
        p.try_step("unlink", fs::unlink(&f));
        p.try_step("chmod", fs::chmod(&f, mode(0o600)));
        p.try_step("attribute", setxattr(&f, "user.a", "x"));
        p.try_step("append only", set_file_flags(&f, IFlags::APPEND));
        p.see("flags", shown());
        p.try_step(
            "append",
            fs::open(&f, OFlags::WRONLY | OFlags::APPEND, mode(0)),
        );
        p.try_step("truncate", fs::open(&f, OFlags::WRONLY, mode(0)));
        p.try_step(
            "as another",
            as_user(ALICE, || set_file_flags(&f, IFlags::empty())),
        );
        p.try_step("none", set_file_flags(&f, IFlags::empty()));
        p.try_step("unlink", fs::unlink(&f));
        mkdir(p.path("d"));
        p.try_step("directory", set_file_flags(p.path("d"), IFlags::NOATIME));
        ok(set_file_flags(p.path("d"), IFlags::empty()));
    });
}
