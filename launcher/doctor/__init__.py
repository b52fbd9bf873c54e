"""What could keep a run from working, found before it is started: all of it at once, each with its fix.

`examination` looks at one machine, `meeting` and `together` at all of a job; `checks/` has one check in each file.
"""
