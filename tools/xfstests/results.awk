# SPDX-License-Identifier: GPL-2.0
# From what xfstests' `check` prints makes a line for each test: its name, pass, fail, notrun, timeout or crash, seconds, and the reason,
# separated by tabs.

function finish() {
	if (test != "" && !expunged) {
		# The path of a file in the guest says nothing, the first line that differs does.
		sub(/ *\(see .*/, "", reason)
		printf "%s\t%s\t%s\t%s\n", test, status, seconds, reason (different == "" ? "" : ": " different)
	}
	test = ""
}

/ - unknown test, ignored$/ { next }
$1 ~ /^[a-z0-9]+\/[0-9][0-9][0-9][0-9]?$/ {
	finish()
	test = $1
	sub(/^[^ ]+ */, "")
	reason = $0
	seconds = different = ""
	expunged = /\[expunged\]/
	if (/\[not run\]/) {
		status = "notrun"
		sub(/.*\[not run\] */, "", reason)
	} else if (/\[timeout/) {
		status = "timeout"
		reason = ""
	} else if (/^([0-9]+s \.\.\. *)?[0-9]+s *$/) {
		status = "pass"
		seconds = $NF + 0
		reason = ""
	} else {
		# Without anything behind its name the guest did not live to see the end of it.
		status = /[^ ]/ ? "fail" : "crash"
		sub(/^([0-9]+s \.\.\. *)?(- )?/, "", reason)
	}
	next
}

test == "" { next }

# Of the one test before; a report of the checks after a test ends its line only then.
/^(Ran|Not run|Failures|Failed|Passed all|Interrupted|===)/ { finish(); next }
/^    [-+]/ && !/^    (---|\+\+\+) / && different == "" { different = substr($0, 5, 120) }

END { finish() }
