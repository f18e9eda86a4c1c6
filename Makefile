# SPDX-License-Identifier: GPL-2.0
# The commands of daily work; `make help` lists them. Kbuild reads the file Kbuild: `make -C $KDIR M=$PWD` works as for any module.

# A configured kernel tree to build for. Without it: Debian's stock kernel, in the environment that tools/env makes.
KDIR ?=
ROVL_NAME ?= rovl
T ?=
ROUNDS ?= 4
SMP ?=
SEED ?=
N ?= 10000
REPLAY ?=
XFSTESTS ?=
TESTS ?=
MINUTES ?= 10
E ?=
KILLS ?= 200
DEMO_TYPE ?= rovl
PREFIX ?= /usr/local
SBINDIR ?= /usr/sbin
DESTDIR ?=

export ROVL_NAME
# Debian's kernel is built with gcc; what clang builds has to go with the debug kernel, which clang built.
tree := $(or $(KDIR),$(if $(LLVM),debug,stock))
# What kbuild understands is handed through.
pass := $(foreach v,LLVM CLIPPY W V C CC RUSTC INSTALL_MOD_PATH INSTALL_MOD_DIR INSTALL_MOD_STRIP KCFLAGS KRUSTFLAGS ROVL_KUNIT,\
	$(if $(filter command line environment,$(origin $(v))),'$(v)=$($(v))'))
kmake := tools/env/kmake
suites := pjdfstest fsx selftests stress-ng fio dbench nfs nfs-lower

.DEFAULT_GOAL := module
.PHONY: module map overlay overlay_install tool tool_install deb repo packages-test samples run shell test dropin bench bench-live demo-live scale profile difftest stress faults powercut xfstests suites $(suites) engines matrix security tracing debug-kernel debug-module programs fmt clippy rustdoc htmldocs dist rust-analyzer modules_install env clean distclean help

## module: build rovl.ko for Debian's stock kernel, or for KDIR=… (CLIPPY=1, W=, V= as in the kernel; LLVM=1 with the debug kernel)
module: env
	@$(kmake) '$(tree)' $(pass) modules

## map: draw Documentation/map.svg, the rooms of rust/rovl, from the code
map: env
	@tools/env/enter python3 tools/map/map.py draw >build/map.svg
	@mv build/map.svg Documentation/map.svg

## overlay: build the drop-in, overlay.ko
overlay: env
	@ROVL_NAME=overlay $(kmake) '$(tree)' $(pass) modules

## samples: build the sample file systems of samples/ (KERNEL=debug for the debug kernel)
samples: env
	@ROVL_NAME=samples $(kmake) '$(or $(KDIR),$(filter debug,$(KERNEL)),$(tree))' $(pass) modules

## overlay_install: install the drop-in, so that modprobe prefers it to the in-tree module (INSTALL_MOD_PATH= as in the kernel, INSTALL_MOD_STRIP= with debug information)
overlay_install: overlay
	@ROVL_NAME=overlay $(kmake) '$(tree)' $(pass) modules_install

## tool: build the command rovl, which looks into layers, checks them and makes images of them: build/bin/rovl
tool: env
	@tools/rovl/build

## tool_install: install it, with mount.rovl, fsck.overlay, man pages and completions (PREFIX=/usr/local SBINDIR=/usr/sbin DESTDIR=)
tool_install: tool
	@PREFIX='$(PREFIX)' SBINDIR='$(SBINDIR)' DESTDIR='$(DESTDIR)' tools/rovl/install

## deb: build Debian packages of the module, the drop-in and the command, in build/deb
deb:
	@debian/make

## repo: an apt repository of these packages, signed, in build/repo
repo:
	@debian/repo

## packages-test: install, upgrade, break and remove these packages in a root, boot what comes of it, build them again (T=part of a test's name)
packages-test:
	@tools/packages/run '$(T)'

## run: build all and show a layered Debian root, mounted by rovl in Debian's stock kernel
run: module tool
	@tools/demo/run $(DEMO_TYPE)

## demo-live: layers that change under a mount: an agent's sandbox with checkpoints, and /usr refreshed under programs that run
demo-live: module tool
	@tools/demo/live

## shell: a guest with both modules at hand (KERNEL=debug for the debug kernel)
shell: $(if $(filter debug,$(KERNEL)),debug-module,module)
	@tools/vm/shell $(or $(KERNEL),stock)

## test: everything; T=name runs only the tests whose names have that in them
test:
	@tools/check/run '$(T)'

## dropin: all guest tests on the drop-in, installed in a guest (T=part of names; KERNEL=debug)
dropin: env programs
	@tools/check/dropin $(or $(KERNEL),stock) $(if $(T),'$(T)')

## bench: rovl against the in-tree module, as ratios (ROUNDS=4, T=name; SMP=2 for contention by the wall clock)
bench: module programs
	@tools/bench/run '$(ROUNDS)' '$(SMP)' '$(T)'

## bench-live: how long checkpoint, rollback, push and drop take, beside what can be done without (ROUNDS=15)
bench-live: module programs
	@tools/bench/live $(if $(filter command line,$(origin ROUNDS)),'$(ROUNDS)')

