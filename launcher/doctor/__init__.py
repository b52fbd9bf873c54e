"""Find everything that could keep a run from working before it is started, each problem with its fix.

`examination` checks one machine; `rendezvous` and `together` check all machines of a job. `checks/` has one check per
file.
"""
