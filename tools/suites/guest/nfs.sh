#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# nfs: the kernel's NFS server exports an overlay, and a client on the same machine uses it through NFS 4.2 and 3: over restarts of the server
# with files open, and with handles decoded of which the server has forgotten all.
# shellcheck source=tools/suites/guest/lib.sh
. /payload/lib.sh
# shellcheck source=tools/suites/guest/nfs.lib.sh
. /payload/nfs.lib.sh

export_dir=/export/overlay

mount_overlay() {
	mount -t "$type" "$type" \
		-o "lowerdir=$base/lower:$base/lower2,upperdir=$base/upper,workdir=$base/work,redirect_dir=on,nfs_export=on" $export_dir
}

# restart_server: what it knows of the export is gone afterwards, and so is what the overlay knows of its objects. The caches of the client, which
# is on the same machine, are left alone while there is nobody to answer it.
restart_server() { stop_server && umount $export_dir && mount_overlay && start_server $export_dir; }

fill_layers() {
	new_layers ext4
	mkdir -p "$base"/lower2 "$base"/lower/{tree/sub,merged,many} "$base"/lower2/{merged,only/deep/er}
	for n in 0 1 2 3 4 5 6 7 8 9; do
		echo "lower $n" >"$base/lower/many/$n"
		echo "file $n" >"$base/lower/tree/sub/$n"
	done
	dd if=/dev/urandom of="$base/lower/big" bs=64K count=16 status=none
	echo top >"$base/lower/merged/top"
	echo bottom >"$base/lower2/merged/bottom"
	echo deep >"$base/lower2/only/deep/er/f"
	echo linked >"$base/lower/link1"
	ln "$base/lower/link1" "$base/lower/link2"
	ln -s tree/sub "$base/lower/symlink"
}

reads() {
	same names 'big link1 link2 many merged only symlink tree' bash -c "ls $client | xargs" &&
		same merged 'bottom top' bash -c "ls $client/merged | xargs" &&
		same deep deep cat $client/only/deep/er/f &&
		same symlink 'file 3' cat $client/symlink/3 &&
		cmp "$base/lower/big" $client/big
}

writes() {
	echo changed >$client/many/0 && echo new >$client/many/new && echo more >>$client/tree/sub/1 &&
		dd if=/dev/zero of=$client/big bs=4K count=3 seek=5 conv=notrunc,fsync status=none &&
		mkdir -p $client/made/here && echo in >$client/made/here/f && ln $client/made/here/f $client/made/g &&
		mknod $client/made/pipe p && chmod 600 $client/many/1 && chown 5:6 $client/many/2 && truncate -s 3 $client/many/3 &&
		sync -f $client &&
		same changed changed cat "$base/upper/many/0" &&
		same more "$(printf 'file 1\nmore')" cat $export_dir/tree/sub/1 &&
		same owner '5 6' stat -c '%u %g' $export_dir/many/2 &&
		same lower 'lower 0' cat "$base/lower/many/0" &&
		cmp $client/big $export_dir/big
}

renames() {
	mv $client/tree $client/wood && mv $client/wood/sub $client/moved && mv $client/many/4 $client/moved/four &&
		mv $client/merged $client/both && mv $client/only/deep $client/both/deep && mkdir $client/merged &&
		same names 'bottom deep top' bash -c "ls $client/both | xargs" &&
		same four 'lower 4' cat $client/moved/four &&
		same deep deep cat $client/both/deep/er/f &&
		same anew '' ls $client/merged
}

removes() {
	rm $client/many/5 && rm -r $client/merged && rm -r $client/both/deep && mkdir $client/both/deep &&
		rm $client/link1 && same links 1 stat -c %h $client/link2 && same linked linked cat $client/link2 &&
		[ ! -e $client/many/5 ] && same anew '' ls $client/both/deep &&
		[ ! -e $export_dir/many/5 ] && [ -e "$base/lower/many/5" ]
}

