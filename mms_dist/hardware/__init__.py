"""Settings that depend on the hardware. All ranks agree on them at the first start, and restarts keep them."""
