"""The invariants of the design, checked on the user's own model and data: one function a claim."""
