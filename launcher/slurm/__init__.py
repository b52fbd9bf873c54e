"""Running on a SLURM cluster: where this machine stands in a job, and what becomes of the job when a run has ended.

Imports nothing heavy: it runs on login nodes, and beside every launcher.
"""
