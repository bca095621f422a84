"""A scheduler, of which there may be only one."""

import os
import time

from django.core.management import BaseCommand

from shop.models import Tick


class Command(BaseCommand):
    def handle(self, *_, **__):
        while True:
            Tick.objects.create(instance=os.environ["INSTANCE_ID"])
            time.sleep(0.5)
