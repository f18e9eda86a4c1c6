#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fsx: random reads, writes, mappings and changes of size of one file, each read compared with what has been written.
# "plain" has what all file systems have, "holes" the rest, "block" never changes the size and so opens a file with data, which is copied up with it.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

for fs in ext4 xfs; do
	for set in plain holes block; do
		for seed in 1 2 3; do
			for layer in upper lower; do
				new_layers $fs
				if [ $layer = lower ] || [ $set = block ]; then
					dd if=/dev/urandom of="$base/$layer/file" bs=64K count=4 status=none
				fi
				mount_layers || exit
				test_case "$fs::$set::$layer::seed-$seed" /payload/fsx -f /payload/fsx.$set.toml -N 1000 -S $seed -P /tmp $mnt/file
				unmount_layers || exit
			done
		done
	done
done
