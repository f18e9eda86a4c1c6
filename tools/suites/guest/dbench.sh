#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# dbench: the calls of a file server with two clients, in an empty overlay, and where the lower layer has the files of an earlier run.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

load=(dbench --loadfile=/usr/share/dbench/client.txt --timelimit=15)
for fs in ext4 xfs; do
	for lower in empty full; do
		new_layers $fs
		if [ $lower = full ]; then
			"${load[@]}" --skip-cleanup --timelimit=5 --directory="$base/lower" 2 >/tmp/log 2>&1 || { cat /tmp/log; exit 1; }
		fi
		mount_layers || exit
		test_case "$fs::lower_$lower" "${load[@]}" --directory=$mnt 2
		grep -a Throughput /tmp/log
		unmount_layers || exit
	done
done
