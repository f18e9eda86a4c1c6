#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py write FILE: milliseconds of the first write of 4 KiB to FILE, until it is on the disk.
measure.py run COMMAND...: milliseconds of a command."""
import os
import subprocess
import sys
import time


def main():
    start = time.monotonic_ns()
    if sys.argv[1] == "write":
        file = os.open(sys.argv[2], os.O_WRONLY)
        os.pwrite(file, b"x" * 4096, 0)
        os.fsync(file)
        os.close(file)
    else:
        subprocess.run(sys.argv[2:], check=True, stdout=subprocess.DEVNULL)
    print(round((time.monotonic_ns() - start) / 1e6))


main()
