"""Exactly-once capture of Azure OpenAI usage from Event Hubs into Delta, and the aggregates made of it.

The package reads in the data's direction: `broker` and `traffic` stand in for Azure on a laptop,
`capture` lands events in the `lake`, `usage` turns bytes into usage rows, `refresh` brings a day of
a derived table up to date, `orchestration` is the Dagster shell and `cli` the command.
"""
