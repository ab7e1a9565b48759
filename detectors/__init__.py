"""spanlint's rules: each .py file here is one; `facts/` says what they look at, `kit/` how."""
