# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Starts and ends docker, and what both of its steps do with it. Sourced after engines.lib.sh.

# It gives a containerd of its own less time to start than an emulated one takes.
start_containerd() {
	started containerd containerd
	wait_for 120 ctr version
}
# start_docker [OPTION...]: without a network, as the guest has none.
start_docker() {
	started dockerd dockerd --containerd /run/containerd/containerd.sock --iptables=false --ip6tables=false --bridge=none "$@"
	wait_for 180 docker info
}
stop_docker() { stopped dockerd; }

# docker_run OPTION... IMAGE COMMAND...
docker_run() { docker run --network none "$@"; }

# What docker says of itself, but for what is of this boot.
docker_info() {
	docker info 2>&1 | grep -vE '^ *(ID|Name|Runtimes|Total Memory|Docker Root Dir|Kernel Version|Profile|seccomp|cgroupns|(Running|Paused|Stopped|Containers|Images)):|version:'
}
info() { docker_info | said info; }

import() {
	small_root root
	tar --create --numeric-owner --directory=root . | docker import --change 'CMD ["sh"]' - base
	docker_run --rm base sh -c 'cat /data/sub/deep/file; ls -l /data/0 | cut -c1-40' | said import
}

# twenty_layers: a Dockerfile of twenty lines that change something, in the directory context.
twenty_layers() {
	mkdir -p context
	{
		echo 'FROM base'
		for n in 1 2 3 4 5 6 7; do
			echo "copied $n" >context/$n
			echo "COPY $n /data/copied$n"
			echo "COPY $n /data/$n"
		done
		echo 'RUN rm -r /data/sub /data/4'
		echo 'RUN mkdir /data/sub && echo new >/data/sub/new'
		echo 'RUN mv /data/old /data/young'
		echo 'RUN chmod 700 /data/young && chown 5:5 /data/5 && ln /data/5 /data/five && ln -s 5 /data/fünf'
		echo 'RUN rm /data/copied1 /data/link && echo more >>/data/copied2'
		echo 'RUN mkdir -p /new/a/b && echo x >/new/a/b/c && mknod /new/pipe p'
	} >context/Dockerfile
}
# Without what docker adds to a tree, and programs.
without_own() { grep -vE '^(bin|dev|etc|proc|sys)/|^\.dockerenv|  \./(bin|dev|etc|\.dockerenv)'; }
# seen IMAGE: the whole tree of an image, as docker exports it.
seen() { exported docker "$1" | without_own; }
build_classic() {
	twenty_layers
	DOCKER_BUILDKIT=0 docker build --network none --tag twenty context
	docker inspect --format '{{len .RootFS.Layers}}' twenty | said build_classic_layers
	seen twenty | said build_classic_tree
}
build_buildkit() {
	twenty_layers
	DOCKER_BUILDKIT=1 docker build --network none --tag twenty-bk context
	docker inspect --format '{{len .RootFS.Layers}}' twenty-bk | said build_buildkit_layers
	seen twenty-bk | said build_buildkit_tree
}

run_and_exec() {
	docker_run --detach --name box base sleep 10000
	docker exec box sh -c "${changes:?}"
	docker exec box sh -c 'cd /data; ls -1; cat 5 sub/file young/file merged/*; stat -c "%n %a %u:%g %h %s" *' | said exec
}
# After run_and_exec.
diff_and_commit() {
	docker diff box | LC_ALL=C sort | said diff
	docker commit box committed
	seen committed | said commit_tree
	docker_run --rm committed sh -c 'cd /data; ls -1; cat 5' | said commit_run
}
save_and_load() {
	docker save --output saved.tar committed
	rm -rf saved
	mkdir saved
	tar --extract --directory=saved --file=saved.tar
	for layer in $(jq -r '.[0].Layers[]' saved/manifest.json); do
		# The kind of each, and no time.
		tar --list --verbose --numeric-owner --file="saved/$layer" | awk '{ $3 = ($1 ~ /^[-h]/) ? $3 : ""; $4 = $5 = ""; print }' | grep -v ' bin/'
	done | LC_ALL=C sort | said save
	docker rm --force box
	docker rmi committed
	docker load --input saved.tar
	seen committed | said load
}

