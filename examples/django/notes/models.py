"""The database models: notes and files."""

from django.db import models


class Note(models.Model):
    title = models.CharField(max_length=80)
    body = models.TextField(max_length=2000)
    author = models.CharField(max_length=40)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]


class File(models.Model):
    name = models.CharField(max_length=255)
    content = models.FileField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    author = models.CharField(max_length=40)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
