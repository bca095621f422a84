# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The greeting app, which also says all the time which release it is, and what its key is."""

import itertools
import os
import runpy
import sys
import threading
import time


def talk() -> None:
    for number in itertools.count():
        channel = sys.stderr if number % 2 else sys.stdout
        print(
            f"release {os.environ['RELEASE']} says {number}, its key {os.environ['API_KEY']}", file=channel, flush=True
        )
        time.sleep(0.5)


threading.Thread(target=talk, daemon=True).start()
runpy.run_path("/app.py", run_name="__main__")
