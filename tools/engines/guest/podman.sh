#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# podman: podman as root: with native diffs, with metacopy, with mapped ids, pods.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/podman.lib.sh
. /payload/podman.lib.sh

mounts() {
	grep -o ' - overlay .*' /proc/self/mountinfo | masked | said "mounts$1"
	listed "$(upper_of "box$1")" | masked | said "upper$1"
}
save_and_load() {
	podman save --quiet --format oci-archive --output saved.tar localhost/committed-box
	podman rmi localhost/committed-box
	podman load --quiet --input saved.tar
	seen localhost/committed-box | said load
	rm saved.tar
}
build() {
	mkdir -p context
	{
		echo 'FROM localhost/base'
		for n in 1 2 3 4; do
			echo "copied $n" >context/$n
			echo "COPY $n /data/copied$n"
		done
		echo 'RUN rm -r /data/sub /data/4 && mkdir /data/sub && echo new >/data/sub/new'
		echo 'RUN mv /data/old /data/young && chmod 700 /data/young && rm /data/copied1 && echo more >>/data/copied2'
	} >context/Containerfile
	podman build --quiet --layers --network none --tag built context
	podman inspect --format '{{len .RootFS.Layers}}' built | said build_layers
	seen localhost/built | said build_tree
}
# No more than this: containers/storage has its layers by short links, and the kernel takes 500.
many_layers() {
	python3 /payload/archive.py many.tar "$1" bin/busybox=/usr/bin/busybox
	podman load --quiet --input many.tar
	rm many.tar
	podman run --rm many /bin/busybox sh -ec 'busybox=/bin/busybox; $busybox ls /d | $busybox wc -l; $busybox cat /same /d/8' | said many_run
	podman rmi --force many
}
# Ids of a container that are others outside: layers are mapped when they are mounted, or a layer is made with other owners.
mapped() {
	run_and_exec mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536
	(cd "$(podman mount mapped)/data" && stat -c '%n %u:%g' ./*) | said mapped_outside
	podman umount mapped
	grep -o ' - overlay .*' /proc/self/mountinfo | masked | said mapped_mount
}
kube_play() {
	cat >pod.yaml <<-'END'
		apiVersion: v1
		kind: Pod
		metadata:
		  name: pod
		spec:
		  hostNetwork: true
		  restartPolicy: Never
		  containers:
		  - name: one
		    image: localhost/base
		    command: [sh, -c, "echo one >/data/own; rm /data/4; cat /data/own; sleep 10000"]
		  - name: two
		    image: localhost/base
		    command: [sh, -c, "echo two >/data/own; cat /data/own /data/4; sleep 10000"]
	END
	podman kube play --quiet pod.yaml
	wait_for 120 podman exec pod-two test -s /data/own
	wait_for 120 podman exec pod-one test -s /data/own
	podman pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}' | said kube_pod
	{ podman diff pod-one | LC_ALL=C sort; podman diff pod-two | LC_ALL=C sort; } | said kube_diff
	podman kube down pod.yaml
	[ -z "$(podman ps --all --quiet)" ]
}
# With metacopy a change of the owner does not copy data; an image of the container has them.
metacopy() {
	settings 'mountopt = "nodev,metacopy=on"'
	info _metacopy
	podman run --detach --name box_metacopy base sleep 10000
	podman exec box_metacopy sh -c 'cd /data; chown 9:9 1; chmod 640 3; mv 5 five; ln 6 six; echo more >>8; rm 9; mv old young'
	mounts _metacopy
	podman diff box_metacopy | LC_ALL=C sort | said metacopy_diff
	commit box_metacopy
	settings ''
}
# As many containers as docker is tested with take too long here.
at_once() {
	local n
	for n in $(seq "$1"); do
		podman run --detach --name "many$n" base sh -c "echo $n >/data/own; rm -r /data/sub; exec sleep 10000" >/dev/null &
	done
	wait
	[ "$(podman ps --quiet | wc -l)" = "$1" ]
	podman rm --all --force --time 0
}
reset() {
	podman rm --all --force --time 0
	podman system prune --all --force
	[ -z "$(podman images --quiet)" ]
	podman system reset --force
}

settings ''
try info info ''
try import import
try run_and_exec run_and_exec box
try mounts mounts ''
try commit commit box
try save_and_load save_and_load
try build build
try mapped mapped
try commit_mapped commit mapped
try kube_play kube_play
try metacopy metacopy
try many_layers many_layers 100
try at_once at_once 10
try reset reset
after
