"""As strict as Django's own check list for production wants them."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

RELEASE = os.environ["SHOP_RELEASE"]
SECRET_KEY = Path("/run/secrets/django").read_text()
DEBUG = False
ALLOWED_HOSTS = ["shop.example.org"]
# Plain HTTP is sent to HTTPS, unless the load balancer says that the client came by it
SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
INSTALLED_APPS = ["shop"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "shop.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
UPLOADS = Path("/app/uploads")
ASSETS = Path("/app/public")
QUEUE_URL = os.environ["REDIS_URL"]

_database = urlsplit(os.environ["DATABASE_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/"),
        "USER": _database.username,
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname,
        "PORT": _database.port,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
