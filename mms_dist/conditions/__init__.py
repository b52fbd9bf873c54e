"""Conditions under which a model is evaluated: noise, reverberation, a telephone line and others, each in one file.

`condition` says what a condition is, and `registry` lists all of them. docs/extending.md shows how to add one.
"""
