"""What a release needs before it runs."""

from django.conf import settings
from django.core.management import BaseCommand, call_command

from shop.models import Migrated


class Command(BaseCommand):
    def handle(self, *_, **__):
        call_command("migrate", interactive=False)
        Migrated.objects.create(release=settings.RELEASE)
