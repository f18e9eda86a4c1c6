# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# How columns of results are named, begun and gone on with. Sourced by run.
# A line of results has a test, its status (pass, fail, notrun, timeout or crash), seconds, reason, and what it was made with, separated by tabs.

all_sets=(default redirect_dir=off redirect_dir=on index=off index=on metacopy=off metacopy=on nfs_export=off index=on,nfs_export=on
	xino=off xino=on)

# The sets of options, one a line: they may come in any order, and so may the options of one. "all" stands for all_sets, and each is there once.
settle_sets() {
	local set
	for set in "$@"; do
		if [ "$set" = all ]; then printf '%s\n' "${all_sets[@]}"; else tr , '\n' <<<"$set" | LC_ALL=C sort | paste -sd,; fi
	done | awk '!seen[$0]++'
}

# begin_column DIRECTORY KEPT MADE FRESH LIST: before its first result a column has those of the file KEPT, which the repository may have. Drops the
# results of the tests in LIST that FRESH says do not count.
begin_column() {
	local dir=$1 kept=$2
	mkdir -p "$dir"
	if [ ! -e "$dir/results" ] && [ -e "$kept" ]; then grep -v '^#' "$kept" >"$dir/results" || true; fi
	touch "$dir/results"
	[ -n "$4" ] || return 0
	awk -F '\t' -v fresh="${4//,/ }" -v made="$3" '
		FILENAME == ARGV[1] { named[$1]; next }
		!($1 in named) { print; next }
		fresh ~ /^(all|1)$/ { next }
		fresh == "module" { if ($5 == made) print; next }
		index(" " fresh " ", " " $2 " ") { next }
		{ print }' "$5" "$dir/results" >"$dir/results.new"
	mv "$dir/results.new" "$dir/results"
}

# order ONLY OTHER LIST RESULTS...: prints the tests of LIST, quick ones first as far as any of RESULTS knows. If ONLY is "missed", only those that the
# results OTHER have, and not as passed.
order() {
	local only=$1 other=$2
	shift 2
	awk -F '\t' -v only="$only" -v other="$other" '
		FILENAME == ARGV[1] { named[$1]; next }
		FILENAME == other { tried[$1] = $2 }
		{
			seconds = $2 == "timeout" || $2 == "crash" ? 100000 : $3 + 0
			if (!($1 in took) || seconds > took[$1]) took[$1] = seconds
		}
		END {
			for (test in named)
				if (only == "" || (test in tried && tried[test] != "pass"))
					printf "%s\t%s\n", test in took ? took[test] : 15, test
		}' "$@" | LC_ALL=C sort -k 1,1n -k 2 | cut -f2
}
