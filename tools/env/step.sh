# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Announces a step, shows that it goes on, and says what it took. Sourced, not run.

# step TITLE LOG COMMAND...: runs COMMAND with its output in LOG; on failure shows the end of LOG and returns the command's status.
step() {
	local log=$2 status=0
	quiet_step "$@" || status=$?
	[ $status = 0 ] || { say "   the end of $log:"; tail -n 25 "$log" >&2; }
	return $status
}

# quiet_step: the same, but leaves it to the caller to show what failed.
quiet_step() {
	local title=$1 log=$2 start=$SECONDS pid status=0 shown
	shift 2
	say "== $title"
	# In a process group of its own, so that all of it ends when this is interrupted.
	set -m
	"$@" >"$log" 2>&1 </dev/null 9>&- &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the process of this step
	trap "kill -TERM -- -$pid 2>/dev/null; exit 130" INT TERM
	shown=$SECONDS
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ -t 2 ] && [ $SECONDS -gt "$shown" ]; then
			shown=$SECONDS
			printf '\r\033[K   %4d s  %.100s' $((SECONDS - start)) "$(last_line "$log")" >&2
		elif [ $((SECONDS - shown)) -ge 10 ]; then
			shown=$SECONDS
			printf '   %4d s  %.100s\n' $((SECONDS - start)) "$(last_line "$log")" >&2
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM
	[ ! -t 2 ] || printf '\r\033[K' >&2
	if [ $status = 0 ]; then
		grep '^note: ' "$log" >&2 || true
		say "   done in $((SECONDS - start)) s"
	else
		say "   failed after $((SECONDS - start)) s"
	fi
	return $status
}

last_line() { tail -c 400 "$1" | tr -d '\0' | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 | sed 's/^ */ /' || true; }
