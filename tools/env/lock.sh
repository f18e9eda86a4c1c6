# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# One setup at a time in the cache. The lock says who has it, for what and since when. Sourced, not run; needs lib.sh and step.sh.

# take_lock: has descriptor 9 hold the lock until it is closed; children must not inherit it. While another one has it, tells what for, and goes
# on telling how far that is.
take_lock() {
	local start=$SECONDS shown=$SECONDS told='' holder title
	# Opened without emptying it: what is in it is the holder's.
	exec 9<>"$ROVL_CACHE/lock"
	until flock --nonblock 9; do
		{ read -r holder && read -r title; } <"$ROVL_CACHE/lock" || holder='' title=''
		if [ "$holder $title" != "$told" ]; then
			told="$holder $title"
			say "== waiting for another setup in $ROVL_CACHE: ${title:-it has just begun}${holder:+ ($holder)}"
			shown=$SECONDS
		elif [ $((SECONDS - shown)) -ge 10 ]; then
			shown=$SECONDS
			say "   $(printf '%4d s  %.100s' $((SECONDS - start)) "$(newest_line)")"
		fi
		sleep 0.5
	done
	[ -z "$told" ] || say "   waited $((SECONDS - start)) s"
	: >"$ROVL_CACHE/lock"
}

# lock_for TITLE: tells those who wait for this process's lock what it is at.
lock_for() {
	printf '%s\n' "process $$ in $TOP, since $(date +%H:%M:%S)" "$1" >"$ROVL_CACHE/lock"
}

# The last line of the log that was written to last.
newest_line() {
	local log newest=''
	for log in "$ROVL_CACHE"/log/*; do
		[ -f "$log" ] || continue
		[ -n "$newest" ] && [ "$log" -ot "$newest" ] || newest=$log
	done
	[ -z "$newest" ] || last_line "$newest"
}
