"""pymongo: find_one per id, and one find with $in."""

import os

from fastapi import FastAPI
from pymongo import MongoClient

from live.apps.serving import serve

app = FastAPI()
client: MongoClient = MongoClient(os.environ["MONGO_URL"])


@app.get("/each")
def each(n: int) -> int:
    return sum(1 for i in range(n) if client.shop.users.find_one({"_id": i}))


@app.get("/in")
def together(n: int) -> int:
    return len(list(client.shop.users.find({"_id": {"$in": list(range(n))}})))


@app.get("/insert-each")
def insert_each(n: int) -> int:
    for i in range(n):
        client.shop.items.insert_one({"n": i})
    return n


@app.get("/insert-many")
def insert_many(n: int) -> int:
    return len(client.shop.items.insert_many([{"n": i} for i in range(n)]).inserted_ids)


if __name__ == "__main__":
    serve(app)
    client.close()
