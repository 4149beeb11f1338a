"""How long texts are kept, and for whom not: what bronze keeps, retention, erasure, and files that go.

Belongs here: when texts are taken out, and that they are gone afterwards. How they are taken out of an event
is for `usage`.
"""
