"""All URLs of the project."""

from django.urls import path

from market import views

urlpatterns = [
    path("", views.show_prices, name="prices"),
    path("stream", views.open_stream, name="stream"),
    path("trades", views.trade, name="trade"),
]
