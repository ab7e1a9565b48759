"""Runs django_orm.py, which must be imported under its own name: models are known by it."""

from live.apps.django_orm import main

main()
