/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What user space asks a mounted overlay, by ioctl(2).  Documentation/observing.rst
 * describes it; rust/ioctls has the same for Rust, and a test that compares the two.
 *
 * Each structure begins with the number of bytes that the caller has room for, and
 * only grows, at its end.  The answer has the number of bytes that were filled.  A
 * smaller structure than the kernel's gets its beginning; a larger one has to be zero
 * in what the kernel does not know (E2BIG), and stays so.
 */
#ifndef _UAPI_LINUX_ROVL_H
#define _UAPI_LINUX_ROVL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Numbers 0x00 to 0x3f of this type are taken. */
#define ROVL_IOC_TYPE		0xf7

#define ROVL_IOC_GET_STATS	_IOWR(ROVL_IOC_TYPE, 0x00, __u8[8])
#define ROVL_IOC_GET_LAYER	_IOWR(ROVL_IOC_TYPE, 0x01, __u8[8])
#define ROVL_IOC_GET_HANDLE	_IOWR(ROVL_IOC_TYPE, 0x02, __u8[8])
#define ROVL_IOC_GET_STACK	_IOWR(ROVL_IOC_TYPE, 0x03, __u8[8])
#define ROVL_IOC_CHECKPOINT	_IOWR(ROVL_IOC_TYPE, 0x20, __u8[8])
#define ROVL_IOC_ROLLBACK	_IOWR(ROVL_IOC_TYPE, 0x21, __u8[8])
#define ROVL_IOC_PUSH	_IOWR(ROVL_IOC_TYPE, 0x22, __u8[8])
#define ROVL_IOC_DROP	_IOWR(ROVL_IOC_TYPE, 0x23, __u8[8])

/* Bucket n counts what took from 2^n to less than 2^(n+1) nanoseconds. */
#define ROVL_BUCKETS		40

/* ROVL_IOC_GET_STATS, on any descriptor of the mount */
struct rovl_stats {
	__u32 size;
	__u32 flags;			/* 0 */
	/* counted from the beginning of the mount on */
	__u64 lookups_positive;
	__u64 lookups_negative;
	__u64 lookups_failed;
	__u64 layers_asked;
	__u64 layers_missed;
	__u64 copy_ups;
	__u64 copy_ups_metadata;
	__u64 copy_ups_data;
	__u64 copy_ups_shared;
	__u64 copy_ups_completed;
	__u64 copy_ups_failed;
	__u64 bytes_copied;
	__u64 bytes_shared;
	__u64 whiteouts;
	__u64 opaques;
	__u64 redirects;
	__u64 listings_built;
	__u64 listings_hit;
	__u64 listings_dropped;
	__u64 name_tables_built;
	__u64 name_tables_hit;
	__u64 name_tables_dropped;
	__u64 syncs_own;
	__u64 syncs_full;
	__u64 files_synced;
	__u64 stale_handles;
	__u64 inodes_made;
	/* as it is now */
	__u64 kept_bytes;
	__u64 unwritten_files;
	__u64 mount_warnings;
	/* how long it took */
	__u64 copy_up_ns[ROVL_BUCKETS];
	__u64 sync_ns[ROVL_BUCKETS];
};

/* In the member flags of the structures below: asks for `object' */
#define ROVL_OBJECT		0x1

/* No layer */
#define ROVL_NO_LAYER		0xffffffff

/* Words of the bitmap of layers */
#define ROVL_LAYER_WORDS	8

/* Bits of rovl_layer.attributes */
#define ROVL_LAYER_UPPER	0x1
#define ROVL_LAYER_MERGED	0x2
#define ROVL_LAYER_METACOPY	0x4
#define ROVL_LAYER_OPAQUE	0x8
#define ROVL_LAYER_REDIRECTED	0x10
#define ROVL_LAYER_WHITEOUTS	0x20
#define ROVL_LAYER_IMPURE	0x40
#define ROVL_LAYER_ORIGIN	0x80
#define ROVL_LAYER_INDEXED	0x100
#define ROVL_LAYER_DATA_LATER	0x200
#define ROVL_LAYER_DIGEST	0x400
#define ROVL_LAYER_VERIFIED	0x800

