"""One check per module: `look(context, notes)` notes its findings, and raises an error if it cannot check.

A check stores what later checks need in the context. Each module is imported only when its check runs, so that a broken
installation becomes a finding too.
"""
