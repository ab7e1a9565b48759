"""Redis and memcached: key by key, together, in a pipeline."""

import os

import redis
from fastapi import FastAPI
from pymemcache.client.base import Client

from live.apps.serving import serve

app = FastAPI()
store = redis.Redis.from_url(os.environ["REDIS_URL"])


def memcached() -> Client:
    host, _, port = os.environ["MEMCACHED"].partition(":")
    return Client((host, int(port)))


@app.get("/redis-each")
def redis_each(n: int) -> int:
    return sum(1 for i in range(n) if store.get(f"user:{i}"))


@app.get("/redis-hashes")
def redis_hashes(n: int) -> int:
    return sum(1 for i in range(n) if store.hgetall(f"cart:{i}"))


@app.get("/redis-mget")
def redis_mget(n: int) -> int:
    return len(store.mget([f"user:{i}" for i in range(n)]))


@app.get("/redis-pipeline")
def redis_pipeline(n: int) -> int:
    with store.pipeline() as pipeline:
        for i in range(n):
            pipeline.get(f"user:{i}")
        return len(pipeline.execute())


@app.get("/redis-writes")
def redis_writes(n: int) -> int:
    for i in range(n):
        store.set(f"user:{i}", i)
    return n


if "MEMCACHED" in os.environ:

    @app.get("/memcached-each")
    def memcached_each(n: int) -> int:
        client = memcached()
        found = sum(1 for i in range(n) if client.get(f"user:{i}"))
        client.close()
        return found

    @app.get("/memcached-many")
    def memcached_many(n: int) -> int:
        client = memcached()
        found = client.get_many([f"user:{i}" for i in range(n)])
        client.close()
        return len(found)


if __name__ == "__main__":
    serve(app)
