"""Run on a SLURM cluster: find this machine's place in a job, and decide whether to requeue the job after a run.

Nothing here imports heavy packages: it runs on login nodes, and beside every launcher.
"""
