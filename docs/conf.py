# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx's configuration. scripts/docs builds the pages, from the root because they link to files all over it."""

from __future__ import annotations

project = "alphacoder.scaleout"
copyright = "alphacoder"
extensions = ["myst_parser"]
root_doc = "docs/contents"
include_patterns = ["*.md", "CHANGELOG.rst", "docs/**", "lab/README.md", "roles/*/README.md"]
# GitHub's anchors of headings, which pages link to
myst_heading_anchors = 4
# The language of one example, haproxy, is known to forges and not to Pygments
suppress_warnings = ["misc.highlighting_failure"]
html_theme = "sphinx_ansible_theme"
