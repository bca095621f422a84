# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests, scenarios, integration tests and benchmarks share.

pytest finds it through `pythonpath` in pyproject.toml, and the benchmarks through PYTHONPATH in the Makefile.
"""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
