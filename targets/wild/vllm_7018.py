"""vllm#7018: a row without a prefix hit gets a block table of zeros when another row of the batch has one"""

import os, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "base"))
import numpy as np

REQUIRES = []

from forms import both

from paged import PAGED, Paged


class Bug(Paged):
    capabilities = PAGED

    def tokens(self, n, step):
        self.mixed = any(r.next for r in self.rows)  # the kernel that reads the cache is used at all
        return super().tokens(n, step)

    def row_step(self, b, q, k, v, step):
        self.fresh = self.rows[b].next == 0
        return super().row_step(b, q, k, v, step)

    def table_for(self, b, step):
        t = self.tables[b]
        return (
            [0] * len(t) if self.mixed and self.fresh else t
        )  # BUG: block_table of a sequence without computed blocks is []


def targets():
    return both(Bug, __file__)
