"""Files of a run directory that more than one part reads: its status, its lock and the marks of quarantine."""
