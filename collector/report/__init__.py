"""Formats of a report: text, JSON, SARIF, GitHub annotations, Markdown; and the baseline."""