## scale: curves of what operations cost against 1 to 500 layers and 100 to 1,000,000 names, of both modules and of a layer alone (ROUNDS=4)
scale: module programs
	@tools/bench/scale '$(ROUNDS)'

## profile: the kernel functions in which an operation of the benchmark costs the two modules different numbers of instructions (T= LINES=40)
profile: module programs
	@tools/profile/run '$(T)' $(LINES)

## difftest: random operations on rovl and the in-tree module, compared (SEED= N=10000, or REPLAY="script…"; LIVE=1: layers change under the mount, CHANGES=400 times; KERNEL=debug)
difftest: $(if $(filter debug,$(KERNEL)),debug-module,module) programs
	@tools/vm/run --kernel $(or $(KERNEL),stock) --timeout 36000 --only --payload build/$(or $(KERNEL),stock)/rovl.ko \
		--payload build/bin/rovl-difftest $(foreach f,$(REPLAY),--payload '$(f)') -- /payload/rovl-difftest \
		$(if $(REPLAY),$(foreach f,$(REPLAY),'--replay=/payload/$(notdir $(f))'),$(if $(SEED),--seed $(SEED)) $(if $(LIVE),--live $(if $(CHANGES),--changes $(CHANGES))) --operations $(N) --counts)

## suites: other projects' tests on both modules, compared: pjdfstest fsx selftests stress-ng fio dbench nfs nfs-lower, or make one of these
suites: module overlay
	@tools/suites/run
	@tools/suites/table

$(suites): module overlay
	@tools/suites/run $@

## engines: Debian's container engines and their tests on the in-tree module and on the drop-in, compared (E=docker for one step)
engines: overlay tool
	@tools/engines/run $(E)
	@tools/engines/table

## matrix: the guest tests on each kernel of tools/matrix/kernels, for the table in Documentation/kernels.rst (K=7.3.4-rt-amd64 for one)
matrix:
	@tools/matrix/run $(K)

## security: the guest tests with SELinux, AppArmor and IMA on both modules, a boot for each (T=selinux, apparmor or ima)
security: module programs
	@tools/security/run $(if $(T),'$(T)')

## tracing: the tracepoints of both modules in Debian's perf and bpftrace
tracing: module overlay
	@tools/tracing/run

## xfstests: its overlay tests on both modules over xfs and ext4, compared; what has a result is not run again (XFSTESTS=an installed copy; TESTS= BASES= SETS= MODULES= ONLY= FRESH= LIMIT=seconds MINUTES=)
xfstests:
	@tools/xfstests/run '$(XFSTESTS)' '$(TESTS)'

## stress: all roles at once on both types, and a look for leaks (MINUTES=10 for each; KERNEL=debug)
stress: $(if $(filter debug,$(KERNEL)),debug-module,module) programs
	@tools/vm/run --kernel $(or $(KERNEL),stock) --timeout 36000 --only --payload build/$(or $(KERNEL),stock)/rovl.ko \
		--payload build/bin/rovl-stress -- /payload/rovl-stress --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

## faults: each allocation and each block of many operations fails once, in the debug kernel (T= for a part of the tests' names)
faults: debug-module programs
	@tools/vm/run --kernel debug --timeout 36000 --only --payload build/debug/rovl.ko --payload build/bin/rovl-test -- \
		/payload/rovl-test --type rovl --thorough '$(or $(T),fail)'

## powercut: cut loops of changes off at any moment and check their disks (KILLS=200 SEED=)
powercut: module programs tool
	@tools/powercut/run $(KILLS) $(SEED)

## debug-kernel: build the kernel with KUnit, KASAN, lockdep and the like, and the module for it
debug-kernel debug-module:
	@tools/env/setup debug
	@$(kmake) debug $(pass) modules

# The test programs, static so that they run in any guest.
programs: env
	@tools/check/programs

## fmt: format all Rust sources
fmt: env
	@tools/check/rustfmt

## clippy: (and rustdoc) the lints that `make test` runs
clippy rustdoc: env
	@tools/check/$@

## htmldocs: the documentation as a site with search, rustdoc included, in build/htmldocs
htmldocs: module
	@tools/check/rustdoc
	@tools/check/htmldocs

## dist: the source of the last commit as a tarball, in build/dist
dist:
	@tools/dist/run

## rust-analyzer: make rust-project.json
rust-analyzer: env
	@$(kmake) '$(tree)' $(pass) rust-analyzer
	@$(if $(KDIR),,tools/env/rust-project '$(tree)')

## modules_install: install the module (INSTALL_MOD_PATH= as in the kernel, INSTALL_MOD_STRIP= with debug information)
modules_install: module
	@$(kmake) '$(tree)' $(pass) modules_install

# With a tree of the user's own nothing of the environment is needed.
env:
	@$(if $(KDIR),,tools/env/setup build kernel $(filter debug,$(tree)))

## clean: remove what was built
clean:
	@rm -rf build

## distclean: clean, and remove the cache too
distclean: clean
	@tools/env/clean

help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST)) | while IFS=: read -r target text; do printf '  make %-16s%s\n' "$$target" "$$text"; done
