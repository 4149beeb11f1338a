"""How fast and how large the pipeline is, each figure as a ratio to a reference measured in the same run.

Belongs here: what is measured, what it is held against, and the table of figures. Whether results
are right is for the tests.
"""
