#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# images: buildah, skopeo and umoci, which need no daemon.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/podman.lib.sh
. /payload/podman.lib.sh

from_scratch() {
	local container dir
	small_root root
	container=$(buildah from scratch)
	dir=$(buildah mount "$container")
	cp -a root/. "$dir/"
	buildah umount "$container"
	buildah config --cmd sh "$container"
	buildah commit --quiet "$container" base
	buildah rm "$container"
}
changed() {
	local container dir
	container=$(buildah from base)
	buildah run --isolation chroot "$container" sh -c "$changes"
	dir=$(buildah mount "$container")
	grep -o ' - overlay .*' /proc/self/mountinfo | masked | said buildah_mount
	contents "$dir/data" | said buildah_tree
	buildah umount "$container"
	buildah commit --quiet "$container" changed
	buildah rm "$container"
}
bud() {
	cat >Containerfile <<-'END'
		FROM localhost/base
		RUN rm -r /data/sub /data/4 && mkdir /data/sub && echo new >/data/sub/new
		RUN mv /data/old /data/young && echo more >>/data/5 && chmod 700 /data/young
		RUN rm /data/6 /data/7
	END
	buildah bud --quiet --layers --isolation chroot --file Containerfile --tag bud .
	buildah inspect --type image --format '{{len .OCIv1.RootFS.DiffIDs}}' bud | said bud_layers
}
# What layers are in an image, by kind and name, without times.
layers_of() {
	local blob
	for blob in $(jq -r '.layers[].digest | split(":")[1]' "$1/blobs/sha256/$(jq -r '.manifests[0].digest | split(":")[1]' "$1/index.json")"); do
		echo "layer:"
		zcat --force <"$1/blobs/sha256/$blob" | tar --list --verbose --numeric-owner | awk '{ $3 = $4 = $5 = ""; print }' | grep -v ' bin/' | LC_ALL=C sort
	done
}
formats() {
	skopeo copy --quiet containers-storage:localhost/changed oci:oci:latest
	layers_of oci | said oci_layers
	skopeo copy --quiet oci:oci:latest dir:directory
	skopeo copy --quiet dir:directory docker-archive:docker.tar:changed:again
	buildah rmi changed
	skopeo copy --quiet docker-archive:docker.tar:changed:again containers-storage:localhost/again
	skopeo copy --quiet containers-storage:localhost/bud oci:oci:bud
	skopeo copy --quiet containers-storage:localhost/again oci:oci:latest
	layers_of oci | said oci_again
}
# umoci unpacks, and finds what was changed, in an overlay.
unpack() {
	mkdir -p lower upper work_dir merged
	mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work_dir merged
	umoci unpack --image oci:latest merged/bundle
	contents merged/bundle/rootfs/data | said umoci_tree
	(cd merged/bundle/rootfs/data && rm 5 && echo new >new && chmod 700 made && mv young younger && rm -r sub)
	umoci repack --image oci:repacked merged/bundle
	umoci unpack --image oci:repacked merged/again
	contents merged/again/rootfs/data | said umoci_repacked
	umount merged
}
# What umoci has unpacked is a lower layer, and what is changed above it another image.
unpacked_below() {
	mkdir -p upper2 work2
	umoci unpack --image oci:latest bundle
	mount -t overlay overlay -o lowerdir=bundle/rootfs,upperdir=upper2,workdir=work2 merged
	(cd merged/data && rm 5 && mv sub other && echo more >>./0 && ln 0 zero)
	listed upper2 | said umoci_upper
	umoci insert --image oci:latest --tag inserted merged/data /inserted
	umoci unpack --image oci:inserted inserted
	contents inserted/rootfs/inserted | said umoci_inserted
	umount merged
}

settings ''
for test in from_scratch changed bud formats unpack unpacked_below; do try $test $test; done
try reset buildah rmi --all --force
after
