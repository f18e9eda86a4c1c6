# SPDX-License-Identifier: GPL-2.0
#
# The sample file systems, and one for tests, read by Kbuild at the top.  What
# stacks is built with the crate for that, too.

samples := passfs memfs misuser
stacking := passfs misuser

obj-m := $(samples:=.o)

define rovl_sample
$(1)-y := samples/$(1)/$(1).o rust/vfs/vfs.o $(rovl_kernel) $(helpers)
RUSTFLAGS_samples/$(1)/$(1).o := $(rovl_kernel_flags) -L$(obj)/rust/vfs --extern vfs
$(obj)/samples/$(1)/$(1).o: $(obj)/rust/vfs/vfs.o
endef
$(foreach sample,$(samples),$(eval $(call rovl_sample,$(sample))))

define rovl_stacking_sample
$(1)-y += rust/stacking/stacking.o
RUSTFLAGS_samples/$(1)/$(1).o += -L$(obj)/rust/stacking --extern stacking
$(obj)/samples/$(1)/$(1).o: $(obj)/rust/stacking/stacking.o
endef
$(foreach sample,$(stacking),$(eval $(call rovl_stacking_sample,$(sample))))

# Kbuild hands the names of all modules that an object is linked into to rustc, which
# takes one; only a crate with module! would use it.
$(obj)/rust/vfs/vfs.o: private modfile := $(obj)/rust/vfs/vfs
$(obj)/rust/stacking/stacking.o: private modfile := $(obj)/rust/stacking/stacking
