"""can_boot.py TREE: boots the tree once and ends it. Status 0 when that works here; else 1, and why not."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness.box import Box, BoxError  # noqa: E402

try:
    with Box(sys.argv[1], "/tmp") as box:
        print("a box boots here: %s" % box.run("systemctl", "--version").stdout.splitlines()[0])
except (BoxError, OSError) as error:
    sys.exit("tests/system cannot run here, and that counts as a failure: %s" % error)
