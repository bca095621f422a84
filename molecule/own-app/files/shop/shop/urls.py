import collections
import os

import redis
import rq
from django.conf import settings
from django.db import connection
from django.http import FileResponse, HttpResponse, JsonResponse
from django.urls import path

from shop.models import Done, Migrated, Tick

queue = rq.Queue(connection=redis.Redis.from_url(settings.QUEUE_URL))


def up(request):
    connection.ensure_connection()
    return HttpResponse("ok\n", content_type="text/plain")


def index(request):
    return HttpResponse(f"{settings.RELEASE} {os.environ['INSTANCE_ID']}\n", content_type="text/plain")


def order(request, job):
    queue.enqueue("shop.jobs.work", job, 0.2)
    return HttpResponse("ordered\n", content_type="text/plain")


def state(request):
    """All that there is to know."""
    return JsonResponse(
        {
            "waiting": len(queue),
            "done": collections.Counter(Done.objects.values_list("job", flat=True)),
            "migrated": list(Migrated.objects.order_by("id").values_list("release", flat=True)),
            "ticks": list(Tick.objects.order_by("id").values_list("instance", flat=True)),
        }
    )


def upload(request, name):
    file = settings.UPLOADS / name
    if request.method == "PUT":
        file.write_bytes(request.read())
    return FileResponse(file.open("rb")) if file.exists() else HttpResponse(status=404)


def asset(request, name):
    return FileResponse((settings.ASSETS / name).open("rb"))


urlpatterns = [
    path("up", up),
    path("", index),
    path("order/<str:job>", order),
    path("state", state),
    path("upload/<str:name>", upload),
    path("public/<str:name>", asset),
]
