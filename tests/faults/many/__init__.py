"""Faults in runs of several processes, through the real `accelerate launch`."""
