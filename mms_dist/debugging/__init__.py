"""`mms-dist debug`: run the user's configuration on a few utterances of their own data, and report every aspect of it.

cut -> a few real rounds -> bench (languages in slots, one batch each) -> sections to read, checks that pass or fail
"""
