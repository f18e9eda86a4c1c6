#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest.sh TYPE [TEST]: what perf, bpftrace and ftrace tell of the tracepoints of TYPE. Runs in the guest.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh

LIMIT=300
events=/sys/kernel/tracing/events/$type
cd /tmp || exit

# What is traced: a file of 3,000,000 bytes is copied up, a directory removed, and all synced.
cat >change <<'END'
: >>/mnt/file
rmdir /mnt/dir
sync --file-system /mnt
END

# traced COMMAND...: runs it on new layers, with what it says in the file `said`, which is shown as well.
traced() {
	local status=0
	new_layers ext4
	mkdir "$base/lower/dir"
	yes | head -c 3000000 >"$base/lower/file"
	mount_layers || return
	"$@" >said 2>&1 || status=$?
	cat said
	unmount_layers || return
	return $status
}

# says PATTERN: that is in what was said; says_not PATTERN: that is not.
says() { grep -Eq -- "$1" said || { echo "no line is like: $1"; return 1; }; }
says_not() { ! grep -E -- "$1" said; }

# names: the events that there are.
names() { find "$events" -mindepth 1 -maxdepth 1 -type d -printf "$type:%f\n" | sort; }

perf_list() {
	names >expected
	[ "$(wc -l <expected)" = 16 ] || return
	perf list --raw-dump tracepoint | tr ' ' '\n' | grep "^$type:" | sort >said
	diff expected said
}

perf_record() {
	traced perf record --quiet --all-cpus --event "$type:*" --output data -- bash change || return
	perf script --input data --fields comm,event,trace >said || return
	cat said
	says "bash.* $type:copy_up_begin: .*size=3000000 why=open path=/file" && says_not 'path=/dir/' &&
		says "bash.* $type:copy_up_end: .*why=open how=data bytes=3000000 ns=[1-9][0-9]* err=0 path=/file" &&
		says "rmdir.* $type:whiteout: .*path=/dir" && says "sync.* $type:sync: .*of=own files=1 .*err=0"
}

perf_stat() {
	traced perf stat --field-separator , --all-cpus --event "$type:copy_up_end,$type:whiteout,$type:redirect" -- bash change || return
	says "^1,,$type:copy_up_end," && says "^1,,$type:whiteout," && says "^0,,$type:redirect,"
}

# As in Documentation/observing.rst.
perf_trace() {
	traced perf trace -e "$type:copy_up_end" -a bash change || return
	says "bash/[0-9]+ $type:copy_up_end\(.*size: 3000000, bytes: 3000000, .*path: \"/file\"\)"
}

bpftrace_list() {
	names | sed 's/^/tracepoint:/' >expected
	bpftrace -l "tracepoint:$type:*" | sort >said
	diff expected said || return
	bpftrace -lv "tracepoint:$type:copy_up_end" >said
	cat said
	says 'u64 bytes' && says 'u64 ns' && says 'int err' && says 'path'
}

# As in Documentation/observing.rst.
bpftrace_sum() {
	traced bpftrace -e "tracepoint:$type:copy_up_end { @[comm] = sum(args.bytes); }" -c '/bin/bash change' || return
	says '^@\[bash\]: 3000000$'
}

bpftrace_numbers() {
	local program="tracepoint:$type:copy_up_end /args.err == 0/ { @size = max(args.size); @ns = hist(args.ns); }"
	traced bpftrace -e "$program tracepoint:$type:whiteout { @whiteouts[comm] = count(); }" -c '/bin/bash change' || return
	says '^@size: 3000000$' && says '^@whiteouts\[rmdir\]: 1$' && says '^\[.*\) +1 \|@'
}

# As in Documentation/observing.rst.
ftrace() {
	local status
	echo >/sys/kernel/tracing/trace
	echo 1 >"$events/copy_up_end/enable"
	traced bash change
	status=$?
	echo 0 >"$events/copy_up_end/enable"
	cat /sys/kernel/tracing/trace >said
	[ $status = 0 ] && says 'bash-.* copy_up_end: .*bytes=3000000 .*path=/file' && says_not 'whiteout'
}

# In a shell of its own, which limit can end.
if [ $# -gt 1 ]; then
	"$2"
	exit
fi
for test in perf_list perf_record perf_stat perf_trace bpftrace_list bpftrace_sum bpftrace_numbers ftrace; do
	test_case "$type::$test" bash "$0" "$type" $test
done
