"""Django: foreign keys touched in a loop, select_related, prefetch_related, save and bulk_create."""

import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from live.apps.serving import ask

django.setup()

from django.db import connection, models  # noqa: E402 - after setup


class Author(models.Model):  # noqa: DJ008
    name = models.TextField()

    class Meta:
        app_label = "library"


class Book(models.Model):  # noqa: DJ008
    author = models.ForeignKey(Author, models.CASCADE)

    class Meta:
        app_label = "library"


def _n(request: HttpRequest) -> int:
    return int(request.GET["n"])


def lazy(request: HttpRequest) -> JsonResponse:
    books = Book.objects.order_by("id")[: _n(request)]
    return JsonResponse([b.author.name for b in books], safe=False)


def related(request: HttpRequest) -> JsonResponse:
    books = Book.objects.select_related("author").order_by("id")[: _n(request)]
    return JsonResponse([b.author.name for b in books], safe=False)


def prefetched(request: HttpRequest) -> JsonResponse:
    books = Book.objects.prefetch_related("author").order_by("id")[: _n(request)]
    return JsonResponse([b.author.name for b in books], safe=False)


def saving(request: HttpRequest) -> JsonResponse:
    for i in range(_n(request)):
        Author(name=f"saved {i}").save()
    return JsonResponse({})


def bulk(request: HttpRequest) -> JsonResponse:
    Author.objects.bulk_create([Author(name=f"bulk {i}") for i in range(_n(request))])
    return JsonResponse({})


VIEWS = {
    "lazy": lazy,
    "related": related,
    "prefetched": prefetched,
    "saving": saving,
    "bulk": bulk,
}
urlpatterns = [path(name, view) for name, view in VIEWS.items()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    for i in range(15):
        Book.objects.create(author=Author.objects.create(name=f"Author {i}"))
    connection.close()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        ask(server.server_port, [f"/{name}" for name in VIEWS])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
