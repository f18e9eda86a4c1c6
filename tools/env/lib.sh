# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Paths, keys, messages and privileges shared by the environment scripts. Sourced, not run.

ENV_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck disable=SC2034 # used by those who source this
TOP=$(cd "$ENV_DIR/../.." && pwd -P)
# shellcheck source=tools/env/config
. "$ENV_DIR/config"
ROVL_CACHE=${ROVL_CACHE:-${XDG_CACHE_HOME:-${HOME:?set HOME or ROVL_CACHE}/.cache}/rovl}
export ROVL_CACHE

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# What this kernel is built and run with: its architecture, what its root's, its guest's and its own artefacts have behind their names, and where what
# is built for it goes.
# shellcheck disable=SC2034 # used by those who source this
case $KERNEL_FLAVOUR in
*arm64*) KERNEL_ARCH=arm64 ROOT_SUFFIX=_arm64 GUEST_SUFFIX=_arm64 ;;
*) KERNEL_ARCH=amd64 ROOT_SUFFIX='' GUEST_SUFFIX='' ;;
esac
[ "$KERNEL_SUITE" = "$DEBIAN_SUITE" ] || ROOT_SUFFIX+=_$KERNEL_SUITE
OUT=$TOP/build KERNEL_SUFFIX=''
# shellcheck disable=SC2034 # as above
if [ "$KERNEL_VERSION-$KERNEL_FLAVOUR $KERNEL_SUITE" != "$REFERENCE_KERNEL $DEBIAN_SUITE" ]; then
	KERNEL_SUFFIX=_$KERNEL_VERSION-$KERNEL_FLAVOUR
	OUT=$TOP/build/kernels/$KERNEL_VERSION-$KERNEL_FLAVOUR
fi

# The package names in some of the lists under packages/, one per line.
packages() { (cd "$ENV_DIR/packages" && sed 's/#.*//' "$@" | xargs -n1); }
# The lists for the root in which the stock kernel is made.
build_lists() {
	case $ROOT_SUFFIX in
	'') echo build ;;
	_arm64) echo build build_arm64 ;;
	_sid) echo build_sid ;;
	*) die "there is no list of packages to build $KERNEL_FLAVOUR of $KERNEL_SUITE with: make tools/env/packages/build$ROOT_SUFFIX" ;;
	esac
}

# Becomes root to make and to enter root trees: directly, or through a user namespace with the user's subordinate ids.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else unshare --user --map-root-user --map-auto -- "$@"; fi
}

# The key of an artefact: a hash of all that decides its content. An artefact is made anew when its key changes.
artefact_key() {
	local inputs lists values=("$DEBIAN_SUITE" "$DEBIAN_MIRROR")
	case $1 in
	build)
		read -ra lists < <(build_lists)
		inputs=("${lists[@]/#/packages/}" bootstrap steps/build) values=("$KERNEL_SUITE" "$DEBIAN_MIRROR") ;;
	kernel) inputs=(steps/kernel steps/kernel-inside rust-source rust-metadata images.sh) values=("$(artefact_key build)" "$KERNEL_VERSION") ;;
	source) inputs=(steps/source steps/source-inside) values=("$(artefact_key kernel)") ;;
	guest) inputs=(packages/guest packages/demo bootstrap steps/guest steps/guest-inside) ;;
	suites) inputs=(packages/suites bootstrap steps/suites steps/suites-inside) ;;
	engines) inputs=(packages/engines bootstrap steps/engines steps/engines-inside) ;;
	deb) inputs=(packages/deb bootstrap steps/deb ../../debian/kernels) ;;
	docs) inputs=(packages/docs bootstrap steps/docs) ;;
	packages) inputs=(packages/packages bootstrap steps/packages steps/packages-inside ../../debian/kernels) ;;
	scratch) inputs=(steps/scratch) ;;
	debug) inputs=(debug.config steps/debug steps/debug-inside) values=("$(artefact_key source)" "$DEBUG_MAKE") ;;
	*) die "there is no artefact named $1: use build, kernel, source, guest, suites, engines, deb, docs, packages, scratch or debug" ;;
	esac
	(cd "$ENV_DIR" && { cat -- "${inputs[@]}"; printf '%s\n' "${values[@]}"; } | sha256sum | cut -c1-12)
}
# The name of an artefact, before its key: those of other kernels than the reference stand beside its own.
stem() {
	case $1 in
	build) echo "build$ROOT_SUFFIX" ;;
	kernel | source | debug) echo "$1$KERNEL_SUFFIX" ;;
	guest) echo "guest$GUEST_SUFFIX" ;;
	*) echo "$1" ;;
	esac
}
artefact() { printf '%s/%s-%s\n' "$ROVL_CACHE" "$(stem "$1")" "$(artefact_key "$1")"; }

# remove_stale ARTEFACT: what an earlier state of these scripts made goes once its successor is there: what has the same name and another key, be it whole or not.
remove_stale() {
	local old stem=${1%-*}
	for old in "$stem"-*; do
		[[ ${old#"$stem"-} =~ ^[0-9a-f]{12}(\.new)?$ ]] || continue
		[ "$old" = "$1" ] || as_root rm -rf -- "$old"
	done
}
