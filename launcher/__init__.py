"""How work is started and kept going: the `mms-dist` command and what stands behind it."""
