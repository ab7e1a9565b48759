"""A small shop that does everything twice, once badly and once well, to show what spanlint sees.

`cases.py`     what each endpoint does, and the finding that it must or must not give.
`shop.py` `catalogue.py` `pricing.py`  three FastAPI services; nothing in them knows of spans.
`store.py`     their tables. `work.py` their background tasks.
`backing.py`   PostgreSQL and Redis, started privately when they are installed.
`services.py`   the services under `opentelemetry-instrument`. `spanlint.py` the server beside them.
`traffic.py`   a bounded number of requests. `waiting.py` until spanlint has judged them.
`run.py`       all of it, once. `show.py` what a person reads.
"""
