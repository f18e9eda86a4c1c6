// SPDX-License-Identifier: GPL-2.0

//! `mount.overlay`, the helper of mount(8), on the overlay of this machine.

mod support;

use support::{can_mount, kind, run, script};

/// Makes `n` layers, each with a file, whose paths are longer than one text, and `$lower` to name them.
const LAYERS: &str = "
mkdir -p m u w
lower=
for i in $(seq 40); do
	mkdir -p layer-number-$i; echo $i >layer-number-$i/file-$i
	lower=$lower${lower:+:}$PWD/layer-number-$i
done
";

#[test]
fn long_lowerdirs_are_mounted() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "{LAYERS}
        $mount_helper none $PWD/m -n -o rw,lowerdir=$lower,upperdir=u,workdir=w,nosuid,noatime
        test $(ls m | wc -l) = 40
        test $(cat m/file-17) = 17
        touch m/new; test -e u/new
        findmnt -n -o OPTIONS m
        $mount_helper none $PWD/m -o remount,ro
        ! touch m/more 2>/dev/null
        findmnt -n -o OPTIONS m"
    );
    let shown = run(dir.path(), &text);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("rw,nosuid,noatime,"), "{shown}");
    assert_eq!(lines[0].matches("lowerdir+=").count(), 40, "{shown}");
    assert!(lines[1].starts_with("ro,nosuid,noatime,"), "{shown}");
}

#[test]
fn short_options_are_left_as_they_are() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = r"
        mkdir m a:b c,d; touch a:b/1 c,d/2
        $mount_helper 'the source' m -o 'lowerdir=a\:b:c\,d,ro'
        ls m; findmnt -n -o SOURCE,OPTIONS m";
    let shown = run(dir.path(), text);
    assert!(shown.starts_with("1\n2\nthe source ro,"), "{shown}");
    assert!(shown.contains(r"lowerdir=a\:b:c\,d"), "{shown}");
}

#[test]
fn long_paths_are_mounted() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "
        n=$(printf %0200d 0); d=$PWD/$n/$n
        mkdir -p m $d/l1 $d/l2 $d/u $d/w; touch $d/l1/1 $d/l2/2
        $mount_helper none m -o lowerdir=$d/l1:$d/l2,upperdir=$d/u,workdir=$d/w
        ls m; touch m/new; ls $d/u";
    assert_eq!(run(dir.path(), text), "1\n2\nnew\n");
}

#[test]
fn remounts_repeat_what_the_table_has() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = format!(
        "{LAYERS}
        mkdir with,comma
        $mount_helper none m -o lowerdir=$lower:'with\\,comma',upperdir=u,workdir=w
        # As mount(8) does: what findmnt says, which cuts at commas.
        options=$(findmnt -n -o FS-OPTIONS m)
        $mount_helper none m -o $options,remount,ro,nodev
        findmnt -n -o VFS-OPTIONS m
        $mount_helper none m -o remount,bind,rw
        findmnt -n -o VFS-OPTIONS,FS-OPTIONS m | cut -c -40
        ! $mount_helper none m -o remount,upperdir=other 2>&1"
    );
    let shown = run(dir.path(), &text);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("ro,nodev"), "{shown}");
    // Only the mount was made writable, not the file system.
    assert!(lines[1].starts_with("rw,nodev"), "{shown}");
    assert!(lines[1].contains(" ro,"), "{shown}");
    assert!(lines[2].contains("option upperdir=other"), "{shown}");
}

#[test]
fn refusals_say_what_the_kernel_says() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let cases = [
        ("lowerdir=l:l2,no_such_option", 32, "no_such_option"),
        ("lowerdir=/missing", 32, "mount.TYPE: m: "),
        ("bind,lowerdir=l", 1, "mount --bind"),
    ];
    for (options, code, part) in cases {
        let text = format!("mkdir -p m l l2; $mount_helper none m -o {options}");
        let output = script(dir.path(), &text);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options}: {shown}");
        let part = part.replace("TYPE", &kind());
        assert!(shown.contains(&part), "{options}: {shown}");
    }
    run(
        dir.path(),
        "$mount_helper -s none m -o lowerdir=l:l2,no_such_option",
    );
    run(
        dir.path(),
        "$mount_helper -f none m -o lowerdir=/missing; ! findmnt m",
    );
    let output = script(dir.path(), "$mount_helper none");
    assert_eq!(output.status.code(), Some(1), "usage");
}

#[test]
fn other_namespaces_are_entered() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let text = "
        mkdir m l l2; touch l/file
        unshare --mount --propagation private sh -c 'echo $$ >pid; exec sleep 60' &
        until test -s pid; do sleep 0.1; done
        trap 'kill $(cat pid)' EXIT
        # The root of a namespace is not that of a chroot.
        nsenter --mount --target $(cat pid) test -d $PWD/m || { echo skipped; exit; }
        $mount_helper none $PWD/m -N $(cat pid) -o lowerdir=$PWD/l:$PWD/l2
        test ! -e m/file
        nsenter --mount --target $(cat pid) ls $PWD/m";
    match run(dir.path(), text).as_str() {
        "skipped\n" => println!("skipped: this is a chroot, and other mount namespaces are not"),
        shown => assert_eq!(shown, "file\n"),
    }
}

#[test]
fn mount_8_runs_the_helper() {
    if !can_mount() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    // The program is put beside the others of this machine, for this namespace.
    let text = format!(
        "{LAYERS}
        mkdir sbin.upper sbin.work; ln -s $rovl sbin.upper/mount.$type
        mount -i -t $type sbin -o lowerdir=/sbin,upperdir=sbin.upper,workdir=sbin.work /sbin
        mount -t $type none m -o lowerdir=$lower,upperdir=u,workdir=w,noexec
        ls m | wc -l
        mount -o remount,ro m
        findmnt -n -o FS-OPTIONS m | grep -o 'lowerdir+' | wc -l
        findmnt -n -o VFS-OPTIONS,FS-OPTIONS m | cut -c -21
        umount m; mount --bind u m"
    );
    let shown = run(dir.path(), &text);
    assert_eq!(shown, "40\n40\nro,noexec,relatime ro\n", "{shown}");
}
