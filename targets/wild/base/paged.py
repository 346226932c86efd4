"""The paged form: a pool of pages, a block table for each row, pages shared by fork and reorder, copied before a write."""

import numpy as np
from wildcache import ALL, Cache, claims, attend


class Paged(Cache):
    name = "base:paged"
    fill = 0.0

    def open(self, case, tensors):
        super().open(case, tensors)
        self.P = self.c["page_size"]
        pages = 2 * self.B * -(-self.cap // self.P) + 4
        self.pool_k = np.full((pages, self.P, self.G, self.D), self.fill)
        self.pool_v = np.full((pages, self.P, self.G, self.E), self.fill)
        self.ref = np.zeros(pages, int)
        self.free = list(range(pages))
        self.tables = [[] for _ in range(self.B)]

    def length(self, b):
        return self.rows[b].next

    def take(self):
        p = self.free.pop(0)
        self.ref[p] = 1
        return p

    def drop(self, p):
        self.ref[p] -= 1
        if self.ref[p] == 0:
            self.free.append(p)

    def append(self, b, k, v, pos, step):
        t = self.tables[b]
        for i, at in enumerate(pos):
            pg, sl = divmod(int(at), self.P)
            if pg == len(t):
                t.append(self.take())
            elif self.ref[t[pg]] > 1:
                new = self.take()
                self.pool_k[new], self.pool_v[new] = self.pool_k[t[pg]], self.pool_v[t[pg]]
                self.drop(t[pg])
                t[pg] = new
            self.pool_k[t[pg], sl] = self.turn(k[:, i : i + 1], pos[i : i + 1])[:, 0]
            self.pool_v[t[pg], sl] = v[:, i]

    def table_for(self, b, step):
        return self.tables[b]

    def gather(self, b, step, n):
        t = np.array(self.table_for(b, step), int)
        k = self.pool_k[t].reshape(-1, self.G, self.D)[:n].swapaxes(0, 1)
        v = self.pool_v[t].reshape(-1, self.G, self.E)[:n].swapaxes(0, 1)
        return k, v

    def attend_row(self, b, q, pos, step):
        n = int(pos[-1]) + 1
        k, v = self.gather(b, step, n)
        return attend(self.turn(q, pos), k, v, self.sees(pos, np.arange(n)), self.scale)

    def forget(self, r):
        pass

    def share(self, tables, nexts):
        for t in tables:
            for p in t:
                self.ref[p] += 1
        for t in self.tables:
            for p in t:
                self.drop(p)
        self.tables = tables
        for r, n in zip(self.rows, nexts):
            r.next = n

    def reorder(self, rows):
        self.share([list(self.tables[i]) for i in rows], [self.rows[i].next for i in rows])

    def fork(self, a, b):
        rows = list(range(self.B))
        rows[b] = a
        self.reorder(rows)

    def crop(self, length):
        for b, r in enumerate(self.rows):
            r.next = min(r.next, length)
            while len(self.tables[b]) > -(-r.next // self.P):
                self.drop(self.tables[b].pop())

    def reset(self):
        self.crop(0)


PAGED = claims(("paged",), [s for s in ALL if s != "evict"], ("ragged", "rope:half"))
