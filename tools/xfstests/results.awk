# SPDX-License-Identifier: GPL-2.0
# Reads what `guest` prints: the output of xfstests' `check`, broken by lines that `scope` adds, which begin with "===". Prints for each test, as it
# ends, its name, status, seconds and reason, separated by tabs; what is not known is a dash. The status is pass, fail, notrun, timeout, or
# unfinished for a test that the output ends in. What tests leave as files goes below the directory -v files=DIRECTORY, if that is given.

function finish() {
	if (test != "")
		printf "%s\t%s\t%s\t%s\n", test, status(), seconds == "" ? "-" : seconds, reason == "" ? "-" : reason
	fflush()
	test = ""
}

# Only what check prints between the end of a test and the next name is about it.
function status() {
	gsub(/[\t\r]/, " ", first)
	reason = ""
	if (passed != "") {
		seconds = passed
		return "pass"
	}
	if (late || !ended) {
		reason = stuck
		return late ? "timeout" : "unfinished"
	}
	if (first ~ /^ *\[not run\]/) {
		reason = first
		sub(/^ *\[not run\] */, "", reason)
		return "notrun"
	}
	reason = first
	sub(/^ *(- )?/, "", reason)
	# The path of a file in the guest says nothing, the first line that differs does.
	sub(/ *\(see .*/, "", reason)
	reason = reason (different == "" ? "" : ": " different)
	return "fail"
}

# Files come as an archive in base64.
unpacking && /^=== sent/ {
	if (files != "")
		close(unpack)
	unpacking = 0
	next
}
unpacking {
	if (files != "" && $0 != "")
		print | unpack
	next
}
/^=== files / {
	unpacking = 1
	unpack = "base64 --decode --ignore-garbage | tar --extract --gzip --directory='" files "'"
	next
}

/^=== begin / {
	finish()
	test = $3
	start = $4
	first = different = seconds = passed = stuck = ""
	late = ended = 0
	next
}
/^=== timeout / && $3 == test { late = 1; next }
/^=== stuck / && $3 == test { stuck = "it could not be ended"; next }
/^=== end / && $3 == test {
	ended = 1
	seconds = int($5 - start + 0.5)
	next
}
/^===/ { next }

# The name of the next test, and the sums at the end.
/^[a-z0-9]+\/[0-9][0-9][0-9][^ ]* *$/ { finish(); next }
/^(Ran:|Not run:|Failures:|Failed [0-9]|Passed all|Interrupted!)/ { finish(); next }

!ended { next }
# Older results of `check` stand before the new one.
/^ *([0-9]+s \.\.\. *)?[0-9]+s *$/ { passed = $NF + 0 }
first == "" && /[^ ]/ { first = $0 }
/^    [-+]/ && !/^    (---|\+\+\+) / && different == "" {
	different = substr($0, 5, 120)
	gsub(/[\t\r]/, " ", different)
}

END { finish() }
