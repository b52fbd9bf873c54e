"""mms-dist: many MMS language adapters trained at once on one frozen, shared model."""

__version__ = "0.1.0"
