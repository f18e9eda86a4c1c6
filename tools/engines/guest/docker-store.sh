#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# docker-store: docker on containerd's image store with the snapshotter overlayfs, and containerd by its own command.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/docker.lib.sh
. /payload/docker.lib.sh

masked() { sed -E 's/[0-9a-f]{64}(-init)?/ID\1/g; s,snapshots/[0-9]+/,snapshots/N/,g'; }
mounts() { grep -o ' - overlay .*' /proc/self/mountinfo | masked | said mounts; }

# containerd's own command: an image, its layers unpacked, a container on them and one with a view of them.
ctr_import() {
	python3 /payload/archive.py many.tar 5 bin/busybox=/usr/bin/busybox
	ctr images import --snapshotter overlayfs many.tar
	ctr images list --quiet | said ctr_images
	ctr snapshots list | awk 'NR > 1 { print $NF }' | sort | uniq -c | sed 's/^ *//' | said ctr_snapshots
}
ctr_run() {
	ctr run --rm --snapshotter overlayfs docker.io/library/many:latest one /bin/busybox sh -c \
		'cd /d; /bin/busybox ls; /bin/busybox cat /same 3; /bin/busybox rm 3; echo new >5; /bin/busybox ls' | said ctr_run
	{ ctr run --rm --read-only --snapshotter overlayfs docker.io/library/many:latest two /bin/busybox sh -c \
		'/bin/busybox cat /same; echo no >/d/new' 2>&1 || true; } | said ctr_read_only
}
ctr_commit() {
	local mount
	mount=$(ctr images mount --rw --snapshotter overlayfs docker.io/library/many:latest /mnt)
	rm -r /mnt/d
	mkdir /mnt/d
	echo changed >>/mnt/same
	contents /mnt | grep -v busybox | said ctr_mounted
	umount /mnt
	echo "$mount"
	ctr images remove docker.io/library/many:latest
}

try start_containerd start_containerd
for test in ctr_import ctr_run ctr_commit; do try $test $test; done
mkdir -p /etc/docker
echo '{ "features": { "containerd-snapshotter": true } }' >/etc/docker/daemon.json
try start_docker start_docker
for test in info import run_and_exec mounts diff_and_commit save_and_load build_buildkit; do try $test $test; done
try rovl_image rovl_image layout
try many_layers many_layers 120
try fifty fifty 50
try killed killed
try prune prune
try stop_docker stop_docker
try stop_containerd stopped containerd
after
