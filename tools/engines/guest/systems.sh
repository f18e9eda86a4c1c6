#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# systems: what starts systems and programs on overlays without images: systemd-nspawn, systemd-sysext and confext, bubblewrap, schroot.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh

nspawn() { systemd-nspawn --quiet --register=no --keep-unit --pipe --directory=root "$@"; }
masked() { sed -E 's,/(var/)?tmp/[^,: ]*([a-zA-Z0-9]{6}|[0-9a-f]{16}),TMP,g; s/#?[0-9a-f]{12,16}/ID/g; s,/fd/[0-9]+,/fd/N,g; s/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/g'; }
overlays='grep -o " - overlay .*" /proc/self/mountinfo'

prepare() {
	small_root root
	mkdir -p root/usr/lib root/sys root/run root/var/tmp
	printf 'ID=small\nVERSION_ID=1\n' >root/usr/lib/os-release
	systemd-machine-id-setup
	# systemd-sysext mounts in a namespace of its own, and it shows here where mounts are shared, as systemd has them.
	mount --make-rshared /
}
# A system whose changes are thrown away.
nspawn_volatile() {
	mkdir -p root/usr/bin
	cp /usr/bin/busybox root/usr/bin/
	nspawn --volatile=overlay sh -c "$changes; cd /data; ls -1; stat -c '%n %a %u:%g %h' *; cat 5 sub/file" | said nspawn_volatile
	[ -e root/data/4 ] && [ ! -e root/data/young ]
}
nspawn_overlay() {
	mkdir -p over
	nspawn --overlay="$PWD/root/data:$PWD/over:/data" sh -c 'cd /data; rm 4; rm -r sub; mkdir sub; echo new >sub/x; ls -1' | said nspawn_overlay
	listed over | said nspawn_upper
	{ nspawn --overlay-ro="$PWD/root/data:$PWD/over:/data" sh -c 'cd /data; ls -1; touch no' 2>&1 || true; } | said nspawn_read_only
}
extension() {
	mkdir -p "/var/lib/$1/$2/$3"
	echo "from $2" >"/var/lib/$1/$2/$3/$2.conf"
	echo ID=_any >"$4"
}
sysext() {
	for name in one two; do
		mkdir -p /var/lib/extensions/$name/usr/lib/extension-release.d
		extension extensions $name usr/share/rovl-test /var/lib/extensions/$name/usr/lib/extension-release.d/extension-release.$name
	done
	systemd-sysext --no-reload merge
	{ cat /usr/share/rovl-test/*; ls /usr/share/rovl-test; systemd-sysext list --no-legend | awk '{ print $1, $2, $3 }'; } | said sysext
	eval "$overlays" | masked | said sysext_mount
	not touch /usr/no
	echo again >/var/lib/extensions/two/usr/share/rovl-test/three.conf
	systemd-sysext --no-reload refresh
	cat /usr/share/rovl-test/* | said sysext_refreshed
	systemd-sysext --no-reload unmerge
	[ ! -e /usr/share/rovl-test ]
}
# Changes of an extended /usr are kept in a directory of their own.
sysext_mutable() {
	mkdir -p /var/lib/extensions.mutable/usr
	systemd-sysext --no-reload --mutable=yes merge
	echo changed >/usr/share/rovl-test/one.conf
	rm /usr/share/rovl-test/two.conf
	cat /usr/share/rovl-test/* | said sysext_mutable
	systemd-sysext --no-reload unmerge
	listed /var/lib/extensions.mutable/usr | grep rovl-test | said sysext_upper
}
confext() {
	mkdir -p /var/lib/confexts/one/etc/extension-release.d
	extension confexts one etc/rovl-test /var/lib/confexts/one/etc/extension-release.d/extension-release.one
	systemd-confext --no-reload merge
	said confext </etc/rovl-test/one.conf
	eval "$overlays" | masked | said confext_mount
	systemd-confext --no-reload unmerge
	[ ! -e /etc/rovl-test ]
}
# bubblewrap has overlays of its own, which need no root: in a user namespace, with userxattr.
bubblewrap() {
	local own=(--ro-bind root / --dev /dev --proc /proc)
	chown -R 1000:1000 root/data
	install -d -o user bwrap_upper bwrap_work
	as_user() { setpriv --reuid 1000 --regid 1000 --clear-groups "$@"; }
	as_user bwrap --unshare-user "${own[@]}" --overlay-src root/data --overlay bwrap_upper bwrap_work /data sh -c \
		'cd /data; rm 4; rm -r sub; mkdir sub; echo more >>5; ls -1; cat 5; sed -n "s/.* - overlay overlay//p" /proc/self/mountinfo' | masked | said bwrap
	listed bwrap_upper | said bwrap_upper
	as_user bwrap --unshare-user "${own[@]}" --overlay-src root/data --tmp-overlay /data sh -c 'cd /data; rm -r sub; echo x >sub; ls -1' | said bwrap_tmp
	{ as_user bwrap --unshare-user "${own[@]}" --overlay-src root/data --overlay-src bwrap_upper --ro-overlay /data sh -c \
		'cd /data; ls -1; touch no' 2>&1 || true; } | said bwrap_ro
}
schroot_union() {
	mkdir -p /srv/chroot /run/lock
	cp -a root /srv/chroot/small
	cat >/etc/schroot/chroot.d/small <<-'END'
		[small]
		type=directory
		directory=/srv/chroot/small
		union-type=overlay
		root-users=root
		profile=minimal
		setup.nssdatabases=
		shell=/bin/sh
	END
	local session
	session=$(schroot --chroot small --begin-session)
	schroot --chroot "$session" --run-session --directory / -- sh -c "$changes; ls -1; cat 5" | said schroot
	eval "$overlays" | sed "s/$session/SESSION/g" | masked | said schroot_mount
	schroot --chroot "$session" --end-session
	[ -e /srv/chroot/small/data/4 ] && [ ! -e /srv/chroot/small/data/young ]
}

for test in prepare nspawn_volatile nspawn_overlay sysext sysext_mutable confext schroot_union bubblewrap; do try $test $test; done
after
