"""Shapes: what a statement, URL or command is, without the values of one call.

Each module is pure: text in, a small frozen record out. Nothing here raises on any text, and every
function is linear in the length of its text. Callers cache by the raw text.

* `sql`: SQL statements;
* `url`: paths and URLs;
* `cache`: Redis and memcached commands;
* `document`: MongoDB, DynamoDB, Elasticsearch and their kin.
"""
