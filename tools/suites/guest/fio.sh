#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fio: writes blocks with checksums into files of a lower layer, which are copied up for it, and reads them back, by each way there is to do so.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

# The same blocks in each run.
job=(fio --name=job --filename=file --size=4M --bs=4k --randseed=42 --fallocate=none --iodepth=8 --verify=crc32c --verify_fatal=1 --do_verify=1)

# mount_over_file FS: mounts layers of which the lower one has a file of fio's.
mount_over_file() {
	new_layers "$1"
	"${job[@]}" --directory="$base/lower" --ioengine=psync --rw=write >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
	mount_layers || exit
}

engines() {
	local engine pattern options
	for engine in psync mmap io_uring libaio; do
		for pattern in write randwrite randrw; do
			options=("--ioengine=$engine" "--rw=$pattern")
			[ $engine != libaio ] || options+=(--direct=1)
			mount_over_file "$1"
			test_case "$1::$engine::$pattern" "${job[@]}" --directory=$mnt "${options[@]}"
			unmount_layers || exit
		done
	done
}

# keeps FS: what was written before the copy up is there after it.
keeps() {
	local verify=("${job[@]}" "--directory=$mnt" --ioengine=psync --rw=write --verify_only)
	mount_over_file "$1"
	test_case "$1::lower::verify" "${verify[@]}"
	: >>$mnt/file
	test_case "$1::copied_up::verify" "${verify[@]}"
	test_case "$1::copied_up::two_writers" "${job[@]}" --directory="$mnt" --ioengine=psync --rw=randwrite --numjobs=2 --size=2M \
		--offset_increment=2M
	unmount_layers || exit
}

for fs in ext4 xfs; do
	engines $fs
	keeps $fs
done
