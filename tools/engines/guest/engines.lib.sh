# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the steps share in the guest. Sourced by STEP.sh, which gets the type to test as its argument. Both types have the name overlay in the guest.

# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

# Where steps leave what they need, and the disk of tests that the host has built.
work=/var/tmp/work
disk=/mnt/disk
mkdir -p $work $disk
mountpoint -q $disk || mount -o ro /dev/vde $disk
cd $work || exit

# said NAME: its input is what an engine says, which has to be the same on both types, and not nothing.
said() { sed "s/^/= $1 /" | grep .; }
# number NAME VALUE: what was measured.
number() { printf '%% %s %s\n' "$1" "$2"; }

# try NAME FUNCTION [ARGUMENT...]: a function that is one test. It ends at its first error, or after LIMIT seconds of progress. What it says by `said`
# and `number` is passed on; all else, with the commands, is shown if it fails.
try() {
	local name=$1 log=$work/log job timer status=0
	shift
	set -m
	# The commands are shown on a descriptor of their own: what they say of errors may be looked at.
	(exec 9>&1; BASH_XTRACEFD=9; set -euxo pipefail; "$@") >$log 2>&1 </dev/null &
	job=$!
	(limit "${LIMIT:-900}"; kill -TERM -- "-$job"; sleep 5; kill -KILL -- "-$job") >/dev/null 2>&1 &
	timer=$!
	set +m
	wait $job || status=$?
	kill -TERM -- "-$timer" 2>/dev/null
	wait $timer 2>/dev/null
	grep -aE '^[=%] ' $log
	if [ $status = 0 ]; then
		result ok "$name"
	else
		echo "$name: status $status"
		grep -avE '^[=%] ' $log | tail -n "${LINES_SHOWN:-40}"
		result FAILED "$name"
	fi
	echo "# $name took until $(cut -d' ' -f1 /proc/uptime)"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$(($(limit) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(limit)" -lt $end ] || { echo "no success in time: $*"; return 1; }
		sleep 0.3
	done
}

# started NAME COMMAND...: a daemon, with its output in a file. Its number is in the file NAME.pid.
started() {
	local name=$1
	shift
	setsid "$@" >>"$work/$name.log" 2>&1 </dev/null &
	echo $! >"$work/$name.pid"
}
# stopped NAME: asks a daemon to end, and waits for it.
stopped() {
	local pid
	pid=$(cat "$work/$1.pid") && rm "$work/$1.pid" && kill "$pid"
	wait_for 60 not kill -0 "$pid"
}
not() { ! "$@"; }

# contents DIR: names, kinds, modes, owners, targets of links and contents of all in a tree, as text.
contents() {
	(cd "${1:?}" && find . -mindepth 1 -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0r md5sum)
}

# exported ENGINE IMAGE: the contents of an image, as docker or podman exports it.
exported() {
	local id
	id=$("${1:?}" create "${2:?}" sh)
	rm -rf exported
	mkdir exported
	"$1" export "$id" | tar --extract --numeric-owner --directory=exported
	"$1" rm "$id" >/dev/null
	contents exported
}

# listed DIR: what a layer has: whiteouts, opaque directories and all else.
listed() {
	(cd "${1:?}" && find . -mindepth 1 | LC_ALL=C sort | while read -r name; do
		mark=''
		if [ -c "$name" ] && [ "$(stat -c %t:%T "$name")" = 0:0 ]; then mark=' whiteout'; fi
		mark+=$(getfattr --absolute-names --no-dereference --match='overlay.(opaque|redirect|metacopy)' --dump "$name" 2>/dev/null | sed -n 's/^\(trusted\|user\)\./ \1./p' | tr -d '\n')
		echo "$name $(stat -c '%F %a %u:%g' "$name" | tr ' ' '_')$mark"
	done)
}

# small_root DIR: a tree with busybox, and with what the steps change.
small_root() {
	mkdir -p "$1"/{bin,etc,proc,sys,dev,tmp,root,data/{sub/deep,old,merged}}
	cp /usr/bin/busybox "$1/bin/"
	for applet in cat chmod chown cut dd grep head id ln ls mkdir mknod mv readlink rm sed sh sleep sort stat sync tail test touch truncate wc; do
		ln -s busybox "$1/bin/$applet"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
	for n in 0 1 2 3 4 5 6 7 8 9; do echo "file $n" >"$1/data/$n"; done
	echo deep >"$1/data/sub/deep/file"
	echo old >"$1/data/old/file"
	echo below >"$1/data/merged/below"
	ln "$1/data/0" "$1/data/link"
	ln -s 1 "$1/data/symlink"
	chmod 4755 "$1/data/2"
	chown 5:6 "$1/data/3"
	find "$1" -exec touch --no-dereference --date='2026-01-01 00:00:00 UTC' {} +
}

# What a container does to that tree. Each line is a change that a layer has a form of its own for.
# shellcheck disable=SC2034,SC2016 # used by those who source this; for the container's shell
changes='set -e; cd /data; rm 4; echo more >>5; rm -r sub; mkdir sub; echo new >sub/file; mv old young; chmod 600 6; chown 7:8 7; ln 8 eight; mkdir made
	ln -s made to; mv 9 nine; echo above >merged/above; truncate -s 3 1; mknod pipe p; rm link; touch -d "2026-02-02 02:02:02" 2'

# after: what has to be so when a step has ended its engines: no overlay is mounted, nobody uses the module, no process of theirs is left.
after() {
	try after::no_mounts not grep -w overlay /proc/self/mountinfo
	try after::no_processes not pgrep -a 'containerd|dockerd|conmon|runc|crun|podman|fuse-overlayfs|systemd-nspawn|bwrap|catatonit'
	try after::module_unused wait_for 30 grep -qx 0 /sys/module/overlay/refcnt
	umount $disk
}

# Which module it is: the in-tree one has no version.
module=in-tree
[ ! -e /sys/module/overlay/version ] || module=$(cat /sys/module/overlay/version)
echo "# module $module"
case $type:$module in
overlay:in-tree | rovl:rovl) ;;
*) echo "the guest has the module $module, not that of $type"; exit 1 ;;
esac
