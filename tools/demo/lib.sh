# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# What the demonstration shows and compares. Sourced by guest, which sets lower1, lower2, upper and failed.

ok() { printf '     ok    %s\n' "$*"; }
fail() { printf '     FAIL  %s\n' "$*"; failed=$((failed + 1)); }
expect() {
	local text=$1
	shift
	if "$@" >/dev/null 2>&1; then ok "$text"; else fail "$text"; fi
}

# manifest DIRECTORY [FIELD]: names, types, modes, owners, sizes, times, links, contents and xattrs of a tree, FIELD being one more of find's.
manifest() (
	cd "$1" || exit
	find . -xdev \( -type d -printf "%P|d|%m|%U:%G|%T@${2-}\n" \) -o -printf "%P|%y|%m|%U:%G|%s|%n|%T@|%l${2-}\n" | sort
	find . -xdev -type f -print0 | sort -z | xargs -0 sha256sum
	getfattr --recursive --no-dereference --dump --match=- --encoding=hex --physical . 2>/dev/null | grep .
)

is_whiteout() { [ -c "$1" ] && [ "$(stat --format=%t:%T "$1")" = 0:0 ]; }
is_opaque() { [ "$(getfattr --only-values --name=trusted.overlay.opaque "$1" 2>/dev/null)" = y ]; }
is_below() { [ -e "$lower1/$1" ] || [ -L "$lower1/$1" ] || [ -e "$lower2/$1" ] || [ -L "$lower2/$1" ]; }

# What an entry of the upper layer is, in a word or two; nothing for a directory that is only there to hold the others.
kind() {
	local path=$upper/$1
	if is_whiteout "$path"; then
		echo whiteout
	elif [ -d "$path" ] && [ ! -L "$path" ]; then
		if is_opaque "$path"; then echo 'opaque directory'; elif ! is_below "$1"; then echo 'new directory'; fi
	elif is_below "$1"; then
		echo 'copied up'
	else
		echo new
	fi
}

snapshot() { (cd "$upper" && find . -mindepth 1 -printf '%P|%y|%i|%s|%T@\n' | sort); }

# Shows what the upper layer has now and did not have at the last call; of each kind the first few.
show_changes() {
	local name kind
	snapshot >/run/demo/now
	comm -13 /run/demo/before /run/demo/now | cut -d'|' -f1 | while read -r name; do
		kind=$(kind "$name")
		[ -z "$kind" ] || printf '%s|%s\n' "$kind" "$name"
	done | sort | awk -F'|' '
		function more() { if (n > 4) printf "     %-17s ... and %d more\n", kind, n - 4 }
		$1 != kind { more(); kind = $1; n = 0 }
		++n <= 4 { printf "     %-17s %s\n", $1, $2 }
		END { more() }'
	mv /run/demo/now /run/demo/before
}

# action TITLE COMMAND...: says what is done in the merged tree, does it in a chroot, and shows what that left in the upper layer.
number=0
action() {
	local title=$1
	shift
	number=$((number + 1))
	printf '\n  %d. %s\n' "$number" "$title"
	if ! chroot "$merged" "$@" >/run/demo/output 2>&1; then
		fail "the command failed:"
		tail -n 8 /run/demo/output
	fi
	show_changes
}
