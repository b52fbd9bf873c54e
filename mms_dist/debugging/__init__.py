"""`mms-dist debug`: a configuration cut to a handful of utterances, looked at from all sides on the user's own data.

cut -> a few real rounds -> bench (languages in slots, one batch each) -> sections to read, checks that pass or fail
"""