# rovl_image archive|layout: an image that the command rovl makes of the layers of an overlay shows what that shows. Only containerd's image store
# takes the image layout as it is, and its tag for the whole name of the image; for the other one skopeo makes an archive of it.
rovl_image() {
	local name=docker.io/library/made:latest
	rm -rf rovl
	mkdir rovl
	mkdir rovl/{upper,work,merged}
	small_root rovl/lower
	mount -t overlay -o "lowerdir=$PWD/rovl/lower,upperdir=$PWD/rovl/upper,workdir=$PWD/rovl/work,redirect_dir=on,metacopy=on" overlay rovl/merged
	chroot rovl/merged /bin/sh -c "${changes:?}"
	contents rovl/merged | without_own >wanted
	umount rovl/merged
	/payload/rovl commit --oci rovl/image --tag "$name" rovl/lower
	/payload/rovl commit --oci rovl/image --tag "$name" rovl/lower rovl/upper
	case $1 in
	archive) skopeo --insecure-policy copy --quiet "oci:rovl/image:$name" docker-archive:rovl/image.tar:made:latest ;;
	layout) tar --create --directory=rovl/image --file=rovl/image.tar . ;;
	esac
	docker load --input rovl/image.tar >loaded
	cat loaded
	seen "$(sed -n 's/^Loaded image\( ID\)\?: //p' loaded)" >shown
	diff wanted shown
	said rovl_image <shown
	rm -r rovl
}

# many_layers NUMBER: an archive of an image with so many layers, each with a file of its own and one in the same place.
many_layers() {
	python3 /payload/archive.py many.tar "$1" bin/busybox=/usr/bin/busybox
	docker load --input many.tar
	rm many.tar
	docker inspect --format '{{len .RootFS.Layers}}' many | said many_layers
	docker_run --rm many /bin/busybox sh -ec 'for a in ls cat mv wc; do busybox ln -s busybox /bin/$a; done; ls /d | wc -l; cat /same /d/8; mv /d/8 /d/eight; cat /d/eight' | said many_run
}

# fifty: containers that are started at once from one image, each of which changes files of its own.
fifty() {
	local n
	for n in $(seq "$1"); do
		docker_run --detach --name "many$n" base sh -c "echo $n >>/data/$((n % 10)); rm -r /data/sub; echo $n >/data/own; exec sleep 10000" >/dev/null &
	done
	wait
	[ "$(docker ps --quiet --filter name=many | wc -l)" = "$1" ]
	for n in $(seq "$1"); do docker cp --quiet "many$n:/data/own" - | tar --extract --to-stdout; done >owns
	[ "$(paste -sd' ' owns)" = "$(seq -s' ' "$1")" ]
	docker diff many7 | LC_ALL=C sort | said fifty_diff
	for n in $(seq "$1"); do echo "many$n"; done | xargs docker rm --force >/dev/null
	[ -z "$(docker ps --all --quiet --filter name=many)" ]
}

# killed: dockerd is killed with a container that runs, and started again on what it has left.
killed() {
	docker_run --detach --name survivor base sh -c 'echo before >/data/new; exec sleep 10000'
	wait_for 60 docker exec survivor test -s /data/new
	kill -KILL "$(cat dockerd.pid)"
	sleep 1
	start_docker "$@"
	docker inspect --format '{{.State.Running}}' survivor | said killed_state
	docker start survivor
	docker diff survivor | LC_ALL=C sort | said killed_diff
	docker exec survivor cat /data/new | said killed_run
	docker rm --force survivor
}

prune() {
	docker ps --all --quiet | xargs -r docker rm --force >/dev/null
	docker system prune --all --force --volumes
	[ -z "$(docker images --quiet)" ]
}
