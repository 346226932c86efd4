"""What is caught: one file a package. Each has a table WATCHES: the name of a module (or a pattern) → what to do once
it is imported.
"""
