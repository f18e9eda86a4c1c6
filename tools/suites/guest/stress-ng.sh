#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# stress-ng: each stressor of the class "filesystem", and those of other classes that work on files, with its own checks, for a short time.
# Left out: those that do nothing in the directory that they are given.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

elsewhere=' binderfs bind-mount eventfd ioprio procfs pseek '
also='aio io-uring msync readahead revio seek sendfile splice'

new_layers ext4
mount_layers || exit
for stressor in $(stress-ng --class 'filesystem?' | sed 's/.*stressors: //') $also; do
	[[ $elsewhere != *" $stressor "* ]] || continue
	status=0
	limit 60 stress-ng --seed 1 --verify --oom-avoid --timeout "${SECONDS_EACH:-2}" --temp-path $mnt \
		--"$stressor" 2 >/tmp/log 2>&1 || status=$?
	case $status in
	0) result ok "$stressor" ;;
	# No resources, or not for this machine.
	3 | 4) tail -n 5 /tmp/log; result skipped "$stressor" ;;
	*) echo "$stressor: status $status"; tail -n 20 /tmp/log; result FAILED "$stressor" ;;
	esac
done
unmount_layers
