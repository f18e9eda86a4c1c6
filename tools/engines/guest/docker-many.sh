#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# docker-many: docker with the driver overlay2: many layers, many containers, an end of dockerd that it did not see coming, and what is left of all.
# shellcheck source=tools/engines/guest/engines.lib.sh
. /payload/engines.lib.sh
# shellcheck source=tools/engines/guest/docker.lib.sh
. /payload/docker.lib.sh

left_over() { (cd /var/lib/docker/overlay2 && find . -mindepth 1 | LC_ALL=C sort) | said left_over; }

try start_containerd start_containerd
try start_docker start_docker --storage-driver=overlay2
try import import
try many_layers many_layers 120
try fifty fifty 50
try killed killed --storage-driver=overlay2
try prune prune
try left_over left_over
try stop_docker stop_docker
try stop_containerd stopped containerd
after
