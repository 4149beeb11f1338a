"""Upkeep of the lake: small files merged, old ones deleted, the log kept short.

Belongs here: what is due, in which order, and the figures of it. How it is done to one table safely is for
`lake`; when, for `orchestration`. Taking texts out of rows is for `privacy`.
"""
