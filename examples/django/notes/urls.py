"""The URLs of the pages."""

from django.urls import path

from notes import views

urlpatterns = [
    path("", views.notes, name="notes"),
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
    path("files", views.files, name="files"),
    path("files/<int:number>", views.show_file, name="show_file"),
    path("files/<int:number>/download", views.download_file, name="download_file"),
    path("export.csv", views.export, name="export"),
    path("stream", views.stream, name="stream"),
    path("break", views.break_down, name="break_down"),
]
