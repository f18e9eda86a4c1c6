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

# The package names in one of the lists under packages/, one per line.
packages() { sed 's/#.*//' "$ENV_DIR/packages/$1" | xargs -n1; }

# Becomes root to make and to enter root trees: directly, or through a user namespace with the user's subordinate ids.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else unshare --user --map-root-user --map-auto -- "$@"; fi
}

# The key of an artefact: a hash of all that decides its content. An artefact is made anew when its key changes.
artefact_key() {
	local inputs values=("$DEBIAN_SUITE" "$DEBIAN_MIRROR")
	case $1 in
	build) inputs=(packages/build bootstrap steps/build) ;;
	kernel) inputs=(steps/kernel steps/kernel-inside rust-source rust-metadata images.sh) values=("$(artefact_key build)" "$KERNEL_VERSION") ;;
	source) inputs=(steps/source steps/source-inside) values=("$(artefact_key kernel)") ;;
	guest) inputs=(packages/guest packages/demo bootstrap steps/guest steps/guest-inside) ;;
	suites) inputs=(packages/suites bootstrap steps/suites steps/suites-inside) ;;
	deb) inputs=(packages/deb bootstrap steps/deb ../../debian/kernels) ;;
	docs) inputs=(packages/docs bootstrap steps/docs) ;;
	scratch) inputs=(steps/scratch) ;;
	debug) inputs=(debug.config steps/debug steps/debug-inside) values=("$(artefact_key source)" "$DEBUG_MAKE") ;;
	*) die "there is no artefact named $1: use build, kernel, source, guest, suites, deb, docs, scratch or debug" ;;
	esac
	(cd "$ENV_DIR" && { cat -- "${inputs[@]}"; printf '%s\n' "${values[@]}"; } | sha256sum | cut -c1-12)
}
artefact() { printf '%s/%s-%s\n' "$ROVL_CACHE" "$1" "$(artefact_key "$1")"; }
