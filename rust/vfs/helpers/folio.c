// SPDX-License-Identifier: GPL-2.0
/* Folios. */
#include "helpers.h"

bool rvfs_folio_is_marked(const struct folio *folio)
{
	return folio_test_private(folio);
}

void rvfs_folio_mark(struct folio *folio)
{
	folio_attach_private(folio, (void *)1UL);
}

void rvfs_folio_unmark(struct folio *folio)
{
	folio_detach_private(folio);
}

struct super_block *rvfs_folio_sb(const struct folio *folio)
{
	return folio->mapping->host->i_sb;
}

size_t rvfs_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

void rvfs_folio_unlock_put(struct folio *folio)
{
	folio_unlock(folio);
	folio_put(folio);
}

void rvfs_folio_clean_unlock(struct folio *folio)
{
	folio_cancel_dirty(folio);
	folio_unlock(folio);
}

struct folio *rvfs_vmf_folio(struct vm_fault *vmf)
{
	return page_folio(vmf->page);
}
