"""A worker of the queue. On SIGTERM it finishes its job."""

import redis
from django.conf import settings
from django.core.management import BaseCommand
from rq import SimpleWorker


class Command(BaseCommand):
    def handle(self, *_, **__):
        if settings.RELEASE == "dead-worker":
            raise SystemExit("the worker cannot read its configuration")
        SimpleWorker(["default"], connection=redis.Redis.from_url(settings.QUEUE_URL)).work()
