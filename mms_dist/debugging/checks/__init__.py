"""Check the invariants of the design on the user's own model and data: one function per claim."""
