"""gRPC: a call per user, and one call for all; client and server are both instrumented."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from fastapi import FastAPI

from live.apps.serving import serve

app = FastAPI()
address = ""


@app.get("/each")
def each(n: int) -> int:
    with grpc.insecure_channel(address) as channel:
        get = channel.unary_unary("/shop.Users/Get")
        return sum(len(get(str(i).encode())) for i in range(n))


@app.get("/batch")
def batch(n: int) -> int:
    with grpc.insecure_channel(address) as channel:
        return len(channel.unary_unary("/shop.Users/BatchGet")(bytes(n)))


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(4))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("shop.Users", {"Get": echo, "BatchGet": echo}),)
    )
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    serve(app)
    server.stop(0).wait()
