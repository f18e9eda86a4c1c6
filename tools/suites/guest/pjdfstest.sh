#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# pjdfstest: what POSIX says of each operation on names and attributes, for root and for other users.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

# Changes of a whole mount to read-only and back go through mount(2): of the options that mount(8) would repeat through fsconfig(2) an overlay
# takes none in a remount.
export LIBMOUNT_FORCE_MOUNT2=always

# pjdfstest PATTERN...: the tests with one of these in their names, or all.
pjdfstest() {
	/payload/pjdfstest --configuration-file /payload/pjdfstest.conf.toml --secondary-fs /scratch/tmpfs --path "$mnt" "$@" 2>/tmp/stderr |
		sed -E "s/^([a-z_0-9:]+) +(ok|FAILED|skipped)\$/@ \2 $fs::\1/"
	cat /tmp/stderr
}

for fs in ext4 xfs; do
	new_layers $fs
	mount_layers || exit
	# Other tests leave files open for writing, and then a mount cannot become read-only: these have a process of their own.
	pjdfstest erofs
	# Character devices with number 0 cannot be made in an overlay, they are whiteouts: the tests of "char", which make one, fail on both.
	pjdfstest | grep -v '^@ .*::erofs_'
	unmount_layers || exit
done
