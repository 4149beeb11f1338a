"""The traffic generator: calls like those API Management logs, and a ledger of what must come of them.

An oracle that stands outside the pipeline: nothing here imports capture, lake, usage or the broker.
"""
