"""The two forms of a rebuilt bug of a cache."""

import os


def both(bug, file):
    """FILE:bug, and FILE:fixed: the class that the bug overrides, or the bug's own with BUG = False, on the same claims."""
    stem = os.path.splitext(os.path.basename(file))[0]
    if hasattr(bug, "BUG"):
        fixed = type("Fixed", (bug,), {"BUG": False})
    else:
        fixed = type("Fixed", (bug.__mro__[1],), {"capabilities": bug.capabilities})
    forms = []
    for form, name in ((bug, "bug"), (fixed, "fixed")):
        target = form()
        target.name, target.version, target.about = f"{stem}:{name}", "rebuilt", name
        forms.append(target)
    return forms
