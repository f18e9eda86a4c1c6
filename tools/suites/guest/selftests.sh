#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The kernel's own tests of overlays, and of other parts of the kernel that have a case with one. They mount the type "overlay", whatever module
# has that name.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

tests=/tmp/selftests
mkdir -p $tests
tar --extract --directory=$tests --file=/payload/selftests.tar
modprobe --quiet binfmt_misc

# ktap PROGRAM [ARGUMENT...]: runs one program and turns its results into ours. A result that says no name is that of the last test begun.
ktap() {
	local program=$1 status=0
	shift
	(cd "$tests/${program%/*}" && LC_ALL=C limit 300 "$tests/$program" "$@") >/tmp/log 2>&1 || status=$?
	cat /tmp/log
	awk -v program="${program##*/}" -v status=$status '
		/^# +RUN / { name = $3 }
		/^(not )?ok [0-9]+/ {
			result = $1 == "ok" ? "ok" : "FAILED"
			if (/# SKIP/) result = "skipped"
			sub(/^(not )?ok [0-9]+ */, "")
			sub(/ *#.*/, "")
			gsub(/ /, "_")
			if ($0 != "") name = $0
			print "@", result, program "::" name
			count++
		}
		END { if (!count) print "@", status == 4 ? "skipped" : "FAILED", program "::all" }' /tmp/log
}

for program in set_layers_via_fds dev_in_maps idmapped_mounts automount_in_layer; do ktap overlayfs/$program; done
ktap fscontext_ns/fscontext_ns_test
ktap exec/binfmt_misc_selfpin
ktap landlock/fs_test -f layout2_overlay
