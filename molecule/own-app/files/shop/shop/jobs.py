import time

from django.conf import settings


def work(job: str, seconds: float) -> None:
    from shop.models import Done

    time.sleep(seconds)
    Done.objects.create(job=job, release=settings.RELEASE)
