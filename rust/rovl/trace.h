/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints.  Documentation/observing.rst describes each.  The system is the type
 * of the file system, so that both modules can be loaded.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ROVL_TRACE_SYSTEM

#if !defined(ROVL_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define ROVL_TRACE_H

#include <linux/tracepoint.h>
#include "helpers.h"

#define rovl_trace_why(why)						\
	__print_symbolic(why,						\
		{ 0, "open" }, { 1, "truncate" }, { 2, "setattr" },	\
		{ 3, "setxattr" }, { 4, "set_acl" },			\
		{ 5, "fileattr_set" }, { 6, "create" },			\
		{ 7, "remove" }, { 8, "rename" }, { 9, "link" },	\
		{ 10, "encode_fh" })

#define rovl_trace_how(how)						\
	__print_symbolic(how,						\
		{ 0, "no_data" }, { 1, "data" }, { 2, "shared" },	\
		{ 3, "metadata" })

#define rovl_trace_dropped(why)						\
	__print_symbolic(why,						\
		{ 0, "changed" }, { 1, "memory" }, { 2, "inode" })

TRACE_EVENT(copy_up_begin,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, size)
		__field(u8, why)
		__string(path, path)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__entry->size = t->values[0];
		__entry->why = t->values[1];
		__assign_str(path);
	),
	TP_printk("dev=%d:%d ino=%llu size=%llu why=%s path=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->size, rovl_trace_why(__entry->why), __get_str(path))
);

TRACE_EVENT(copy_up_end,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, size)
		__field(u64, bytes)
		__field(u64, ns)
		__field(int, err)
		__field(u8, why)
		__field(u8, how)
		__string(path, path)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__entry->size = t->values[0];
		__entry->why = t->values[1];
		__entry->how = t->values[2];
		__entry->bytes = t->values[3];
		__entry->ns = t->values[4];
		__entry->err = t->err;
		__assign_str(path);
	),
	TP_printk("dev=%d:%d ino=%llu size=%llu why=%s how=%s bytes=%llu ns=%llu err=%d path=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->size, rovl_trace_why(__entry->why),
		  rovl_trace_how(__entry->how), __entry->bytes, __entry->ns,
		  __entry->err, __get_str(path))
);

TRACE_EVENT(lookup,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u32, asked)
		__field(u32, missed)
		__field(int, err)
		__string(path, path)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__entry->asked = t->values[0];
		__entry->missed = t->values[1];
		__entry->err = t->err;
		__assign_str(path);
	),
	/* A negative one has the inode number 0. */
	TP_printk("dev=%d:%d ino=%llu asked=%u missed=%u err=%d path=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->asked, __entry->missed, __entry->err,
		  __get_str(path))
);

/* Something in the upper layer that hides what is below. */
DECLARE_EVENT_CLASS(rovl_marked,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__string(path, path)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__assign_str(path);
	),
	TP_printk("dev=%d:%d path=%s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __get_str(path))
);

DEFINE_EVENT(rovl_marked, whiteout,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_marked, opaque,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

TRACE_EVENT(redirect,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__string(path, path)
		__string(to, text)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__assign_str(path);
		__assign_str(to);
	),
	TP_printk("dev=%d:%d ino=%llu path=%s to=%s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino, __get_str(path),
		  __get_str(to))
);

/* What is kept of the names in a directory. */
DECLARE_EVENT_CLASS(rovl_kept,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, bytes)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__entry->bytes = t->values[0];
	),
	TP_printk("dev=%d:%d ino=%llu bytes=%llu", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino, __entry->bytes)
);

DECLARE_EVENT_CLASS(rovl_dropped,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, bytes)
		__field(u8, why)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->ino = t->ino;
		__entry->bytes = t->values[0];
		__entry->why = t->values[1];
	),
	TP_printk("dev=%d:%d ino=%llu bytes=%llu why=%s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->ino, __entry->bytes,
		  rovl_trace_dropped(__entry->why))
);

DEFINE_EVENT(rovl_kept, listing_built,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_kept, listing_hit,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_dropped, listing_dropped,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_kept, name_table_built,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_kept, name_table_hit,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_dropped, name_table_dropped,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

TRACE_EVENT(sync,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, files)
		__field(u64, ns)
		__field(int, err)
		__field(bool, full)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->full = t->values[0];
		__entry->files = t->values[1];
		__entry->ns = t->values[2];
		__entry->err = t->err;
	),
	TP_printk("dev=%d:%d of=%s files=%llu ns=%llu err=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->full ? "all" : "own", __entry->files, __entry->ns,
		  __entry->err)
);

TRACE_EVENT(stale_handle,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(int, kind)
		__field(u32, bytes)
		__string(reason, text)
	),
	TP_fast_assign(
		__entry->dev = t->dev;
		__entry->kind = t->values[0];
		__entry->bytes = t->values[1];
		__assign_str(reason);
	),
	TP_printk("dev=%d:%d kind=%#x bytes=%u reason=%s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->kind,
		  __entry->bytes, __get_str(reason))
);

/* What the log of a mount is told. */
DECLARE_EVENT_CLASS(rovl_mount,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text),
	TP_STRUCT__entry(
		__string(message, text)
	),
	TP_fast_assign(
		__assign_str(message);
	),
	TP_printk("%s", __get_str(message))
);

DEFINE_EVENT(rovl_mount, mount_refused,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

DEFINE_EVENT(rovl_mount, mount_downgraded,
	TP_PROTO(const struct rvfs_trace *t, const char *path, const char *text),
	TP_ARGS(t, path, text)
);

#endif /* ROVL_TRACE_H */

/* This part must be outside of the protection. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
