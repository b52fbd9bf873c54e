"""Start runs and keep them going: the `mms-dist` command and the code behind it."""