# Descriptors, used before and after the server comes back without a cache.
over_a_restart() {
	local status=0
	exec 3<$client/many/6 4>>$client/many/7 5<>$client/moved/2 6<$client/many/8
	rm $client/many/8
	echo before >&4
	mv $client/moved $client/away
	exec 7<$client/away
	# A program that ends would wait for the server with what it was given here.
	restart_server 3<&- 4>&- 5>&- 6<&- 7<&- || status=1
	echo after >&4
	echo over >&5
	same lower 'lower 6' cat <&3 || status=1
	same appended "$(printf 'lower 7\nbefore\nafter')" cat $client/many/7 || status=1
	same removed 'lower 8' cat <&6 || status=1
	same directory "$(ls $export_dir/away)" ls /proc/self/fd/7/ || status=1
	echo here >/proc/self/fd/7/new || status=1
	exec 3<&- 4>&- 5>&- 6<&- 7<&-
	same over over head -n 1 $client/away/2 || status=1
	same here here cat $export_dir/away/new || status=1
	return $status
}

# The client keeps its handles; the server has forgotten the objects, some of which have changed meanwhile.
cold_handles() {
	local status=0 n
	ls -lR $client >/dev/null
	exec 3<$client/many/9 5<$client/away
	for n in 1 2 3; do
		forget
		same lower 'lower 9' cat /proc/self/fd/3 || status=1
		ls /proc/self/fd/5/ >/dev/null || status=1
		mv $export_dir/away $export_dir/away$n && forget && mv $export_dir/away$n $export_dir/away || status=1
		echo "$n" >$export_dir/away/count
		# The client looks again at what it has not just seen.
		sleep 1
		same count "$n" cat $client/away/count || status=1
	done
	exec 3<&- 5<&-
	return $status
}

# What is gone on the server is gone for a client that holds it.
stale() {
	local status=0
	mkdir $client/doomed && echo x >$client/doomed/f
	exec 3<$client/doomed
	rm -r $export_dir/doomed
	forget
	ls /proc/self/fd/3/ >/dev/null 2>&1 && status=1
	exec 3<&-
	sleep 1
	[ ! -e $client/doomed ] || status=1
	return $status
}

locks() {
	local status=0
	flock $client/away/1 sleep 3 &
	sleep 1
	flock --nonblock $client/away/1 true && status=1
	wait $! || status=1
	flock --nonblock $client/away/1 true || status=1
	return $status
}

same_tree() { diff <(tree $client) <(tree $export_dir); }

# What is the same for both types: all but the contents of `big`, which are random.
final_tree() { tree $export_dir | grep -v ' ./big$'; }

run() {
	local version=$1 options=$2
	fill_layers
	if ! mount_overlay || ! start_server $export_dir; then
		result FAILED "$version::server"
		return
	fi
	if ! mount_client "$version" "$options" $export_dir; then
		result FAILED "$version::mount"
		return
	fi
	local tests='reads writes renames removes over_a_restart cold_handles stale same_tree'
	[ "$version" = 3 ] || tests="$tests locks"
	run_tests "$version" "$tests"
	echo "# tree $version $(final_tree | md5sum)"
	final_tree >"/tmp/nfs-tree-$version-$type"
	# The in-tree module is what the others are compared with: it has no result of its own.
	[ "$type" = overlay ] || diff "/tmp/nfs-tree-$version-overlay" "/tmp/nfs-tree-$version-$type" || differs=1
	umount $client || umount -l $client
	stop_server
	umount $export_dir || result FAILED "$version::unmount"
	rm -rf "$base"
}

# Whether the trees that the types leave differ, or that of the in-tree module is missing: then the run did not end well.
differs=0
start_daemons || { echo "the daemons do not start"; exit 1; }
run 4.2 sec=sys
run 3 nolock,sec=sys
[ "$differs" = 0 ]
