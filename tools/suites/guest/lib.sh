# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the suites share in the guest. Sourced by SUITE.sh, which gets the type to test as its argument.

set -u
# shellcheck disable=SC2034 # used by those who source this
type=$1
mnt=/mnt

# result ok|FAILED|skipped NAME: a line that the host counts.
result() { printf '@ %s %s\n' "$1" "$2"; }

# limit SECONDS [COMMAND...]: as timeout(1), but the guest's own progress counts, so that a busy host does not fail a test.
limit() { /payload/.guest/limit "$@"; }

# test_case NAME COMMAND...: one command that is one test. Its output is shown if it fails.
test_case() {
	local name=$1 log=/tmp/log status=0
	shift
	limit "${LIMIT:-120}" "$@" >"$log" 2>&1 || status=$?
	if [ $status = 0 ]; then
		result ok "$name"
	else
		echo "$name: status $status"
		tail -n 30 "$log"
		result FAILED "$name"
	fi
}

# new_layers FS: an empty lower and upper layer on the scratch file system FS, not mounted.
new_layers() {
	base=/scratch/$1/suite-$type
	rm -rf "$base"
	mkdir -p "$base"/{lower,upper,work}
	chmod 755 "$base"/{lower,upper}
}

# mount_layers: mounts them; unmount_layers: ends that, and checks that nothing keeps it busy.
mount_layers() { mount -t "$type" "$type" -o "lowerdir=$base/lower,upperdir=$base/upper,workdir=$base/work" $mnt; }
unmount_layers() {
	umount $mnt || return 1
	rm -rf "$base"
}
