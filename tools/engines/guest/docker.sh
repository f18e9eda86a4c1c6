#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# docker: docker with the driver overlay2: what it does with images and containers, and what its layers are. docker-many has what it does with many.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/docker.lib.sh
. /payload/docker.lib.sh

# dir_of CONTAINER NAME: a directory of the driver's.
dir_of() { docker inspect --format "{{.GraphDriver.Data.$2}}" "$1"; }
# What is the same in each run of docker for something of this one: names of layers.
masked() { sed -E 's/[0-9a-f]{64}(-init)?/ID\1/g; s/\b[0-9A-Z]{26}\b/LINK/g'; }

# As in "Use the OverlayFS storage driver" of docker's documentation: what a container's directory has, the short links, and the mount.
layout() {
	local top
	top=$(dirname "$(dir_of box UpperDir)")
	(cd "$top" && find . -maxdepth 1 -printf '%P %y %m\n' | LC_ALL=C sort) | said layout_container
	(cd "$(dirname "$(dir_of box LowerDir | sed 's/.*://')")" && find . -maxdepth 1 -printf '%P %y %m\n' | LC_ALL=C sort) | said layout_bottom
	masked <"$top/lower" | said layout_lower
	masked <"$top/link" | said layout_link
	readlink "/var/lib/docker/overlay2/l/$(cat "$top/link")" | masked | said layout_short
	# Numbers of objects in the making differ, and so does the mode (Documentation/on-disk-format.rst).
	listed "$top/work" | sed 's/#[0-9a-f]*/#N/; s/directory_[07]*_/directory_/' | said layout_work
	mount | grep ' type overlay ' | masked | said mount_line
	grep -o ' - overlay .*' /proc/self/mountinfo | masked | said mount_info
}
# After run_and_exec: what its changes are in the upper layer.
upper() {
	listed "$(dir_of box UpperDir)" | masked | said upper
	stat -c '%F %t:%T %a' "$(dir_of box UpperDir)/data/4" | said upper_whiteout
	getfattr --absolute-names --only-values --name=trusted.overlay.opaque "$(dir_of box UpperDir)/data/sub" | said upper_opaque
}
# A directory of a lower layer cannot be renamed: EXDEV, and programs copy then.
exdev() {
	docker_run --detach --name mover base sleep 10000
	python3 -c 'import os, sys
try:
    os.rename(sys.argv[1] + "/data/old", sys.argv[1] + "/data/young")
except OSError as error:
    print(error.errno, error.strerror)' "$(dir_of mover MergedDir)" | said exdev
	docker exec mover sh -c 'mv /data/old /data/young && cat /data/young/file && ls /data' | said exdev_mv
	docker rm --force mover
}
cached() { awk '/^Cached:/ { print int($2 / 1024) }' /proc/meminfo; }
# Two containers that read one file of an image have one copy of it in memory.
page_cache() {
	local before first second n
	mkdir -p large
	dd if=/dev/urandom of=large/file bs=1M count=32 status=none
	printf 'FROM base\nCOPY file /file\n' >large/Dockerfile
	DOCKER_BUILDKIT=0 docker build --tag large large
	rm -r large
	for n in 1 2; do docker_run --detach --name "reader$n" large sleep 10000; done
	sync
	echo 3 >/proc/sys/vm/drop_caches
	# What these programs are made of is there when it is counted.
	for n in 1 2; do docker exec "reader$n" wc -c /data/1; done
	before=$(cached)
	docker exec reader1 wc -c /file
	first=$(cached)
	docker exec reader2 wc -c /file
	second=$(cached)
	number page_cache "$before $first $second"
	[ $((first - before)) -ge 30 ] && [ $((second - first)) -le 8 ]
	docker rm --force reader1 reader2
	docker rmi large
}

try start_containerd start_containerd
try start_docker start_docker --storage-driver=overlay2
for test in info import run_and_exec layout upper diff_and_commit save_and_load exdev page_cache build_classic build_buildkit; do
	try $test $test
done
try rovl_image rovl_image archive
try stop_docker stop_docker
try stop_containerd stopped containerd
after
