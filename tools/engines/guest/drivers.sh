#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# drivers: what a container costs with each driver that docker and containerd have, on a disk of its own: time and space of its start, of the first
# write to a large file of the image, and of a commit.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/docker.lib.sh
. /payload/docker.lib.sh

rounds=${ROUNDS:-3}
large=64

# disk_for FS DIR: a disk of its own for a driver.
disk_for() {
	truncate --size=4G "$work/$2.img"
	mkdir -p "/drv/$2"
	case $1 in
	ext4) mkfs.ext4 -q "$work/$2.img" ;;
	btrfs)
		modprobe btrfs
		mkfs.btrfs --quiet "$work/$2.img" ;;
	esac
	mount -o loop "$work/$2.img" "/drv/$2"
}
# used DIR: KiB on its file system, with all that is still to be written. With a thin pool, what it has given out.
used() {
	sync
	if [ -e /dev/mapper/pool ]; then
		dmsetup status pool | awk '{ split($6, blocks, "/"); print blocks[1] * 64 }'
	else
		df --output=used --block-size=1K "$1" | tail -n 1
	fi
}
took() { python3 /payload/measure.py "$@"; }
# measured NAME DIR COMMAND...: prints time and space of a command, which prints its time itself.
measured() {
	local name=$1 dir=$2 before after ms
	shift 2
	before=$(used "$dir")
	ms=$("$@" | tail -n 1)
	after=$(used "$dir")
	number "$name" "$ms $((after - before))"
}

an_image() {
	small_root root
	dd if=/dev/urandom of=root/large bs=1M count=$large status=none
	tar --create --numeric-owner --file=root.tar --directory=root .
}

write_docker() { took write "/proc/$(docker inspect --format '{{.State.Pid}}' "$1")/root/large"; }
with_docker() {
	local driver=$1 n
	docker import root.tar base
	for n in $(seq "$rounds"); do
		measured "docker.$driver.start" "/drv/$driver" took run docker run --network none --detach --name "c$n" base sleep 10000
		measured "docker.$driver.write" "/drv/$driver" write_docker "c$n"
		measured "docker.$driver.commit" "/drv/$driver" took run docker commit "c$n" "commit$n"
		measured "docker.$driver.remove" "/drv/$driver" took run docker rm --force "c$n"
	done
}
docker_driver() {
	disk_for "$2" "$1"
	start_docker --storage-driver="$1" --data-root="/drv/$1"
	with_docker "$1"
	stop_docker
	umount "/drv/$1"
	rm "$work/$1.img"
}

write_ctr() { took write "/proc/$(ctr tasks list | awk -v name="$1" '$1 == name { print $2 }')/root/large"; }
with_ctr() {
	local name=$1 n
	ctr images import --snapshotter "$name" root-image.tar
	for n in $(seq "$rounds"); do
		measured "containerd.$name.start" "/drv/$name" took run ctr run --detach --snapshotter "$name" docker.io/library/many:latest "c$n" /bin/busybox sleep 10000
		measured "containerd.$name.write" "/drv/$name" write_ctr "c$n"
		measured "containerd.$name.commit" "/drv/$name" took run ctr snapshots --snapshotter "$name" diff "c$n"
		measured "containerd.$name.remove" "/drv/$name" ctr_remove "$name" "c$n"
	done
	ctr images remove docker.io/library/many:latest
}
ctr_remove() {
	took run bash -c 'ctr tasks delete --force "$2" && ctr containers delete "$2" && ! ctr snapshots --snapshotter "$1" info "$2" 2>/dev/null' remove "$@"
}
# thin_pool: devicemapper on two loop devices; end_thin_pool takes it away.
thin_pool() {
	truncate --size=64M $work/meta.img
	truncate --size=4G $work/data.img
	meta=$(losetup --find --show $work/meta.img)
	data=$(losetup --find --show $work/data.img)
	modprobe dm_thin_pool
	# Blocks of 64 KiB, as docker's driver had.
	dmsetup create pool --table "0 $((4 * 1024 * 2048)) thin-pool $meta $data 128 0 1 skip_block_zeroing"
}
end_thin_pool() {
	dmsetup ls --target thin | awk '/^pool-/ { print $1 }' | xargs -r -n 1 dmsetup remove
	dmsetup remove pool
	losetup --detach "$meta" "$data"
	rm $work/{meta,data}.img
}
ctr_driver() {
	local name=$1
	# One that an error has left.
	[ ! -e containerd.pid ] || stopped containerd
	mkdir -p /etc/containerd "/drv/$name"
	case $name in
	devmapper) thin_pool ;;
	*) disk_for "$2" "$name" ;;
	esac
	cat >/etc/containerd/config.toml <<-END
		version = 2
		root = "/drv/$name/containerd"
		[plugins."io.containerd.snapshotter.v1.devmapper"]
		pool_name = "pool"
		root_path = "/drv/$name/devmapper"
		base_image_size = "512MB"
		async_remove = false
	END
	start_containerd
	ctr plugins list | grep -E "snapshotter.* $name .*ok"
	with_ctr "$name"
	stopped containerd
	case $name in
	devmapper) end_thin_pool ;;
	*)
		umount "/drv/$name"
		rm "$work/$name.img" ;;
	esac
}

try an_image an_image
python3 /payload/archive.py root-image.tar 1 bin/busybox=/usr/bin/busybox large=root/large
try start_containerd start_containerd
for driver in overlay2:ext4 vfs:ext4 fuse-overlayfs:ext4 btrfs:btrfs; do
	try "docker.${driver%:*}" docker_driver "${driver%:*}" "${driver#*:}"
done
try stop_containerd stopped containerd
for driver in overlayfs:ext4 native:ext4 btrfs:btrfs devmapper:-; do
	try "containerd.${driver%:*}" ctr_driver "${driver%:*}" "${driver#*:}"
done
after
