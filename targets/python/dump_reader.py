"""For tests: runs a C++ program that dumps arrays for case files, and reads what it prints.

The format: for each case lines "NAME TYPE SIZE…", each followed by the array's bytes, then an empty line.
"""
import json
import os
import subprocess

import numpy as np


def dumped(variable, files, types=None):
    """For each file a dict of arrays. $variable names the program; `types` maps its TYPE words to NumPy's."""
    output = subprocess.run([os.environ[variable], *files], stdout=subprocess.PIPE, check=True).stdout
    cases, at = [{}], 0
    while at < len(output):
        end = output.index(b"\n", at)
        line = output[at:end].decode().split()
        at = end + 1
        if not line:
            cases.append({})
            continue
        name, word, *sizes = line
        dtype = np.dtype((types or {}).get(word, word))
        shape = [int(size) for size in sizes]
        count = int(np.prod(shape))
        cases[-1][name] = np.frombuffer(output, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return cases[:-1]


def dumped_cases(variable, cases, folder, types=None):
    """dumped() for cases that are not in files yet: they are written to `folder`."""
    files = [folder / f"{n}.json" for n in range(len(cases))]
    for file, case in zip(files, cases):
        file.write_text(json.dumps(case))
    made = dumped(variable, files, types)
    assert len(made) == len(cases)
    return made
