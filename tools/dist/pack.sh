# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Tarballs of sources. Sourced, not run.

# pack DIRECTORY NAME TARBALL: what is in the directory, in a folder NAME. Nothing in it tells who has made it, where and when: files have the
# time SOURCE_DATE_EPOCH.
pack() {
	tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --directory="$1" \
		--transform="s,^\.,$2,S" . | xz --threads=0 >"$3"
}
