# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the suites with an NFS server in the guest share.

client=/mnt/client

# Once for both types: what the server and the client need beside the layers.
start_daemons() {
	[ ! -e /run/nfs-started ] || return 0
	mkdir -p /export/overlay $client /run/rpcbind
	modprobe nfsd && modprobe nfs && modprobe nfsv3 && modprobe nfsv4 || return 1
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd || return 1
	mkdir -p /run/rpc_pipefs /var/lib/nfs/nfsdcld /var/lib/nfs/sm
	mountpoint -q /run/rpc_pipefs || mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs || return 1
	# The clients of an earlier server may reclaim what they had open in this time, in seconds.
	echo 10 >/proc/fs/nfsd/nfsv4leasetime
	echo 10 >/proc/fs/nfsd/nfsv4gracetime
	rpcbind -w && nfsdcld && rpc.statd --no-notify && touch /run/nfs-started
}

# start_server DIR: exports a directory; stop_server ends that.
start_server() {
	exportfs -o rw,fsid=7,no_root_squash,no_subtree_check,insecure "127.0.0.1:$1" &&
		{ pidof rpc.mountd >/dev/null || rpc.mountd; } && rpc.nfsd 4
}

stop_server() { rpc.nfsd 0 && exportfs -au && exportfs -f; }

# mount_client VERSION OPTIONS DIR: attributes are asked for again at once, since the tests change files on both sides.
mount_client() { mount -t nfs -o "vers=$1,$2,proto=tcp,actimeo=0,hard" "127.0.0.1:$3" $client; }

forget() { echo 3 >/proc/sys/vm/drop_caches; }

# same WHAT EXPECTED COMMAND...: the command's output has to be the expected text.
same() {
	local what=$1 expected=$2 seen
	shift 2
	seen=$("$@" 2>&1)
	[ "$seen" = "$expected" ] || { echo "$what: expected \"$expected\", got \"$seen\""; return 1; }
}

# tree DIR: all that a tree shows, but for times and numbers of inodes.
tree() {
	(cd "$1" && find . -printf '%P %y %m %U %G %n %l\n' | sed 's/^\(.* d [0-9]* [0-9]* [0-9]*\) [0-9]*/\1/' | sort &&
		find . -type f -print0 | sort -z | xargs -0 md5sum)
}

# run_tests PREFIX 'TEST...': functions, in this order; the variable TESTS has others.
run_tests() {
	local test
	for test in ${TESTS:-$2}; do
		if (LIMIT=120 in_time "$test"); then result ok "$1::$test"; else result FAILED "$1::$test"; fi
	done
}

# in_time FUNCTION: runs it, and fails if it takes more than LIMIT seconds of progress, as a client without an answer does.
in_time() {
	"$1" &
	local job=$!
	(limit "$LIMIT"; kill $job 2>/dev/null && echo "$1: no end after $LIMIT s") &
	local timer=$!
	wait $job
	local status=$?
	# What it waits with ends, and then it finds no job to kill.
	pkill -P $timer
	return $status
}
