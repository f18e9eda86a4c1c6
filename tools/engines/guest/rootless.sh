#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# rootless: podman and buildah of a user, whose overlays are mounted in a user namespace with userxattr.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/podman.lib.sh
. /payload/podman.lib.sh

as_user() {
	setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/home/user USER=user XDG_RUNTIME_DIR=/run/user/1000 "$@"
}
podman() { as_user podman "$@"; }

mounts() {
	podman unshare cat /proc/self/mountinfo | grep -o ' - overlay .*' | masked | said mounts
	listed "$(upper_of box)" | masked | said upper
	[ "$(podman unshare grep -c ' - overlay .*,userxattr' /proc/self/mountinfo)" -ge 1 ]
}
scratch_build() {
	mkdir -p built/bin
	cp /usr/bin/busybox built/bin/
	cat >Containerfile <<-'END'
		FROM localhost/base
		COPY bin/busybox /data/busybox
		RUN rm -r /data/sub && mkdir /data/sub && mv /data/old /data/young
	END
	chmod 755 . built built/bin
	as_user buildah bud --quiet --layers --isolation chroot --file Containerfile --tag built built
	seen localhost/built | said build_tree
}
reset() {
	podman system reset --force
	[ -z "$(podman images --quiet)" ]
}

install -d -o user -g user -m 700 /run/user/1000
chown user:user /home/user
CGROUPS=disabled settings ''
rm -f /etc/containers/storage.conf
try info info ''
try import import
try run_and_exec run_and_exec box
try mounts mounts
try commit commit box
try build scratch_build
try reset reset
# The process that keeps the user's namespaces.
as_user podman system migrate >/dev/null 2>&1
pkill -u user catatonit
after
