// SPDX-License-Identifier: GPL-2.0
/* Texts of tracepoints: paths and names may have any bytes in them. */
#include <linux/string_helpers.h>
#include "helpers.h"

/* An event has to fit into a page, with each byte as four. */
#define RVFS_TRACE_TEXT_MAX	480

static char *rvfs_trace_escape(const char *text, size_t len, const char *more)
{
	const unsigned int flags = ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND;
	char *escaped;
	size_t room = 4 * RVFS_TRACE_TEXT_MAX + 1;
	int needed;

	/* The end of a path says the most. */
	if (len > RVFS_TRACE_TEXT_MAX) {
		text += len - RVFS_TRACE_TEXT_MAX;
		len = RVFS_TRACE_TEXT_MAX;
	}
	escaped = kmalloc(room, GFP_KERNEL | __GFP_NOWARN);
	if (!escaped)
		return NULL;
	needed = string_escape_mem(text, len, escaped, room - 1, flags, more);
	escaped[min_t(size_t, needed, room - 1)] = '\0';
	return escaped;
}

/* The path from the root of the file system.  Without memory, there is none. */
char *rvfs_trace_path(const struct rvfs_trace *told)
{
	char *buffer, *path, *escaped = NULL;

	if (!told->dentry)
		return NULL;
	buffer = kmalloc(PATH_MAX, GFP_KERNEL | __GFP_NOWARN);
	if (!buffer)
		return NULL;
	path = dentry_path_raw(told->dentry, buffer, PATH_MAX);
	if (!IS_ERR(path))
		escaped = rvfs_trace_escape(path, strlen(path), " \\");
	kfree(buffer);
	return escaped;
}

/* It comes last, so that spaces do no harm. */
char *rvfs_trace_text(const struct rvfs_trace *told)
{
	if (!told->len)
		return NULL;
	return rvfs_trace_escape(told->text, told->len, "\\");
}
