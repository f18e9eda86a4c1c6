// SPDX-License-Identifier: GPL-2.0
/* Tracepoints: what only macros of C can make.  observe/trace.rs calls them. */
#define CREATE_TRACE_POINTS
#include "trace.h"

rvfs_tracepoint(copy_up_begin);
rvfs_tracepoint(copy_up_end);
rvfs_tracepoint(lookup);
rvfs_tracepoint(whiteout);
rvfs_tracepoint(opaque);
rvfs_tracepoint(redirect);
rvfs_tracepoint(listing_built);
rvfs_tracepoint(listing_hit);
rvfs_tracepoint(listing_dropped);
rvfs_tracepoint(name_table_built);
rvfs_tracepoint(name_table_hit);
rvfs_tracepoint(name_table_dropped);
rvfs_tracepoint(sync);
rvfs_tracepoint(stale_handle);
rvfs_tracepoint(mount_refused);
rvfs_tracepoint(mount_downgraded);
