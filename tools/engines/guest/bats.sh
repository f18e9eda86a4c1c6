#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# bats: the tests of containers/storage that call its command, with the driver overlay.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh

export STORAGE_DRIVER=overlay STORAGE_BINARY=/usr/bin/containers-storage TMPDIR=/var/tmp BATS_TMPDIR=/var/tmp
for file in "$disk"/bats/*.bats; do
	name=$(basename "$file" .bats)
	limit 3000 bats --tap "$file" >$work/log 2>&1
	awk -v name="$name" '
		/^(not )?ok [0-9]+/ {
			result = /^not/ ? "FAILED" : / # skip/ ? "skipped" : "ok"
			sub(/^(not )?ok [0-9]+ */, "")
			sub(/ # skip.*/, "")
			sub(/ in [0-9]+(ms|sec)$/, "")
			gsub(/[^a-zA-Z0-9-]+/, "_")
			print "@", result, name "::" $0
			count++
		}
		END { if (!count) print "@ FAILED", name "::all" }' $work/log
	if grep -q '^not ok' $work/log; then grep -A 30 '^not ok' $work/log | head -n 80; fi
	echo "# $name took until $(cut -d' ' -f1 /proc/uptime)"
done
after
