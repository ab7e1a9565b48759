"""Holds all spans of a recording, in memory or on disk, and gives them back as whole traces.

Below the budget everything stays in memory. Above it, rows are dealt by trace to partitions on
disk, and one partition at a time is read back: the same memory for ten times the input.

`model.py` what a spool gives; `choice.py` which one is used.
`reference.py` frames, Arrow IPC on disk; `native.py` rows as the native decoder packs them.
"""
