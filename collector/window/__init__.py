"""Spans -> whole traces: closed on quiet, on age or on size.

`model.py`     what a window gives; `choice.py` which one is used.
`reference.py` columns, sorted and cut by numpy: runs anywhere (`slabs.py`, `remembered.py`).
`native.py`    rows as the native decoder packs them, written to columns once, in order.
"""
