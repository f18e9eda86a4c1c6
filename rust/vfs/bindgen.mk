# SPDX-License-Identifier: GPL-2.0
#
# Bindings of what the kernel crate does not bind, generated from the headers of
# the kernel that the module is built for.
#
# Types stay the kernel crate's (--no-recursive-allowlist), so that both sets of
# bindings work together.

# libclang reads the flags of the kernel's compiler.  Where that is gcc, those that
# clang does not know are taken out; rust/Makefile of the kernel keeps this list for
# its own bindings and does not share it with external modules.
rovl_bindgen_skip := -mno-fp-ret-in-387 -mpreferred-stack-boundary=% \
	-mskip-rax-setup -mgeneral-regs-only -msign-return-address=% \
	-mindirect-branch=thunk-extern -mindirect-branch-register \
	-mfunction-return=thunk-extern -mrecord-mcount -mabi=lp64 \
	-mindirect-branch-cs-prefix -mstack-protector-guard% -mtraceback=no \
	-mno-pointers-to-nested-functions -mno-string \
	-mno-strict-align -mstrict-align -mdirect-extern-access \
	-mexplicit-relocs -mno-check-zero-division \
	-fconserve-stack -falign-jumps=% -falign-loops=% \
	-femit-struct-debug-baseonly -fno-ipa-cp-clone -fno-ipa-sra \
	-fno-partial-inlining -fplugin-arg-arm_ssp_per_task_plugin-% \
	-fno-reorder-blocks -fno-allow-store-data-races -fasan-shadow-offset=% \
	-fzero-call-used-regs=% -fno-stack-clash-protection \
	-fno-inline-functions-called-once -fsanitize=bounds-strict \
	-fstrict-flex-arrays=% -fmin-function-alignment=% \
	-fzero-init-padding-bits=% -mno-fdpic \
	-fdiagnostics-show-context -fdiagnostics-show-context=% \
	--param=% --param asan-% -fno-isolate-erroneous-paths-dereference \
	-ffixed-r2 -mmultiple -mno-readonly-in-sdata

rovl_bindgen_target_x86 := x86_64-linux-gnu
rovl_bindgen_target_arm64 := aarch64-linux-gnu
rovl_bindgen_target_um := $(rovl_bindgen_target_x86)

ifdef CONFIG_CC_IS_CLANG
rovl_bindgen_c_flags = $(filter-out $(CC_FLAGS_LTO),$(c_flags))
else
rovl_bindgen_c_flags = $(filter-out $(rovl_bindgen_skip) $(CC_FLAGS_LTO),$(c_flags)) \
	-w --target=$(rovl_bindgen_target_$(SRCARCH))
endif

rovl_bindgen_functions := rvfs_.*|lookup_one.*|lookup_noperm.*|start_(creating|removing|renaming).*
rovl_bindgen_functions := $(rovl_bindgen_functions)|end_renaming|end_dirop|kern_path|vfs_path_lookup|kernel_file_open
rovl_bindgen_functions := $(rovl_bindgen_functions)|backing_.*|exportfs_.*|posix_acl_.*|get_inode_acl
rovl_bindgen_functions := $(rovl_bindgen_functions)|get_cached_acl_rcu|vfs_(get|set|remove)_acl
rovl_bindgen_functions := $(rovl_bindgen_functions)|vfs_fileattr_(get|set)|do_splice_direct|generic_setlease
rovl_bindgen_functions := $(rovl_bindgen_functions)|get_tree_nodev|__fs_parse|fs_param_is_(string|file_or_string|enum)|vfs_parse_monolithic_sep|vfs_statfs

rovl_bindgen_types := fs_context|fs_context_operations|fs_context_purpose|fs_context_phase|handle_to_path_ctx|handle_to_path_flags|exportfs_block_ops|fs_parameter|fs_value_type
rovl_bindgen_types := $(rovl_bindgen_types)|fs_parse_result|fs_parse_result__bindgen_ty_.*|p_log|fc_log
rovl_bindgen_types := $(rovl_bindgen_types)|fs_parameter__bindgen_ty_.*|fs_parameter_spec|constant_table|fs_param_type
rovl_bindgen_types := $(rovl_bindgen_types)|kstatfs|__kernel_fsid_t|backing_file_ctx|export_operations|fid.*
rovl_bindgen_types := $(rovl_bindgen_types)|file_kattr|rvfs_.*

quiet_cmd_rovl_bindgen = BINDGEN $@
      cmd_rovl_bindgen = $(BINDGEN) $< \
	$(shell grep -Ev '^\#|^$$' $(srctree)/rust/bindgen_parameters) \
	--rust-target 1.85 --use-core --with-derive-default \
	--ctypes-prefix kernel::ffi --no-layout-tests --no-debug '.*' \
	--enable-function-attribute-detection --no-recursive-allowlist \
	--allowlist-function '$(rovl_bindgen_functions)' \
	--allowlist-type '$(rovl_bindgen_types)' \
	--allowlist-var 'RVFS_.*|rvfs_.*' \
	-o $@ -- $(rovl_bindgen_c_flags) -fno-builtin -D__BINDGEN__ -DMODULE

$(obj)/rust/vfs/bindings_generated.rs: $(src)/rust/vfs/helpers.h FORCE
	$(call if_changed_dep,rovl_bindgen)

targets += rust/vfs/bindings_generated.rs
clean-files += rust/vfs/bindings_generated.rs

$(obj)/rust/vfs/vfs.o: $(obj)/rust/vfs/bindings_generated.rs
