#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# guest.sh selinux|apparmor|ima [FILTER]: loads the policy, and runs the tests of that security module on both types. Runs in the guest.
set -u
module=$1 filter=${2-}

# Audit messages are for the tests, not for the console.
dmesg --console-level 5
mount -t securityfs securityfs /sys/kernel/security
case $module in
selinux)
	mount -t selinuxfs selinuxfs /sys/fs/selinux && cat /payload/selinux-policy >/sys/fs/selinux/load ;;
apparmor)
	apparmor_parser --replace --skip-cache /payload/apparmor-profiles ;;
ima)
	cat /payload/ima-policy >/sys/kernel/security/ima/policy ;;
esac || { echo "the policy for $module cannot be loaded: $(dmesg | tail -n 3)"; exit 1; }

filter=${filter:-$module}
# As a part of a word the name of this one is in others.
[ "$filter" != ima ] || filter=ima::
failed=0
for type in overlay rovl; do
	echo "# type $type"
	/payload/rovl-test --type "$type" "$filter" || failed=1
done
exit $failed
