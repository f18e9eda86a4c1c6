# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Tarballs of sources. Sourced, not run.

# reproducible_tar DIRECTORY [OPTIONS]: what is in the directory, as a tarball in which nothing tells who has made it, where and when: files have the
# time SOURCE_DATE_EPOCH.
reproducible_tar() {
	local directory=$1
	shift
	tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --directory="$directory" "$@" .
}

# pack DIRECTORY NAME TARBALL: what is in the directory, in a folder NAME.
pack() {
	reproducible_tar "$1" --transform="s,^\.,$2,S" | xz --threads=0 >"$3"
}
