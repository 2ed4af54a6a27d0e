"""The pure parts of the benchmark. What needs a database is run by `tests/bench/run --quick`."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "functional")]
