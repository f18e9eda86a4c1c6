# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The settings of podman, buildah and skopeo in a guest without network and without systemd. Sourced after engines.lib.sh.

# settings [OPTIONS]: with these options of the overlay driver. CGROUPS=disabled leaves control groups alone.
settings() {
	mkdir -p /etc/containers
	echo '{ "default": [ { "type": "insecureAcceptAnything" } ] }' >/etc/containers/policy.json
	cat >/etc/containers/containers.conf <<-END
		[containers]
		cgroups = "${CGROUPS:-enabled}"
		netns = "none"
		log_driver = "k8s-file"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
	END
	cat >/etc/containers/storage.conf <<-END
		[storage]
		driver = "overlay"
		runroot = "/run/containers/storage"
		graphroot = "/var/lib/containers/storage"
		[storage.options.overlay]
		${1-}
	END
}
# seen IMAGE: the whole tree of an image, as podman exports it.
seen() { exported podman "$1" | grep -vE '^(bin|dev|etc|proc|sys|run)(/| )|  \./(bin|etc|run)'; }
masked() { sed -E 's/[0-9a-f]{64}/ID/g; s/\b[0-9A-Z]{26}\b/LINK/g; s/(c|size=|context=)[0-9]+/\1N/g'; }

status_of() { podman info --format '{{range $k, $v := .Store.GraphStatus}}{{$k}}: {{$v}}{{println}}{{end}}'; }
info() { status_of | said "info$1"; }
import() {
	small_root root
	tar --create --numeric-owner --directory=root . | podman import --change 'CMD ["sh"]' - base
	podman run --rm base sh -c 'cat /data/sub/deep/file; ls -l /data/0 | cut -c1-40' | said import
}
# run_and_exec NAME [OPTION...]: a container that changes the tree.
run_and_exec() {
	local name=$1
	shift
	podman run --detach --name "$name" "$@" base sleep 10000
	podman exec "$name" sh -c "${changes:?}"
	podman exec "$name" sh -c 'cd /data; ls -1; cat 5 sub/file young/file merged/*; stat -c "%n %a %u:%g %h %s" *' | said "exec_$name"
	podman diff "$name" | LC_ALL=C sort | said "diff_$name"
}
upper_of() { podman inspect --format '{{.GraphDriver.Data.UpperDir}}' "$1"; }
# commit NAME: what that container has changed, as an image.
commit() {
	podman commit --quiet "$1" "committed-$1"
	seen "localhost/committed-$1" | said "commit_$1"
	podman rm --force --time 0 "$1"
}
