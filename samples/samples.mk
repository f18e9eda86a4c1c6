# SPDX-License-Identifier: GPL-2.0
#
# The sample file systems, read by Kbuild at the top.

samples := passfs memfs

obj-m := $(samples:=.o)

define rovl_sample
$(1)-y := samples/$(1)/$(1).o rust/vfs/vfs.o $(helpers)
RUSTFLAGS_samples/$(1)/$(1).o := -L$(obj)/rust/vfs --extern vfs
$(obj)/samples/$(1)/$(1).o: $(obj)/rust/vfs/vfs.o
endef
$(foreach sample,$(samples),$(eval $(call rovl_sample,$(sample))))

# Kbuild hands the names of all modules that an object is linked into to rustc, which
# takes one; only a crate with module! would use it.
$(obj)/rust/vfs/vfs.o: private modfile := $(obj)/rust/vfs/vfs
