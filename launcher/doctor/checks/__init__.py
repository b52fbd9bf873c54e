"""One check in each module: `look(subject, notes)` writes down what it finds, and raises what it cannot judge.

A check that finds something which later ones need puts it into the subject. Modules are imported when their turn comes,
so that a broken installation is a finding too.
"""
