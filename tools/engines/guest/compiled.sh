#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# compiled: the tests in Debian's Go packages of containerd, containers/storage, docker and buildkit.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh

# go_tests NAME [OPTION...]: all tests of a package, each with its result; of those within others too.
go_tests() {
	local name=$1 status=0
	shift
	echo "# $name"
	(cd $disk/go/"$name" && limit 3000 env HOME=/root TMPDIR=/var/tmp "$disk/go/$name.test" -test.v "$@") 2>&1 | tee $work/log | grep --line-buffered -- '--- '
	status=${PIPESTATUS[0]}
	awk -v name="$name" '
		match($0, /--- (PASS|FAIL|SKIP): /) {
			line = substr($0, RSTART + 4)
			split(line, word, " ")
			result = word[1] == "PASS:" ? "ok" : word[1] == "FAIL:" ? "FAILED" : "skipped"
			print "@", result, name "::" word[2]
			count++
		}
		END { if (!count) print "@ FAILED", name "::all" }' $work/log
	if [ "$status" != 0 ]; then
		echo "$name: status $status"
		tail -n 60 $work/log
	fi
	# A crash has no line of its own.
	grep -q '^\(PASS\|FAIL\)$' $work/log || result FAILED "$name::end"
}

go_tests containerd-snapshotter -test.root
go_tests containerd-archive -test.root
go_tests storage-overlay
go_tests docker-overlay2
go_tests buildkit-overlay
after
