# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Which file gets the kernel's messages of a guest. Sourced by run; needs lib.sh.

# claim_console NAMED DEFAULT: sets console to the file NAMED, or to DEFAULT if that is empty, and locks it with the descriptor console_lock, as
# long as this shell lives. If another run has it locked: where the name was chosen by somebody, who would read the wrong file, that is an error;
# the default gets a number.
claim_console() {
	local stem=${2%.log} number=1
	console=${1:-$2}
	until try_console; do
		[ -z "$1" ] || die "another run writes to $console: give this one another --console"
		number=$((number + 1))
		console=$stem-$number.log
	done
	[ $number = 1 ] || say "the kernel's messages go to $console: another run has ${2##*/}"
}

try_console() {
	exec {console_lock}>>"$console"
	flock --nonblock "$console_lock" && return
	exec {console_lock}>&-
	return 1
}
