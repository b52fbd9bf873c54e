"""Find everything that could keep a run from working before it is started, each problem with its fix.

`registry` has the checks of one machine, and `checks/` one check per file. In a job of several processes,
`process_group` checks what only all of them can find out, and `rendezvous` collects the findings of all machines.
"""
