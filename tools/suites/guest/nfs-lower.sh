#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nfs-lower: an overlay over a directory that NFS 4.2 and 3 give, from a server on the same machine: its files are copied up, changed on the server
# meanwhile, and in use while the server goes and comes back.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh
# shellcheck source=tools/suites/guest/nfs.lib.sh
. /payload/nfs.lib.sh

mount_overlay() {
	mount -t "$type" "$type" \
		-o "lowerdir=$client:$base/lower2,upperdir=$base/upper,workdir=$base/work,redirect_dir=on,index=on,metacopy=$1" $mnt
}

fill_layers() {
	new_layers ext4
	server=$base/lower
	mkdir -p "$base"/lower2/merged "$server"/{tree/sub,merged,many,doomed,seen/moving}
	for n in 0 1 2 3 4 5 6 7 8 9; do
		echo "lower $n" >"$server/many/$n"
		echo "file $n" >"$server/tree/sub/$n"
		echo "seen $n" >"$server/seen/$n"
	done
	dd if=/dev/urandom of="$server/big" bs=64K count=16 status=none
	setfattr -n user.of_lower -v value "$server/many/0"
	touch -d @1000000000 "$server/many/0"
	chown 5:6 "$server/many/0"
	echo top >"$server/merged/top"
	echo bottom >"$base/lower2/merged/bottom"
	echo linked >"$server/link1"
	ln "$server/link1" "$server/link2"
	ln -s tree/sub "$server/symlink"
}

reads() {
	same names 'big doomed link1 link2 many merged seen symlink tree' bash -c "ls $mnt | xargs" &&
		same merged 'bottom top' bash -c "ls $mnt/merged | xargs" &&
		same symlink 'file 3' cat $mnt/symlink/3 &&
		cmp "$server/big" $mnt/big
}

# copies_up: content and attributes reach the upper layer, and the server keeps its own.
copies_up() {
	local before
	before=$(tree "$server")
	chmod 600 $mnt/many/0 &&
		same attributes '5 6 600 1000000000' stat -c '%u %g %a %Y' $mnt/many/0 &&
		echo more >>$mnt/many/1 && same appended "$(printf 'lower 1\nmore')" cat $mnt/many/1 &&
		truncate -s 3 $mnt/many/2 && same cut low cat $mnt/many/2 &&
		echo new >$mnt/merged/new && same merged 'bottom new top' bash -c "ls $mnt/merged | xargs" &&
		dd if=/dev/zero of=$mnt/big bs=4K count=3 seek=5 conv=notrunc,fsync status=none &&
		cmp <(dd if="$server/big" bs=32K skip=1 status=none) <(dd if=$mnt/big bs=32K skip=1 status=none) &&
		same server "$before" tree "$server" || return
	echo changed >>$mnt/link1 && same linked "$(printf 'linked\nchanged')" cat $mnt/link2 || return
	# NFS 3 has no extended attributes of users.
	[ "$version" = 3 ] || same attribute value getfattr --only-values --absolute-names -n user.of_lower $mnt/many/0
}

renames() {
	mv $mnt/tree $mnt/wood && mv $mnt/wood/sub $mnt/sub && mv $mnt/merged $mnt/both && mv $mnt/many/4 $mnt/four &&
		forget && same moved 'file 7' cat $mnt/sub/7 && same both 'bottom new top' bash -c "ls $mnt/both | xargs" &&
		same four 'lower 4' cat $mnt/four && mkdir $mnt/merged && same anew '' ls $mnt/merged &&
		rm -r $mnt/doomed $mnt/many/5 && [ ! -e $mnt/doomed ] && [ ! -e $mnt/many/5 ] && [ -e "$server/doomed" ] && [ -e "$server/many/5" ]
}

# changes_seen: what is done on the server to that which is not in the upper layer.
changes_seen() {
	local status=0
	ls -lR $mnt/seen >/dev/null
	chmod 640 "$server/seen/0"
	echo 'a longer text' >"$server/seen/1"
	echo new >"$server/seen/new"
	sleep 1
	same mode 640 stat -c %a $mnt/seen/0 || status=1
	same content 'a longer text' cat $mnt/seen/1 || status=1
	same size 14 stat -c %s $mnt/seen/1 || status=1
	same new new cat $mnt/seen/new || status=1
	same names '0 1 2 3 4 5 6 7 8 9 moving new' bash -c "ls $mnt/seen | xargs" || status=1
	# Of another object in the place of a known one the overlay knows nothing until it forgets the old one.
	rm "$server/seen/2" && mv "$server/seen/3" "$server/seen/2"
	sleep 1
	cat $mnt/seen/2 $mnt/seen/3 >/dev/null 2>&1
	forget
	same replaced 'seen 3' cat $mnt/seen/2 || status=1
	[ ! -e $mnt/seen/3 ] || status=1
	return $status
}

# stale: a directory that is in use goes away, and one is moved.
stale() {
	local status=0
	(
		cd $mnt/seen/moving && mv "$server/seen/moving" "$server/seen/moved" && sleep 1 && ls . >/dev/null && forget &&
			echo f >"$server/seen/moved/f" && sleep 1 && same moved f bash -c "ls $mnt/seen/moved"
	) || status=1
	(
		cd $mnt/seen/moved && rm -r "$server/seen/moved" && sleep 1 && forget
		touch f 2>/dev/null && status=1
		stat $mnt/seen/moved >/dev/null 2>&1 && status=1
		exit $status
	) || status=1
	return $status
}

# over_a_restart: descriptors of lower files go on when the server is there again, also with what is copied up then.
over_a_restart() {
	local status=0
	exec 3<$mnt/many/6 4<$mnt/many/7 5<$mnt/many
	stop_server && start_server "$server" || status=1
	same lower 'lower 6' cat <&3 || status=1
	echo after >>$mnt/many/7 || status=1
	same 'copied up' "$(printf 'lower 7\nafter')" cat <&4 || status=1
	same 'by name' "$(printf 'lower 7\nafter')" cat $mnt/many/7 || status=1
	ls /proc/self/fd/5/ >/dev/null || status=1
	exec 3<&- 4<&- 5<&-
	return $status
}

# mounts_again: another mount finds the same tree.
mounts_again() {
	local before
	before=$(tree $mnt)
	umount $mnt && forget && mount_overlay "$metacopy" && same tree "$before" tree $mnt
}

run() {
	version=$1 options=$2 metacopy=$3
	local name=$version-metacopy=$metacopy
	fill_layers
	if ! start_server "$server" || ! mount_client "$version" "$options" "$server" || ! mount_overlay "$metacopy"; then
		result FAILED "$name::mount"
		return
	fi
	run_tests "$name" 'reads copies_up renames changes_seen stale over_a_restart mounts_again'
	# What the types leave has to be the same, but for `big`, which is random.
	tree $mnt | grep -v ' ./big$' >"/tmp/nfs-lower-$name-$type"
	[ "$type" = overlay ] || diff "/tmp/nfs-lower-$name-overlay" "/tmp/nfs-lower-$name-$type" || differs=1
	umount $mnt || result FAILED "$name::unmount"
	umount $client || umount -l $client
	stop_server
	rm -rf "$base"
}

# Whether the trees that the types leave differ, or that of the in-tree module is missing.
differs=0
start_daemons || { echo "the daemons do not start"; exit 1; }
run 4.2 sec=sys off
run 4.2 sec=sys on
run 3 nolock,sec=sys on
[ "$differs" = 0 ]
