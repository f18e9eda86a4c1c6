# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Reads the results of tests, counts them, and says how to run a failed one again. Sourced by run, which sets RESULTS, the file that collects
# lines of a result (ok, FAILED, ignored) and a name.

record() { printf '%s %s\n' "$1" "$2" >>"$RESULTS"; }

# parse_libtest STAGE: from the lines `test NAME ... RESULT` of libtest.
parse_libtest() {
	sed -nE "s/^test (.*[^ ]) +\.\.\. (ok|FAILED|ignored).*$/\2 $1::\1/p"
}

# parse_guest STAGE: the same for several file system types, with `# type TYPE` before each and `# end STATUS` after it, of one guest after the
# other. Where the end is missing, or the status says more than the tests, one more failure stands for it.
parse_guest() {
	awk -v stage="$1" '
		function ended() { if (open) print "FAILED", stage "::" type; open = 0 }
		/^# type / { ended(); type = $3; failed = 0; open = 1 }
		/^test .* \.\.\. (ok|FAILED|ignored)/ {
			name = $0; sub(/^test /, "", name); sub(/ +\.\.\. .*/, "", name)
			result = $0; sub(/.* \.\.\. /, "", result); sub(/[^A-Za-z].*/, "", result)
			if (result == "FAILED") failed = 1
			print result, stage "::" type "::" name
		}
		/^# end / { open = 0; if ($3 != 0 && !failed) print "FAILED", stage "::" type }
		END { ended() }'
}

# parse_ktap STAGE: from KTAP with suites as subtests.
parse_ktap() {
	awk -v stage="$1" '
		/^ +# Subtest: / { suite = $NF }
		/^ +(not )?ok [0-9]+ / {
			result = $1 == "ok" ? "ok" : "FAILED"
			name = $0; sub(/^ +(not )?ok [0-9]+ (- )?/, "", name)
			if (name ~ /# SKIP/) result = "ignored"
			sub(/ *#.*/, "", name)
			print result, stage "::" suite "::" name
		}'
}

count() { grep -c "^$1 " || true; }
sums() { printf '%d passed, %d failed, %d skipped\n' "$(count ok <"$1")" "$(count FAILED <"$1")" "$(count ignored <"$1")"; }

# show_stage STAGE LOG BEFORE STATUS: the sum of a stage, and the end of its log if something failed.
show_stage() {
	local new=$2.results
	tail -n "+$(($3 + 1))" "$RESULTS" >"$new"
	if [ "$4" != 0 ] && ! grep -q '^FAILED ' "$new"; then
		echo "FAILED $1" | tee -a "$RESULTS" >>"$new"
	fi
	say "   $1: $(sums "$new")"
	grep -q '^FAILED ' "$new" || return 0
	{ sed -n '/^failures:$/,/^test result/p' "$2" | head -n 100 | grep . || tail -n 40 "$2"; } >&2
}

# sum_up FILTER: each failure with the command (RERUN, or make test) that runs just that again, and the line that closes the run.
sum_up() {
	local name
	if [ ! -s "$RESULTS" ]; then
		die "no test has '$1' in its name"
	fi
	grep '^FAILED ' "$RESULTS" | while read -r _ name; do
		printf "FAILED %s   again: %s T='%s'\n" "$name" "${RERUN:-make test}" "$name"
	done || true
	sums "$RESULTS"
	! grep -q '^FAILED ' "$RESULTS"
}
