"""One check per module: `check(context)` yields its findings, and raises an error if it cannot check.

A check may store what it has found out in the context, for the checks after it. `launcher/doctor/registry.py` has the
list.
"""
