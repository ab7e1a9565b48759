"""Settings of django_orm.py; a module of its own, since the instrumentation reads it first."""

import os
from urllib.parse import urlsplit

_URL = urlsplit(os.environ["DATABASE_URL"])

DEBUG = False
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "live.apps.django_orm"
INSTALLED_APPS: list[str] = []
MIDDLEWARE: list[str] = []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _URL.path.lstrip("/"),
        "USER": _URL.username,
        "HOST": _URL.hostname,
        "PORT": _URL.port,
    }
}