/* ROVL_IOC_GET_LAYER.  Layer 0 is the upper one, the lower ones follow top-down. */
struct rovl_layer {
	__u32 size;
	__u32 flags;			/* 0 or ROVL_OBJECT */
	__s32 object;			/* a descriptor, O_PATH will do */
	__u32 lower_layers;		/* of the mount, with the data-only ones */
	__u32 data_layers;		/* the last ones of these */
	__u32 top;			/* has the attributes */
	__u32 data;			/* has the data of a file, or ROVL_NO_LAYER */
	__u32 count;			/* of layers that have a part */
	__u64 attributes;
	__u64 ino;			/* in the layer `top' */
	__u64 layers[ROVL_LAYER_WORDS];
};

/* ROVL_IOC_GET_HANDLE, for CAP_DAC_READ_SEARCH in the initial user namespace */
#define ROVL_HANDLE_BYTES	128

struct rovl_handle {
	__u32 size;
	__u32 flags;			/* 0 or ROVL_OBJECT */
	__s32 object;			/* a descriptor, O_PATH will do */
	__u32 layer;			/* in: the one that is asked for */
	__s32 kind;			/* file_handle.handle_type */
	__u32 len;			/* file_handle.handle_bytes */
	__u32 dev_major;		/* of the file system of the layer */
	__u32 dev_minor;
	__u8 bytes[ROVL_HANDLE_BYTES];	/* file_handle.f_handle */
};

/* ROVL_IOC_CHECKPOINT, on the root of a mount with the option live, for CAP_SYS_ADMIN */
#define ROVL_NAME_BYTES		64

struct rovl_checkpoint {
	__u32 size;
	__u32 flags;			/* 0 */
	__s32 upper;			/* descriptors of two empty directories */
	__s32 work;
	__u32 wait_ms;			/* for what keeps it from being done */
	__u32 count;			/* out: layers, with the upper one */
	__u64 busy_ino;			/* out: of a file that is mapped, or 0 */
	__u8 name[ROVL_NAME_BYTES];
};

/* ROVL_IOC_ROLLBACK, as for a checkpoint.  What ROVL_IOC_GET_STACK tells of the layer. */
struct rovl_rollback {
	__u32 size;
	__u32 flags;			/* 0 */
	__s32 upper;			/* descriptors of two empty directories */
	__s32 work;
	__u32 wait_ms;			/* for what keeps it from being done */
	__u32 position;			/* of the checkpoint to go back to */
	__u32 dev_major;		/* of this layer; ESTALE if there is another */
	__u32 dev_minor;
	__u64 ino;			/* the same */
	__u64 busy_ino;			/* out: of a file that is mapped, or 0 */
	__u32 count;			/* out: layers, with the upper one */
	__u32 reserved;			/* 0 */
};

/* ROVL_IOC_PUSH, as for a checkpoint: the layer comes directly below the upper one */
struct rovl_push {
	__u32 size;
	__u32 flags;			/* 0 */
	__s32 layer;			/* a descriptor of a directory */
	__u32 wait_ms;			/* for what keeps it from being done */
	__u32 count;			/* out: layers, with the upper one */
	__u32 reserved;			/* 0 */
	__u64 busy_ino;			/* out: 0 */
	__u8 name[ROVL_NAME_BYTES];
};

/* ROVL_IOC_DROP, as for a checkpoint: neither the upper layer nor the last lower one */
struct rovl_drop {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 position;			/* of the layer that goes */
	__u32 wait_ms;			/* for what keeps it from being done */
	__u32 dev_major;		/* of this layer; ESTALE if there is another */
	__u32 dev_minor;
	__u64 ino;			/* the same */
	__u64 busy_ino;			/* out: 0 */
	__u32 count;			/* out: layers, with the upper one */
	__u32 reserved;			/* 0 */
};

/* ROVL_IOC_GET_STACK.  Position 0 is the upper layer, the lower ones follow top-down. */
#define ROVL_PATH_BYTES		512

/* Bits of rovl_stack_entry.kind */
#define ROVL_STACK_UPPER	0x1
#define ROVL_STACK_CHECKPOINT	0x2
#define ROVL_STACK_PUSHED	0x4

struct rovl_stack_entry {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 position;			/* in: the one that is asked for */
	__u32 count;			/* of layers, with the upper one */
	__u32 kind;
	__u32 path_len;			/* also of one that is cut */
	__u32 dev_major;		/* of the file system of the layer */
	__u32 dev_minor;
	__u64 ino;
	__u8 name[ROVL_NAME_BYTES];	/* of a checkpoint or a pushed layer */
	__u8 path[ROVL_PATH_BYTES];
};

#endif /* _UAPI_LINUX_ROVL_H */
