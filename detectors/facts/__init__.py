"""Facts tables: each .py file here turns whole traces into mergeable aggregates of one subject."""
