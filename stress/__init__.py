"""Trying for a chosen time to lose, double, alter or leak an event, and counting how often it worked.

Belongs here: what is tried at length, how it is judged from outside, and the table of figures. What a
single test can hold is in the tests; how fast the pipeline is, in `benchmarks`.
"""
