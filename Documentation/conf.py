# SPDX-License-Identifier: GPL-2.0
"""How Sphinx makes the site of the documentation; `make htmldocs` runs it.

Sources are the pages of Documentation and the Markdown files of the repository, each at its own
place, so that the same links lead to them here and in the repository.
"""

import os
import re
import sys

here = os.path.dirname(os.path.abspath(__file__))
top = os.path.dirname(here)
sys.path.insert(0, os.path.join(here, "sphinx"))


def released():
    """The version, which debian/changelog begins with."""
    with open(os.path.join(top, "debian", "changelog"), encoding="utf-8") as changelog:
        return re.match(r"rovl \(([^-)]+)", changelog.readline()).group(1)


project = "rovl"
author = "the rovl authors"
project_copyright = "the rovl authors, GPL-2.0"
version = release = released()

extensions = ["myst_parser", "automarkup"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
root_doc = "Documentation/index"
include_patterns = ["Documentation/**.rst", "*.md", "**/README.md"]
exclude_patterns = ["build", "target", "**/target", ".git"]
nitpicky = True
highlight_language = "none"
myst_heading_anchors = 3

html_theme = "sphinx_rtd_theme"
html_theme_options = {"navigation_depth": 2}
html_title = f"rovl {release}"
html_static_path = ["sphinx-static"]
html_css_files = ["custom.css"]
html_extra_path = ["sphinx-extra"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_domain_indices = False
smartquotes = False
