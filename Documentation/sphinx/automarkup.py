# SPDX-License-Identifier: GPL-2.0
"""Makes links of the names of pages: `design.rst`, `tools/vm/README.md`. As the kernel's extension of this
name does, so that texts read as well without Sphinx.

A name is looked for beside the page that has it, in Documentation, and from the top of the repository. One
that is nowhere is warned of, unless it is a page of the kernel's.
"""

import os
import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util import logging

KERNELS = "Documentation/filesystems/"
logger = logging.getLogger(__name__)
NAME = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*[\w-]+\.(?:rst|md)\b")


def page(env, name):
    """The page that `name` means on the page that is read, if there is one."""
    base, suffix = os.path.splitext(name)
    for folder in (os.path.dirname(env.docname), "Documentation", ""):
        found = os.path.normpath(os.path.join(folder, base))
        if found in env.found_docs and os.fspath(env.doc2path(found)).endswith(suffix):
            return found
    return None


def is_text(node):
    """Whether names in `node` may be made links of: it is neither part of one, nor code or a heading."""
    parent = node.parent
    while parent is not None:
        if isinstance(parent, (nodes.reference, nodes.literal_block, nodes.title, nodes.raw)):
            return False
        if "xref" in getattr(parent, "attributes", {}).get("classes", []) or parent.tagname == "pending_xref":
            return False
        parent = parent.parent
    return True


def markup(app, doctree):
    """Replaces the names in all texts of a page."""
    env = app.env
    for text in list(doctree.findall(nodes.Text)):
        if not is_text(text) or not NAME.search(text):
            continue
        parts, end = [], 0
        for match in NAME.finditer(text):
            if match.group().startswith(KERNELS):
                continue
            found = page(env, match.group())
            if found is None:
                logger.warning("there is no page %s", match.group(), location=text.parent)
                continue
            parts.append(nodes.Text(text[end : match.start()]))
            parts.append(link(env, found, match.group()))
            end = match.end()
        parts.append(nodes.Text(text[end:]))
        text.parent.replace(text, parts)


def link(env, target, name):
    """A link to the page `target`, which is called `name`."""
    node = pending_xref(
        "", nodes.inline("", name), refdomain="std", reftype="doc", reftarget="/" + target, refexplicit=True, refwarn=True
    )
    node["refdoc"] = env.docname
    return node


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-read", markup)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
