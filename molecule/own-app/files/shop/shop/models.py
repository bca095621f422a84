from django.db import models


class Done(models.Model):
    """A job that a worker did."""

    job = models.CharField(max_length=64)
    release = models.CharField(max_length=32)


class Migrated(models.Model):
    """A run of `manage.py migrate`."""

    release = models.CharField(max_length=32)


class Tick(models.Model):
    """A second of the clock."""

    instance = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True)
