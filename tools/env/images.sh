# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Makes what a guest needs to boot a kernel. Sourced by steps that run in the build root.

# A guest finds its root with these, where the kernel has them as modules.
BOOT_MODULES=(virtio_blk virtio_console ext4)

# boot_images OUT TREE RELEASE [BUSYBOX]: from the modules at TREE/usr/lib/modules/RELEASE makes OUT/initramfs.cpio (busybox, the boot modules and the
# init script) and OUT/modules.ext4 (all modules, for /lib/modules in the guest).
boot_images() {
	local out=$1 tree=$2 release=$3 busybox=${4:-/bin/busybox} fs name file
	ln -sfn usr/lib "$tree/lib"
	depmod --basedir "$tree" "$release"

	fs=$(mktemp -d)
	mkdir -p "$fs"/{bin,modules,proc,sys,dev,root}
	: >"$fs/modules/order"
	cp "$busybox" "$fs/bin/busybox"
	for name in "${BOOT_MODULES[@]}"; do
		# One that is not there is built into this kernel.
		[ -n "$(find "$tree/usr/lib/modules" -name "$name.ko*")" ] || continue
		modprobe --dirname "$tree" --set-version "$release" --show-depends "$name" | awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++' | while read -r file; do
		name=$(basename "${file%%.ko*}")
		case $file in
		*.xz) xzcat "$file" ;;
		*) cat "$file" ;;
		esac >"$fs/modules/$name.ko"
		echo "$name" >>"$fs/modules/order"
	done
	(cd "$fs" && find . | cpio --quiet --create --format=newc) >"$out/initramfs.cpio"
	rm -rf "$fs"

	image_of "$tree/usr/lib/modules" "$out/modules.ext4" 64
}

# image_of TREE FILE FREE: an ext4 image FILE with the content of TREE and FREE MiB of room.
image_of() {
	local size
	size=$(($(du -sm --apparent-size "$1" | cut -f1) * 5 / 4 + $3))
	mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$1" "$2" "${size}M"
}
