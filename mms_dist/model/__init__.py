"""The model: a frozen base, a bank of adapter rows, and the routed forward pass that joins them."""
